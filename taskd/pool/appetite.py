"""How many jobs a greenlet worker should hold ready, so that it never waits for a claim.

It holds what it ends in WINDOW seconds. The rate is the lower of two: how many ended lately, and
how many can end if all slots go on as they did. The first alone is fooled by jobs that sleep and
end all at once; the second alone by jobs that never block, of which only one runs at a time.
"""

from __future__ import annotations

MOST = 500
"""Jobs in one claim: twice as many are hardly faster, and longer in one worker's hands."""

WINDOW_SECONDS = 0.1
"""As long as a job of a tenth of a second, each slot finds its next job here."""

HOARD_SECONDS = 0.3
"""A job that would wait longer than this in a worker's hands is better off in the queue."""

_SHORTEST_MEASURE = 0.005
_LONGEST_SILENCE = 0.25


class Appetite:
    """Follows how many jobs a worker of `slots` slots ends a second."""

    def __init__(self, slots: int) -> None:
        self.rate = 0.0
        self._slots = slots
        self._at = 0.0
        self._ended = 0
        self._spent = 0.0

    def measure(self, ended: int, spent: float, now: float) -> None:
        """Note how many jobs have ended so far, and how many seconds they took together."""
        passed, jobs = now - self._at, ended - self._ended
        if passed < (_SHORTEST_MEASURE if jobs else _LONGEST_SILENCE):
            return
        rate = jobs / max(passed, (spent - self._spent) / self._slots)
        falls_slowly = jobs and rate < self.rate
        self.rate = (self.rate + rate) / 2 if falls_slowly else rate
        self._at, self._ended, self._spent = now, ended, spent

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
