"""Resolving the configuration anew, in a child: the master itself knows no YAML."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from taskd.config.settings import Settings

_READ = 65_536


class Resolution:
    """One run of `taskd.cli.resolve`; ask `finish` when its pid was reaped."""

    def __init__(self, settings: Settings) -> None:
        origin = os.memfd_create("taskd-origin")
        os.write(origin, json.dumps(asdict(settings.origin)).encode())
        os.lseek(origin, 0, os.SEEK_SET)
        os.set_inheritable(origin, True)
        self._out = os.memfd_create("taskd-resolved")
        self._errors = os.memfd_create("taskd-faults")
        flags = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *flags, "-m", "taskd.cli.resolve", "--origin-fd", str(origin)]
        outputs = [
            (os.POSIX_SPAWN_DUP2, self._out, 1),
            (os.POSIX_SPAWN_DUP2, self._errors, 2),
        ]
        self.pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=outputs)
        os.close(origin)

    def finish(self, status: int) -> Settings | str:
        """The new settings, or the faults as text, once the child has ended."""
        out, faults = _contents(self._out), _contents(self._errors)
        if os.waitstatus_to_exitcode(status) == 0:
            return Settings.from_json(out)
        return faults.strip() or f"the configuration could not be read (status {status})"


def _contents(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, encoding="utf-8", errors="replace") as file:
        return file.read()
