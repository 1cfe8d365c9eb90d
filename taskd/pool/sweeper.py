"""The greenlet that keeps time: beats, deadlines of jobs, and jobs that wait here too long.

One float a slot and one look at all of them ten times a second; a timer for each job would cost
half as much as the job's whole way through the worker. With each beat it says when the next one is
due: when that has passed, somebody holds the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import gevent
from gevent.event import Event

from taskd.board import Why
from taskd.board.layout import BEAT, DUE, STOOD
from taskd.clock import monotonic_ns
from taskd.errors import JobTimeout
from taskd.pool.slots import Slots
from taskd.pool.told import Told

BUSY_SECONDS = 0.1
IDLE_SECONDS = 0.5
LATE_NS = 100_000_000
_NS = 1_000_000_000


class Sweeper:
    """Throws JobTimeout into jobs that are over their time; calls `review` while jobs run."""

    def __init__(
        self, words: memoryview, slots: Slots, told: Told, review: Callable[[], None]
    ) -> None:
        self._words = words
        self._slots = slots
        self._told = told
        self._review = review
        self._jobs_come = Event()
        slots.on_busy = self._jobs_come.set

    def start(self) -> None:
        """Begin to keep time."""
        self.beat(IDLE_SECONDS)
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self._jobs_come.clear()
            if self._slots.busy or self._slots.waiting:
                self.beat(BUSY_SECONDS)
                gevent.sleep(BUSY_SECONDS)
            else:
                # Woken before the first job starts, so that what it blocks is seen at once.
                self.beat(IDLE_SECONDS)
                self._jobs_come.wait(IDLE_SECONDS)
            self.sweep(perf_counter())
            self._review()

    def beat(self, seconds: float) -> None:
        """Say that the hub turns, and that it will again within so many seconds."""
        words = self._words
        now = monotonic_ns()
        late = now - (words[DUE] or now)
        if late > LATE_NS:
            words[STOOD] = late
        words[DUE] = now + int(seconds * _NS)
        words[BEAT] = now

    def sweep(self, now: float) -> None:
        """Interrupt what is over its deadline, each attempt once."""
        for seat, attempt in self._slots.running():
            if seat.deadline <= now and self._told.note(attempt, Why.TIMEOUT):
                self._slots.interrupt(seat, attempt, JobTimeout(seat.deadline - seat.started))
        self._told.show()
