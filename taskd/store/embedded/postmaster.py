"""The main process of a running PostgreSQL, seen from outside."""

from __future__ import annotations

import os
import signal

from taskd.store.embedded.folder import Folder


class Postmaster:
    """A postmaster that runs: our own child, or one that a keeper before us left behind."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._birth = birth_of(pid)
        self._wait_status: int | None = None

    def has_ended(self) -> bool:
        """Whether it is gone; our own child is reaped. Never blocks."""
        if self._wait_status is not None:
            return True
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            # Not our child. A pid is used again, but not with the same moment of birth.
            return self._birth is None or birth_of(self.pid) != self._birth
        if pid:
            self._wait_status = status
        return bool(pid)

    def how_it_ended(self) -> str:
        """How, as the second half of a sentence: "ended by signal 9"."""
        if self._wait_status is None:
            return "ended"
        status = os.waitstatus_to_exitcode(self._wait_status)
        return f"ended by signal {-status}" if status < 0 else f"ended with status {status}"

    def send(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        if not self.has_ended():
            os.kill(self.pid, number)


def birth_of(pid: int) -> int | None:
    """When the process was born, in clock ticks since the boot; None if it is dead or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def pid_of(folder: Folder) -> int | None:
    """The pid in the data directory's postmaster.pid, which may be long dead; None without one."""
    lines = _lines(folder)
    return abs(int(lines[0])) if lines and lines[0].strip().lstrip("-").isdigit() else None


def is_ready(folder: Folder, pid: int) -> bool:
    """Whether the postmaster with this pid says that it takes connections."""
    lines = _lines(folder)
    return pid_of(folder) == pid and len(lines) > 7 and lines[7].strip() == "ready"


def _lines(folder: Folder) -> list[str]:
    try:
        with open(os.path.join(folder.data, "postmaster.pid"), encoding="utf-8") as file:
            return file.read().split("\n")
    except OSError:
        return []
