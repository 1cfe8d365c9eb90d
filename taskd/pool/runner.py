"""Runs one job in a seat of a greenlet worker."""

from __future__ import annotations

from math import inf
from os import getpid
from time import perf_counter

from taskd.board.layout import SUCCEEDED, WORKER
from taskd.errors import Interrupt
from taskd.pool.claims import Row
from taskd.pool.ending import escaped, put, refusal, tell_ended
from taskd.pool.failures import FailureHandlers
from taskd.pool.limits import TimeLimits
from taskd.pool.offspring import end_child
from taskd.pool.outbox import Outbox
from taskd.pool.reporter import Reporter
from taskd.pool.slots import Seat
from taskd.pool.usage import SHORT_SECONDS, SwitchedUsage, Used
from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import DONE, Failed, Outcome
from taskd.tasks.run import Runner


class SeatRunner:
    """From a claimed row to an outcome in the outbox; each microsecond here is one of every job."""

    __slots__ = (
        "_counts", "_failures", "_journal", "_limit", "_outbox", "_pid", "_reporter",
        "_run_attempt", "_runner", "_tells_ends", "_usage", "_words",
    )  # fmt: skip

    def __init__(
        self,
        words: memoryview,
        runner: Runner,
        limits: TimeLimits,
        outbox: Outbox,
        reporter: Reporter,
        failures: FailureHandlers,
        usage: SwitchedUsage,
    ) -> None:
        self._words = words
        self._runner = runner
        self._run_attempt = runner.run_attempt
        self._limit = limits.of
        self._outbox = outbox
        self._tells_ends = outbox.tells_ends
        self._reporter = reporter
        self._journal = reporter.journal
        self._counts = reporter.levels.counts
        self._failures = failures
        self._usage = usage
        self._pid = getpid()

    def run(self, seat: Seat, row: Row) -> float:
        """Run the job of a row; perf_counter's time when it ended."""
        job, _, queue, fence, number, max_attempts, timeout, task, args, kwargs, extra = row
        limit = self._limit(task, queue) if timeout is None else timeout
        worker = self._words[WORKER]
        attempt = JobAttempt(
            job, fence, number, max_attempts, task, queue, worker, extra, self._journal
        )
        seat.attempt = attempt
        started = seat.started = attempt.started
        if limit is not None:
            seat.show_deadline(started + limit)
        outcome: Outcome
        try:
            outcome = refusal(extra) or self._run_attempt(attempt, args, kwargs)
        except Interrupt:  # a signal struck as the job ended
            outcome = self._runner.interrupted(attempt)
        if getpid() != self._pid:
            end_child(outcome)
        self._counts[task] += 1
        ended = perf_counter()
        if limit is not None:
            seat.show_deadline(inf)
        seconds = ended - started
        if outcome is DONE:
            outbox = self._outbox
            if seconds >= SHORT_SECONDS:
                outbox.cpus[fence] = self._usage.of(attempt, ended)
            outbox.ids.append(job)
            outbox.fences.append(fence)
            outbox.durations.append(seconds)
            self._words[SUCCEEDED] += 1
            if self._tells_ends:
                tell_ended(outbox, row, seconds, outcome)
        else:
            used = Used(self._usage.of(attempt, ended))
            if isinstance(outcome, Failed):
                self._failures.call(attempt, args, kwargs, outcome)
            put(self._outbox, self._words, row, seconds, outcome, used)
        if self._reporter.is_waiting:
            self._reporter.wake()
        return ended

    def fail(self, row: Row, fault: BaseException) -> None:
        """Fail a job whose run raised what it should not: the fault is ours, or the job's craft."""
        put(self._outbox, self._words, row, 0.0, escaped(fault))
        if self._reporter.is_waiting:
            self._reporter.wake()
