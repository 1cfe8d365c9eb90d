"""The greenlet that keeps time: deadlines of jobs, and jobs that wait here too long.

One float a slot and one look at all of them ten times a second; a timer for each job would cost
half as much as the job's whole way through the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import gevent

from taskd.errors import JobTimeout
from taskd.pool.slots import Slots

BUSY_SECONDS = 0.1
IDLE_SECONDS = 0.5


class Sweeper:
    """Throws JobTimeout into jobs that are over their time; calls `review` while jobs run."""

    def __init__(self, slots: Slots, grace: float, review: Callable[[], None]) -> None:
        self._slots = slots
        self._grace = grace
        self._review = review

    def start(self) -> None:
        """Begin to keep time."""
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            busy = self._slots.busy or self._slots.waiting
            gevent.sleep(BUSY_SECONDS if busy else IDLE_SECONDS)
            self.sweep(perf_counter())
            self._review()

    def sweep(self, now: float) -> None:
        """Interrupt what is over its deadline; one that swallows it is interrupted again."""
        for seat, attempt in self._slots.running():
            if seat.deadline <= now:
                self._slots.interrupt(seat, attempt, JobTimeout(seat.deadline - seat.started))
                seat.deadline = now + max(self._grace, 1.0)
