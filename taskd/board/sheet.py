"""What a worker answers to questions: text in memory of its own, read through /proc while it lives.

    maintenance   writes the question's number on the board, and has the master send ASK_SIGNAL
    worker        writes the answer here, between two steps of Python, and that number on the board
    maintenance   sees it there, reads the sheet and wipes it

A worker that executes no Python has ASK_IN_C_SIGNAL, on which faulthandler writes the running stack
here. That way is for those who do not answer the first: it would read torn state if it struck in
the middle of a switch of greenlets.

The sheet is apart from the Seating, for there the master asks, at any time, on its own account.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from typing import Self

NAME = "taskd-sheet"
MOST_TEXT = 4_000_000
"""No more of an answer is read, in bytes."""

ASK_SIGNAL = signal.SIGRTMAX - 4
ASK_IN_C_SIGNAL = signal.SIGRTMAX - 5


class Sheet:
    """The memory as one process sees it."""

    __slots__ = ("_identity", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._identity = _identity(fd)

    @classmethod
    def create(cls) -> Self:
        """Make the memory of this process, a worker."""
        fd = os.memfd_create(NAME)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)  # so that it is written from wherever it ends
        return cls(fd)

    @classmethod
    def open(cls, pid: int, fd: int) -> Self | None:
        """Open the memory of another process; None if it is gone, or a job has closed it."""
        if not is_sheet(pid, fd):
            return None
        try:
            return cls(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return None

    def write(self, text: str) -> None:
        """Add to the text. Never raises, also if a job has closed the descriptor."""
        with suppress(OSError):
            self._require_ours()
            os.write(self.fd, text.encode(errors="backslashreplace"))

    def read(self) -> str:
        """The text since it was last wiped."""
        return os.pread(self.fd, MOST_TEXT, 0).decode(errors="replace").replace("\0", "")

    def wipe(self) -> None:
        """Forget the text, and give its memory back. Never raises."""
        with suppress(OSError):
            self._require_ours()
            os.ftruncate(self.fd, 0)

    def _require_ours(self) -> None:
        """Raise OSError if the descriptor is another file's by now, which is not to be touched."""
        if _identity(self.fd) != self._identity:
            raise FileNotFoundError(f"descriptor {self.fd} is no sheet any more")

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def is_sheet(pid: int, fd: int) -> bool:
    """Whether a worker still has a sheet there: a job may have closed it, and opened another."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith(f"/memfd:{NAME}")
    except OSError:
        return False
