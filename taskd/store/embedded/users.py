"""Who uses the server: each holds a shared lock, and the keeper looks whether anybody does."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Hold:
    """Keeps the server from being stopped until it is released, or the process ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let go; releasing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def hold(state_dir: str | Path) -> Hold:
    """Say that this process uses the server of a state directory.

    Blocks while the keeper is stopping the server, a second or two. Raises OSError if the
    directory cannot be made or written.
    """
    folder = Path(state_dir) / "postgres"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    fd = lock_file(folder / "users.lock")
    fcntl.flock(fd, fcntl.LOCK_SH)
    return Hold(fd)


def lock_file(path: Path) -> int:
    """Open a file to lock; the descriptor does not pass to programs that are started."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(fd: int) -> bool:
    """Take the exclusive lock if nobody holds any; never blocks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Give a lock back and keep the file open."""
    fcntl.flock(fd, fcntl.LOCK_UN)
