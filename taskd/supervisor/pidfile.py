"""The pid file: says who runs, and keeps a second daemon from starting."""

from __future__ import annotations

import fcntl
import os

from taskd.errors import TaskdError

MODE = 0o600


class PidFileTaken(TaskdError):
    """Another daemon holds this pid file; stop it, or give this one another file."""

    def __init__(self, path: str, pid: str) -> None:
        self.path, self.pid = path, pid
        super().__init__(
            f"{path}: another taskd (pid {pid or 'unknown'}) runs with this pid file: "
            "stop it first, or use another --pid-file"
        )


class PidFileUnusable(TaskdError):
    """The pid file cannot be written; make its folder, or give the daemon another file."""

    def __init__(self, path: str, fault: OSError) -> None:
        self.path = path
        super().__init__(
            f"pid_file: {path} cannot be written: {fault.strerror}: "
            "make its folder writable, or use another --pid-file"
        )


class PidFile:
    """A locked file with our pid; the lock, not the number, says whether its owner lives."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def take(self) -> None:
        """Write our pid. Raises PidFileTaken or PidFileUnusable."""
        try:
            self._take()
        except OSError as error:
            raise PidFileUnusable(self.path, error) from error

    def _take(self) -> None:
        fd = self._lock()
        while not _is_at(self.path, fd):  # its last owner has just removed it
            os.close(fd)
            fd = self._lock()
        os.fchmod(fd, MODE)  # it may have been left behind by one that was killed
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def _lock(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise PidFileTaken(self.path, pid) from None
        return fd

    def release(self) -> None:
        """Remove the file; releasing twice is harmless."""
        if self._fd >= 0:
            if _is_at(self.path, self._fd):
                os.unlink(self.path)
            os.close(self._fd)
            self._fd = -1


def _is_at(path: str, fd: int) -> bool:
    """Whether it is this open file that lies at the path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
