"""What the code in this worker holds: the bytes that its allocators have handed out.

What the kernel has given to a process only grows by leaks, by fragmentation and by load alike; of
these the allocators know the first. Python tells the number of its objects alone, which are counted
as 64 bytes each; those above 512 bytes, and what native code allocates, the C library counts.
"""

from __future__ import annotations

import gc
import sys

from taskd import malloc
from taskd.board import Slot
from taskd.board.layout import FAILED, FRESH, LIVE, LIVE_JOBS, RETRIED, SUCCEEDED, TRIM, TRIMMED
from taskd.clock import monotonic
from taskd.pool.usage import private_bytes

READ_SECONDS = 1.0
COST_SHARE = 0.005
"""So much of the time goes into reading at most: the C library walks over every free piece, which
takes 50 ms when there are 200,000 of them."""

BYTES_A_BLOCK = 64


class LiveBytes:
    """Tells the board what is held, at most once a second, and collects garbage when asked to."""

    def __init__(self, slot: Slot) -> None:
        self._words = slot.words
        self._next_read = 0.0

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
        return malloc.handed_out() + BYTES_A_BLOCK * sys.getallocatedblocks()

    def _trim(self) -> None:
        """Give up all that nobody refers to, down to the kernel, and read anew."""
        asked = self._words[TRIM]
        gc.collect()
        malloc.trim()
        self._tell(self._jobs())
        self._words[TRIMMED] = asked

    def _tell(self, jobs: int) -> None:
        self._words[LIVE] = self.read()
        self._words[LIVE_JOBS] = jobs

    def _jobs(self) -> int:
        words = self._words
        return int(words[SUCCEEDED] + words[FAILED] + words[RETRIED])
