"""How soon to start again what has ended."""

from __future__ import annotations

import math


class Backoff:
    """Grows from failure to failure; forgotten by whatever has lived long enough.

    Times are seconds of one monotonic clock.
    """

    FIRST, LAST, STABLE = 0.1, 30.0, 5.0

    def __init__(self) -> None:
        self._failures = 0
        self._not_before = 0.0

    def ended(self, lived: float, now: float) -> float:
        """Note an end that nobody ordered, after `lived` seconds; the seconds to wait."""
        self._failures = self._failures + 1 if lived < self.STABLE else 0
        pause = 0.0
        if self._failures:
            pause = min(self.FIRST * 2.0 ** (self._failures - 1), self.LAST)
        self._not_before = now + pause
        return pause

    def may_start(self, now: float) -> bool:
        """Whether the pause is over."""
        return now >= self._not_before

    def pause(self, now: float) -> float:
        """Seconds until it may start; infinite if there is nothing to wait for."""
        return math.inf if self.may_start(now) else self._not_before - now

    def forget(self) -> None:
        """Start afresh: something has changed that may mend it."""
        self._failures, self._not_before = 0, 0.0
