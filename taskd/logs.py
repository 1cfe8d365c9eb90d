"""Log lines that never hold anybody up.

A line goes out through a descriptor of our own that does not block. When nobody reads, it is
dropped and counted; the next line that gets through tells how many were lost. All processes of a
daemon append to the same place, each line in one write. A log file that cannot be opened is made
up for by standard error, until it can.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import time
import traceback
from typing import Protocol

from taskd.events import Event, Events, counted

_COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.DEBUG: "2"}
_REOPEN_SECONDS = 1.0
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_MAX_TEXT = 8_000
"""Longer messages are cut, in characters."""


class LogChoices(Protocol):
    """How and where to write: the `log` section of the settings."""

    @property
    def level(self) -> str:
        """The least severe level that is written: debug, info, warning or error."""

    @property
    def format(self) -> str:
        """Either text or json."""

    @property
    def file(self) -> str | None:
        """The file to append to, or None for standard error."""


class LogWriter:
    """Writes the lines of one process; `role` says in each line who speaks."""

    def __init__(self, choices: LogChoices, role: str) -> None:
        self.role = role
        self.dropped = 0
        self._fd = -1
        self._is_socket = self._is_torn = self._is_astray = self._is_coloured = False
        self._checked_at = 0.0
        self.change(choices)

    def change(self, choices: LogChoices) -> None:
        """Write as chosen from now on, to another place, too. Never raises."""
        self.level = logging.getLevelNamesMapping()[choices.level.upper()]
        self._is_json = choices.format == "json"
        self._path = choices.file
        self.reopen()
        self._is_coloured = (
            not self._is_json and os.isatty(self._fd) and "NO_COLOR" not in os.environ
        )

    def reopen(self) -> None:
        """Open the file (or standard error) anew, after a rotation. Never raises."""
        trouble = None
        try:
            opened = self._open_file()
        except OSError as error:
            opened, trouble = open_stderr(), str(error)
        if self._fd > 2 and opened >= 0:
            os.dup2(opened, self._fd, inheritable=False)  # another thread may be writing to it
            if opened > 2:
                os.close(opened)
        else:
            self._fd = opened
        self._is_socket = opened >= 0 and stat.S_ISSOCK(os.fstat(self._fd).st_mode)
        self._tell_trouble(trouble)

    def _open_file(self) -> int:
        if self._path is None:
            return open_stderr()
        return os.open(self._path, _FLAGS | os.O_CREAT, 0o600)

    def _tell_trouble(self, trouble: str | None) -> None:
        """Say once that lines go where nobody looks for them."""
        if trouble is not None and not self._is_astray:
            text = f"the log goes here, because its file cannot be opened: {trouble}"
            self._put(self._line(logging.ERROR, text, "LogAstray", {}))
        self._is_astray = trouble is not None

    def take(self, event: Event) -> None:
        """Write an event, if its level is wanted."""
        if event.level >= self.level:
            fields = dict(vars(event)) if self._is_json else {}
            self.write(event.level, str(event), type(event).__name__, fields)

    def write(self, level: int, text: str, name: str, fields: dict[str, object]) -> None:
        """Write one line now, or drop it; never blocks, never raises for a reader that is gone."""
        self._follow_rotation()
        if self.dropped and self._put(self._lines_dropped()):
            self.dropped = 0
        if not self._put(self._line(level, text, name, fields)):
            self.dropped += 1

    def _lines_dropped(self) -> bytes:
        text = f"{counted(self.dropped, 'line')} dropped here, because nobody read them"
        return self._line(logging.WARNING, text, "LinesDropped", {"dropped": self.dropped})

    def _line(self, level: int, text: str, name: str, fields: dict[str, object]) -> bytes:
        now = time.time()
        if len(text) > _MAX_TEXT:
            text, fields = f"{text[:_MAX_TEXT]}…", {}
        if self._is_json:
            line = json.dumps(
                {
                    "at": _stamp(time.gmtime(now), now, "T"),
                    "level": logging.getLevelName(level).lower(),
                    "from": self.role,
                    "from_pid": os.getpid(),
                    "event": name,
                    "message": text,
                    **fields,
                },
                default=str,
            )
        else:
            stamp = _stamp(time.localtime(now), now, " ")
            line = f"{stamp} {logging.getLevelName(level).lower():<7} {self.role}: {text}"
            if self._is_coloured and level in _COLOURS:
                line = f"\x1b[{_COLOURS[level]}m{line}\x1b[0m"
        return line.encode(errors="backslashreplace") + b"\n"

    def _put(self, line: bytes) -> bool:
        """Write a line if there is room for it now; whether all of it went out."""
        if self._is_torn:
            line = b"\n" + line  # half a line went out before
        try:
            written = self._send(line)
        except OSError:
            return False
        self._is_torn = written < len(line)
        return not self._is_torn

    def _send(self, line: bytes) -> int:
        if not self._is_socket:
            return os.write(self._fd, line)
        with socket.socket(fileno=os.dup(self._fd)) as out:
            return out.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _follow_rotation(self) -> None:
        """Notice within a second that the file was moved away."""
        now = time.monotonic()
        if self._path is None or now - self._checked_at < _REOPEN_SECONDS:
            return
        self._checked_at = now
        try:
            moved = os.stat(self._path).st_ino != os.fstat(self._fd).st_ino
        except OSError:
            moved = True
        if moved:
            self.reopen()


def _stamp(clock: time.struct_time, now: float, separator: str) -> str:
    """An ISO 8601 time of day, of milliseconds, without the memory that `datetime` takes."""
    zone = time.strftime("%z", clock)
    seconds = time.strftime(f"%Y-%m-%d{separator}%H:%M:%S", clock)
    return f"{seconds}.{int(now % 1 * 1000):03}{zone[:3]}:{zone[3:]}"


def open_stderr() -> int:
    """A descriptor of standard error that does not block; -1 if there is none."""
    try:
        mode = os.fstat(2).st_mode
    except OSError:
        return -1
    if stat.S_ISREG(mode):
        return 2  # never blocks; a second description would have an offset of its own
    try:
        # A description of our own: O_NONBLOCK on an inherited one would hit the shell, too.
        return os.open("/proc/self/fd/2", _FLAGS)
    except OSError:
        if stat.S_ISFIFO(mode):
            os.set_blocking(2, False)  # another user's pipe, which only he may open again
        return 2  # a socket cannot be opened again; it is written with MSG_DONTWAIT


class _Bridge(logging.Handler):
    """Takes what libraries and users' code log into the same lines."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {text_of(record)}"
        self._writer.write(record.levelno, text, "Log", {"logger": record.name})


