"""What the code in this worker holds: the bytes that its allocators have handed out.

What the kernel has given to a process only grows by leaks, by fragmentation and by load alike; of
these the allocators know the first. Python tells the number of its objects alone, which are counted
as 64 bytes each; those above 512 bytes, and what native code allocates, the C library counts.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable

from taskd.board import Slot
from taskd.board.layout import FAILED, FRESH, LIVE, LIVE_JOBS, RETRIED, SUCCEEDED, TRIM, TRIMMED
from taskd.clock import monotonic
from taskd.pool.usage import private_bytes

READ_SECONDS = 1.0
COST_SHARE = 0.005
"""So much of the time goes into reading at most: the C library walks over every free piece, which
takes 50 ms when there are 200,000 of them."""

BYTES_A_BLOCK = 64


class _MallInfo(ctypes.Structure):
    """What mallinfo2 returns, in the order of malloc.h."""

    _fields_ = [
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    ]


class LiveBytes:
    """Tells the board what is held, at most once a second, and collects garbage when asked to."""

    def __init__(self, slot: Slot) -> None:
        self._words = slot.words
        self._next_read = 0.0
        self._malloc_info, self._malloc_trim = _allocator()

    def begin(self) -> None:
        """Tell what the kernel has given to this process before its first job."""
        self._words[FRESH] = private_bytes()

    def beat(self) -> None:
        """Read if it is time to and jobs have ended since; or if the master has asked for it."""
        words = self._words
        if words[TRIM] != words[TRIMMED]:
            self._trim()
        now = monotonic()
        if now < self._next_read:
            return
        jobs = self._jobs()
        if jobs != words[LIVE_JOBS]:
            self._tell(jobs)
        self._next_read = now + max(READ_SECONDS, (monotonic() - now) / COST_SHARE)

    def read_soon(self) -> None:
        """Read with the next beat, however soon after the last time."""
        self._next_read = 0.0

    def read(self) -> int:
        """The bytes handed out now."""
        return self._malloc_info() + BYTES_A_BLOCK * sys.getallocatedblocks()

    def _trim(self) -> None:
        """Give up all that nobody refers to, down to the kernel, and read anew."""
        asked = self._words[TRIM]
        gc.collect()
        self._malloc_trim()
        self._tell(self._jobs())
        self._words[TRIMMED] = asked

    def _tell(self, jobs: int) -> None:
        self._words[LIVE] = self.read()
        self._words[LIVE_JOBS] = jobs

    def _jobs(self) -> int:
        words = self._words
        return int(words[SUCCEEDED] + words[FAILED] + words[RETRIED])


def _allocator() -> tuple[Callable[[], int], Callable[[], None]]:
    """How to ask the C library, and how to trim it; a library that is not glibc tells nothing."""
    libc = ctypes.CDLL(None)
    try:
        mallinfo, trim = libc.mallinfo2, libc.malloc_trim
    except AttributeError:
        return (lambda: 0), (lambda: None)
    mallinfo.restype = _MallInfo

    def held() -> int:
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)

    return held, lambda: trim(0)
