"""What this worker held after how many jobs of each task: for finding out which of them leaks.

Each reading of what the worker holds is taken together with the jobs that have ended by then.
Means of them are stored, each with a twentieth more jobs than the last: so a long life gives few
rows, and no reading is lost.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from math import inf

from taskd.board.layout import FAILED, LIVE, LIVE_JOBS, RETRIED, SUCCEEDED
from taskd.clock import monotonic
from taskd.store.connect import Connection
from taskd.store.leaks import Level, write_level

LEAST_SECONDS = 2.0
MOST_SECONDS = 600.0
GROWTH = 1.05

MOST_UNSTORED = 100
"""Of more, while the database is away, the oldest are lost."""


class Levels:
    """The levels of one worker. `counts`, attempts by task, is for the path of every job."""

    __slots__ = (
        "_jobs", "_late_at", "_live", "_next_at", "_next_jobs", "_readings", "_sums", "_unstored",
        "_words", "counts",
    )  # fmt: skip

    def __init__(self, words: memoryview) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._words = words
        self._unstored: deque[Level] = deque(maxlen=MOST_UNSTORED)
        self._jobs = 0
        self._next_jobs = 0.0
        self._next_at = self._late_at = -inf
        self._begin()

    def beat(self) -> None:
        """Take what the board says, if it is new and no job has ended since."""
        words = self._words
        live, jobs = words[LIVE], words[LIVE_JOBS]
        if not live or jobs == self._jobs or not self.counts:
            return
        if jobs != words[SUCCEEDED] + words[FAILED] + words[RETRIED]:
            return
        self._jobs = jobs
        self._readings += 1
        self._live += live
        for task, count in self.counts.items():
            self._sums[task] += count
        self._put_aside(jobs)

    def _put_aside(self, jobs: int) -> None:
        """Close the mean if it is time to."""
        now = monotonic()
        if now < self._next_at or (jobs < self._next_jobs and now < self._late_at):
            return
        self._next_jobs = jobs * GROWTH
        self._next_at, self._late_at = now + LEAST_SECONDS, now + MOST_SECONDS
        readings = self._readings
        counts = {task: total / readings for task, total in self._sums.items()}
        self._unstored.append(Level(0, self._live / readings, counts, readings))
        self._begin()

    def _begin(self) -> None:
        self._readings = self._live = 0
        self._sums: defaultdict[str, int] = defaultdict(int)

    @property
    def has_news(self) -> bool:
        """Whether something was put aside."""
        return bool(self._unstored)

    def flush(self, connection: Connection, pool: str, worker: int) -> None:
        """Store what was put aside; what fails is tried again. More may be put aside meanwhile."""
        while self._unstored:
            level = self._unstored.popleft()
            try:
                write_level(connection, pool, replace(level, worker=worker))
            except Exception:
                self._unstored.appendleft(level)
                raise
