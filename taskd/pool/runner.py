"""Runs one job in a seat of a greenlet worker."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter

from taskd.board.layout import SUCCEEDED
from taskd.errors import JobInterrupt
from taskd.pool.claims import Row
from taskd.pool.ending import put
from taskd.pool.outbox import Outbox
from taskd.pool.reporter import Reporter
from taskd.pool.slots import Seat
from taskd.tasks.attempt import JobAttempt, run_attempt
from taskd.tasks.outcome import SUCCEEDED as SUCCEEDED_WITHOUT_RESULT
from taskd.tasks.outcome import Interrupted, Outcome

Limit = Callable[[str, str], float | None]


class Runner:
    """From a claimed row to its outcome in the outbox. Each microsecond here is one of every job."""

    __slots__ = ("_limit", "_outbox", "_reporter", "_words")

    def __init__(
        self, words: memoryview, outbox: Outbox, reporter: Reporter, limit: Limit
    ) -> None:
        self._words = words
        self._outbox = outbox
        self._reporter = reporter
        self._limit = limit

    def run(self, seat: Seat, row: Row) -> float:
        """Run the job of a row; perf_counter's time when it ended."""
        job, _, queue, fence, number, max_attempts, timeout, task, args, kwargs = row
        limit = self._limit(task, queue) if timeout is None else timeout
        started = seat.started = perf_counter()
        try:
            seat.deadline = inf if limit is None else started + limit
            seat.row = row
            attempt = JobAttempt(job, fence, number, task, queue)
            outcome: Outcome = run_attempt(attempt, args, kwargs, max_attempts)
            seat.row = None
        except JobInterrupt:  # it struck when the job had just ended, or was about to begin
            seat.row = None
            outcome = Interrupted()
        ended = perf_counter()
        if outcome is SUCCEEDED_WITHOUT_RESULT:
            outbox = self._outbox
            outbox.ids.append(job)
            outbox.fences.append(fence)
            outbox.durations.append(ended - started)
            self._words[SUCCEEDED] += 1
        else:
            put(self._outbox, self._words, row, ended - started, outcome)
        if self._reporter.is_waiting:
            self._reporter.wake()
        return ended
