"""The tally of one measurement: what the processes that run jobs have counted (peers/work.py)."""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.work import COUNT, FIRST, LAST, PID, SIZE, WORDS

PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Span:
    """How many jobs ended, and the seconds from the first line of one to the last line of one."""

    jobs: int
    seconds: float

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds if self.seconds else 0.0


class Tally:
    """Reads the tally; its files are made in `folder`."""

    def __init__(self, folder: Path) -> None:
        (folder / "tally").write_bytes(bytes(SIZE))
        os.mkfifo(folder / "stamps")
        with (folder / "tally").open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("d")

    def count(self) -> int:
        """How many jobs have ended."""
        return sum(int(self._words[at + COUNT]) for at in self._places())

    def processes(self) -> int:
        """How many processes have run a job."""
        return len(self._places())

    def span(self) -> Span:
        firsts = [first for at in self._places() if (first := self._words[at + FIRST])]
        lasts = [self._words[at + LAST] for at in self._places()]
        return Span(self.count(), max(lasts) - min(firsts) if firsts else 0.0)

    def reset(self) -> None:
        """Forget all jobs, not the processes; called while none runs."""
        for at in self._places():
            for word in (FIRST, LAST, COUNT):
                self._words[at + word] = 0.0

    def wait_for(self, count: int, seconds: float) -> bool:
        """Whether so many jobs ended within that time."""
        deadline = time.monotonic() + seconds
        while self.count() < count:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE)
        return True

    def _places(self) -> list[int]:
        places = []
        for at in range(0, len(self._words), WORDS):
            if not self._words[at + PID]:
                break
            places.append(at)
        return places
