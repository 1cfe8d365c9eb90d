"""How many jobs a greenlet worker should hold ready, so that it never waits for a claim."""

from __future__ import annotations

MOST = 500
"""Jobs in one claim: twice as many are hardly faster, and longer in one worker's hands."""

WINDOW_SECONDS = 0.05
"""A worker holds what it ends in so long."""

SHORTEST_MEASURE = 0.005
HOARD_SECONDS = 0.2
"""A job that would wait longer than this in a worker's hands is better off in the queue."""


class Appetite:
    """Follows how many jobs end a second. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._at = 0.0
        self._ended = 0

    def measure(self, ended: int, now: float) -> None:
        """Note how many jobs have ended so far; half of the rate is what it was before."""
        passed = now - self._at
        if passed < SHORTEST_MEASURE:
            return
        self.rate = (self.rate + (ended - self._ended) / passed) / 2
        self._at, self._ended = now, ended

    def limit(self, open_slots: int) -> int:
        """How many jobs to hold ready, with so many slots that run none."""
        return min(MOST, max(open_slots, int(self.rate * WINDOW_SECONDS)))

    def wanted(self, open_slots: int, ready: int) -> int:
        """How many to claim now: none before the store is half empty."""
        limit = self.limit(open_slots)
        return max(0, limit - ready) if ready * 2 <= limit else 0

    def hoarded(self, open_slots: int, ready: int) -> int:
        """How many of the `ready` jobs would wait too long here."""
        if ready <= max(open_slots, self.rate * HOARD_SECONDS):
            return 0
        return ready - self.limit(open_slots)
