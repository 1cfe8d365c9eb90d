"""The terminal while a picture is redrawn on it, and as it was before."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

import click

from taskd.cli.output import use_colours
from taskd.clock import monotonic

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other page, no cursor, and no line runs over into the next."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME, REST_OF_LINE, REST_OF_PAGE = "\x1b[H", "\x1b[K", "\x1b[J"
QUIT = b"q"
TERMINATED = 128 + signal.SIGTERM


class Screen:
    """A terminal to draw on; leaving it gives it back as it was. Needs standard input and output.

    A dumb terminal gets one picture after the other. SIGINT and SIGTERM raise in whatever runs;
    where that is swallowed, as in what C code calls back, `wait` raises again.
    """

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno()
        self._is_dumb = os.environ.get("TERM", "dumb") == "dumb"
        self._has_colours = use_colours() is not False
        self._resized, self._resize = os.pipe()
        self._modes: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._ended_by: int | None = None

    @property
    def size(self) -> os.terminal_size:
        """Its columns and lines now."""
        return shutil.get_terminal_size()

    def __enter__(self) -> Self:
        os.set_blocking(self._resize, False)
        self._modes = termios.tcgetattr(self._keys)
        tty.setcbreak(self._keys, termios.TCSANOW)
        self._without_suspension()
        self._handlers = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._note_resize),
            signal.SIGINT: signal.signal(signal.SIGINT, self._end),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._end),
        }
        self._write("" if self._is_dumb else ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._write("" if self._is_dumb else LEAVE)
        termios.tcsetattr(self._keys, termios.TCSADRAIN, self._modes)
        os.close(self._resized)
        os.close(self._resize)

    def _without_suspension(self) -> None:
        """A shell that came to the front now would find the other page."""
        modes = termios.tcgetattr(self._keys)
        modes[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._keys, termios.TCSANOW, modes)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, as many as there is place for."""
        shown = list(lines if self._has_colours else map(click.unstyle, lines))
        if self._is_dumb:
            self._write("\n".join([*shown, "", ""]))
            return
        page = f"{REST_OF_LINE}\r\n".join(shown[: self.size.lines])
        self._write(f"{HOME}{page}{REST_OF_LINE}{REST_OF_PAGE}")

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the size changes or a key is pressed; whether to go on.

        It is over when q is pressed, or nobody can press anything any more.
        """
        if self._ended_by is not None:
            self._end(self._ended_by, None)
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            ready, _, _ = select.select([self._keys, self._resized], [], [], left)
            if self._resized in ready:
                os.read(self._resized, 4096)
                return True
            if self._keys in ready:
                pressed = os.read(self._keys, 64)
                if not pressed or QUIT in pressed.lower():
                    return False
                if b" " in pressed:
                    return True
        return True

    def _note_resize(self, number: int, frame: FrameType | None) -> None:
        try:
            os.write(self._resize, b"\0")
        except BlockingIOError:
            return  # it has been told often enough

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended_by = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(TERMINATED)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
