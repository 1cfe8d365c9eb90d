"""Moves scheduled jobs into their queues when they are due."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from taskd.clock import monotonic
from taskd.maintenance.wakeup import LaneNews, Waker
from taskd.store import jobs
from taskd.store.connect import Connection

BATCH = 1000
LOST_RACE_SECONDS = 0.05


class Promote:
    """The chore that promotes what is due.

    It sleeps until the earliest time it heard of. When that has passed, `ask` lets the lease beat,
    and the beat says when the next job is due.
    """

    def __init__(self, waker: Waker, hurry: Callable[[], None], ask: Callable[[], None]) -> None:
        self._waker = waker
        self._hurry = hurry
        self._ask = ask
        self._due = inf
        self._not_before = -inf

    def due(self) -> float:
        """When the first scheduled job is due, on the monotonic clock."""
        return max(self._due, self._not_before)

    def due_in(self, seconds: float) -> None:
        """Something is due in so many seconds (negative: overdue). Any thread may call."""
        at = monotonic() + seconds
        if at < self._due:
            self._due = at
            self._hurry()

    def run(self, connection: Connection) -> None:
        """Promote until nothing is due, and wake workers for it."""
        self._due = inf
        try:
            total = promoted = self._promote(connection)
            while promoted == BATCH:
                promoted = self._promote(connection)
                total += promoted
        finally:
            self._ask()
        if total == 0:  # another host is at it: do not spin until it has committed
            self._not_before = monotonic() + LOST_RACE_SECONDS

    def _promote(self, connection: Connection) -> int:
        promoted, lanes = jobs.promote_jobs(connection, BATCH)
        for queue, lane, count, seq in lanes:
            self._waker.jobs_wait(LaneNews(queue, lane, seq, count))
        return promoted
