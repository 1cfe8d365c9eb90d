"""Until when the jobs of one worker may run, and where the one that computes stands.

    header │ deadline of seat 0 … N-1 ║ text
    ──────────────────────────────────┴──────────────────────────────────
    the worker writes, the master reads  the worker writes when it is asked

The text is where the worker stands; the master empties it and asks. On SIGUSR1 the worker writes it
by itself, between two steps of Python. On DUMP_SIGNAL faulthandler, which is C, writes the running
stack, also while a job computes in C. That way is for those who do not answer the first: it would
read torn state if it struck in the middle of a switch of greenlets.

It is memory of the worker's own, which the master opens through /proc while the worker lives. Which
job sits where is on the board, for that is asked when the worker is dead.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
from contextlib import suppress
from typing import Self

from taskd.board.layout import WORD

NAME = "taskd-seats"
MOST_TEXT = 200_000
"""The master reads no more of the text, in bytes."""

DUMP_SIGNAL = signal.SIGRTMAX - 3

_MAGIC = 0x7461736B6473
_HEADER = 2


class Seating:
    """The memory as one process sees it; `deadlines` is for the path of every job.

    A deadline is CLOCK_MONOTONIC nanoseconds, 0 for none.
    """

    __slots__ = ("_memory", "_text_at", "deadlines", "fd", "seats")

    def __init__(self, fd: int, seats: int) -> None:
        self.fd = fd
        self.seats = seats
        self._text_at = _text_at(seats)
        self._memory = mmap.mmap(fd, self._text_at)
        words = memoryview(self._memory).cast("Q")
        self.deadlines = words[_HEADER : _HEADER + seats]

    @classmethod
    def create(cls, seats: int) -> Self:
        """Make the memory of this process, a worker."""
        fd = os.memfd_create(NAME)
        os.ftruncate(fd, _text_at(seats))
        os.pwrite(fd, _MAGIC.to_bytes(WORD, "little") + seats.to_bytes(WORD, "little"), 0)
        # The text goes to the end, wherever that is after the master has emptied it.
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        return cls(fd, seats)

    @classmethod
    def open(cls, pid: int, fd: int) -> Self | None:
        """Open the memory of another process; None if it is gone, or a job has closed it."""
        if not is_open(pid, fd):
            return None
        try:
            ours = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        header = os.pread(ours, _HEADER * WORD, 0)
        if header[:WORD] != _MAGIC.to_bytes(WORD, "little"):
            os.close(ours)
            return None
        return cls(ours, int.from_bytes(header[WORD:], "little"))

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        if self.fd >= 0:
            self.deadlines.release()
            self._memory.close()
            os.close(self.fd)
            self.fd = -1

    def write(self, text: str) -> None:
        """Add to the text. Never blocks, never raises: a job may have closed the descriptor."""
        with suppress(OSError):
            os.write(self.fd, text.encode(errors="backslashreplace"))

    def read(self) -> str:
        """The text since it was last emptied."""
        text = os.pread(self.fd, MOST_TEXT, self._text_at).decode(errors="replace")
        return text.replace("\0", "")  # PostgreSQL takes none

    def empty(self) -> None:
        """Forget the text, before asking anew."""
        os.ftruncate(self.fd, self._text_at)


def is_open(pid: int, fd: int) -> bool:
    """Whether a worker still has its memory there: a job may have closed it, and opened another."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith(f"/memfd:{NAME}")
    except OSError:
        return False


def _text_at(seats: int) -> int:
    size = (_HEADER + seats) * WORD
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
