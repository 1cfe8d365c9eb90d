"""File locks (flock): they vanish with the last process that has the open file."""

from __future__ import annotations

import fcntl
import os

from taskd.store.embedded.folder import give_away


def open_lock(path: str) -> int:
    """A descriptor of the lock file, which is made if need be. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_away(path)
    return fd


def try_shared(fd: int) -> bool:
    """Whether `fd` now holds the lock together with others; never blocks."""
    return _try(fd, fcntl.LOCK_SH)


def try_exclusive(fd: int) -> bool:
    """Whether `fd` now holds the lock alone; never blocks."""
    return _try(fd, fcntl.LOCK_EX)


def unlock(fd: int) -> None:
    """Give the lock back and keep the file open."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def take(path: str) -> int | None:
    """A descriptor that holds the lock alone, or None if somebody else has it."""
    fd = open_lock(path)
    try:
        if try_exclusive(fd) and is_current(fd, path):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def is_current(fd: int, path: str) -> bool:
    """Whether the locked file is still the one at that path, which may have been removed."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
