"""The dashboard, seen from the master: started if it is wanted, and again when it dies."""

from __future__ import annotations

import json
import os
import sys
from signal import SIGKILL

from taskd import __version__
from taskd.clock import monotonic
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.pool.signals import ORDERS
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Talker, how_it_ended
from taskd.supervisor.events import CannotStart, HelperDied
from taskd.supervisor.restart import Backoff

LEAVE_SECONDS = 10.0
"""So long may one take to end that is to make room for another."""


class Dashboard:
    """Keeps one dashboard process, if the settings want one."""

    def __init__(self, settings: Settings, tree_fd: int, events: Events) -> None:
        self.process: Talker | None = None
        self._settings = settings
        self._tree_fd = tree_fd
        self._events = events
        self._backoff = Backoff()
        self._leaves_at: float | None = None
        self._is_stopping = False

    def tend(self, dsn: str | None) -> None:
        """Start it if it is missing and may be started; dsn None: the database is not open yet."""
        now = monotonic()
        if self.process is not None:
            self._see_to_leaving(self.process, now)
        elif dsn is not None and self._is_wanted and self._backoff.may_start(now):
            self._start(dsn)

    @property
    def _is_wanted(self) -> bool:
        return self._settings.dashboard.listen is not None and not self._is_stopping

    @property
    def is_gone(self) -> bool:
        """Whether there is no such process."""
        return self.process is None

    def pause(self, now: float) -> float:
        """Seconds until it may be started again; infinite if it has not to wait."""
        return self._backoff.pause(now)

    def reload(self, settings: Settings) -> None:
        """Let another take its place, with new settings and what the token files hold now."""
        self._settings = settings
        self._backoff.forget()
        self._let_go()

    def stop(self) -> None:
        """Let it end; stopping twice is harmless."""
        self._is_stopping = True
        self._let_go()

    def reopen_logs(self) -> None:
        """Let it open its log file anew."""
        if self.process is not None:
            self.process.channel.send("reopen")

    def hear(self) -> None:
        """Take its messages: it only ever says why it cannot work."""
        if self.process is None:
            return
        for message in self.process.channel.receive():
            self._events.emit(CannotStart("dashboard", message["error"]))

    def ended(self, pid: int, status: int) -> bool:
        """Note its end; whether it was the dashboard that ended."""
        if self.process is None or self.process.pid != pid:
            return False
        self.hear()  # its last words
        self.process.channel.close()
        if self._leaves_at is None:
            pause = self._backoff.ended(self.process.lived, monotonic())
            self._events.emit(HelperDied("dashboard", pid, how_it_ended(status), pause))
        self.process = self._leaves_at = None
        return True

    def _let_go(self) -> None:
        if self.process is not None and self._leaves_at is None:
            self.process.channel.finish()
            self._leaves_at = monotonic() + LEAVE_SECONDS

    def _see_to_leaving(self, process: Talker, now: float) -> None:
        process.channel.flush()
        if self._leaves_at is not None and now > self._leaves_at:
            process.signal(SIGKILL)

    def _start(self, dsn: str) -> None:
        channel = Channel()
        try:
            pid = self._spawn(dsn, channel)
        except OSError as error:
            channel.close()
            self._backoff.ended(0.0, monotonic())
            self._events.emit(CannotStart("dashboard", str(error)))
            return
        channel.handed_over()
        self.process = Talker(pid=pid, channel=channel)

    def _spawn(self, dsn: str, channel: Channel) -> int:
        birth = {
            "control_fd": channel.child_fd,
            "tree_fd": self._tree_fd,
            "master": os.getpid(),
            "version": __version__,
            "dsn": dsn,
            "settings": self._settings.to_json(),
        }
        birth_fd = os.memfd_create("taskd-birth")
        os.write(birth_fd, json.dumps(birth).encode())
        for fd in (birth_fd, channel.child_fd):
            os.set_inheritable(fd, True)
        flags = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *flags, "-m", "taskd.web.child", str(birth_fd)]
        try:
            return os.posix_spawn(sys.executable, command, os.environ, setsigmask=ORDERS)
        finally:
            os.close(birth_fd)