def text_of(record: logging.LogRecord) -> str:
    """What a call of `logging` says, with its traceback and stack if it has them.

    Never raises: a job must not fail because it logs what cannot be shown.
    """
    parts = [_message_of(record), *_traces_of(record)]
    return "\n".join(parts) if len(parts) > 1 else parts[0]


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        text = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{text} (its arguments cannot be filled in: {type(error).__name__})"


def _traces_of(record: logging.LogRecord) -> list[str]:
    try:
        traces = [record.stack_info] if record.stack_info else []
        if record.exc_info and record.exc_info[0] is not None:
            traces.insert(0, "".join(traceback.format_exception(*record.exc_info)).rstrip())
    except Exception as error:  # the exception's own code, or what is none at all
        return [f"(its traceback cannot be shown: {type(error).__name__})"]
    return traces


def install(events: Events, choices: LogChoices, role: str) -> LogWriter:
    """Make lines of these events and of the standard library's logging.

    Call it again in a forked child: it gets a writer and a descriptor of its own.
    """
    writer = LogWriter(choices, role)
    events.subscribe(writer.take)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)
    root.addHandler(_Bridge(writer))
    _set_levels(writer)
    return writer


def change(writer: LogWriter, choices: LogChoices) -> None:
    """Let an installed writer, and what the standard library logs, go by other choices."""
    writer.change(choices)
    _set_levels(writer)


def _set_levels(writer: LogWriter) -> None:
    root = logging.getLogger()
    level = max(writer.level, logging.INFO)
    for handler in root.handlers:
        if isinstance(handler, _Bridge):
            handler.setLevel(level)
    if root.level != level:  # it would ask every logger to think again
        root.setLevel(level)
