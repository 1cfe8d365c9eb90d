"""Resolving the configuration anew, in a child: the master itself knows no YAML."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict

from taskd import __version__
from taskd.config.settings import Settings
from taskd.supervisor.child import how_it_ended


class Reload:
    """Runs `taskd.cli.resolve` when asked to, one at a time; what it prints are the new settings.

    Asked again meanwhile, it runs once more afterwards: the file may have changed after it was
    read.
    """

    def __init__(self) -> None:
        self._resolution: Resolution | None = None
        self._is_asked_again = False

    @property
    def pids(self) -> set[int]:
        """The child that resolves at this moment, if there is one."""
        return {self._resolution.pid} if self._resolution is not None else set()

    def ask(self, settings: Settings) -> str | None:
        """Resolve anew what these settings came from; why that cannot be done, if so."""
        self._is_asked_again = self._resolution is not None
        if self._resolution is None:
            try:
                self._resolution = Resolution(settings)
            except OSError as error:
                return str(error)
        return None

    def ended(self, pid: int, status: int) -> Settings | str | None:
        """Note the end of a child: new settings, faults, or None if it was none of ours."""
        resolution = self._resolution
        if resolution is None or resolution.pid != pid:
            return None
        self._resolution = None
        return resolution.finish(status)

    def take_asked_again(self) -> bool:
        """Whether it is to be run once more."""
        again, self._is_asked_again = self._is_asked_again, False
        return again

    def abandon(self) -> None:
        """Nobody wants the answer any more; doing so twice is harmless."""
        if self._resolution is not None:
            os.kill(self._resolution.pid, signal.SIGKILL)


class Resolution:
    """One run; ask `finish` when its pid was reaped. Raises OSError if it cannot be started."""

    def __init__(self, settings: Settings) -> None:
        origin = os.memfd_create("taskd-origin")
        os.write(origin, json.dumps(asdict(settings.origin)).encode())
        os.lseek(origin, 0, os.SEEK_SET)
        os.set_inheritable(origin, True)
        self._out = os.memfd_create("taskd-resolved")
        self._errors = os.memfd_create("taskd-faults")
        flags = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *flags, "-m", "taskd.cli.resolve", "--origin-fd", str(origin)]
        command += ["--running", __version__]
        outputs = [
            (os.POSIX_SPAWN_DUP2, self._out, 1),
            (os.POSIX_SPAWN_DUP2, self._errors, 2),
        ]
        try:
            self.pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=outputs)
        finally:
            os.close(origin)

    def finish(self, status: int) -> Settings | str:
        """The new settings, or the faults as text, once the child has ended."""
        out, faults = _contents(self._out), _contents(self._errors)
        if os.waitstatus_to_exitcode(status) == 0:
            try:
                return Settings.from_json(out)
            except (TypeError, ValueError) as error:
                faults += f"the resolved settings cannot be read: {error}"
        return faults.strip() or f"the configuration could not be read ({how_it_ended(status)})"


def _contents(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
        return file.read()
