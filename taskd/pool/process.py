"""A worker of a process pool: one job at a time, in the main thread.

    claim one ─► run it ─► report ─► claim …          nothing to claim: wait on the own eventfd

While a job runs this process hears nothing, so it writes the job and its deadline on the board,
and the master sends SIGUSR1 when the time is over or the job is to be cancelled, SIGTERM once to
drain and once more to interrupt. Their handlers raise inside the job, and only there. Before it has
to kill, the master sends DUMP_SIGNAL, and faulthandler writes where the job stands.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import time
import traceback
from _thread import start_new_thread
from collections.abc import Mapping, Sequence
from os import getpid
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from taskd import logs
from taskd.board import Seating, WorkerState
from taskd.board.layout import (
    BEAT,
    DEADLINE,
    FENCE,
    IN_FLIGHT,
    JOB,
    LOOK,
    LOST,
    SEATING,
    SEATS,
    STARTED,
    STATE,
    WARM,
)
from taskd.board.seating import DUMP_SIGNAL
from taskd.clock import monotonic, monotonic_ns
from taskd.errors import DatabaseError, Interrupt, JobCancelled, JobInterrupted, JobTimeout
from taskd.events import Events
from taskd.pool import job_handler, spawn, standing, stderr
from taskd.pool.answers import Answers
from taskd.pool.claims import Claims, Row
from taskd.pool.ending import escaped, put, refusal
from taskd.pool.events import LoopFailed, MasterGone, WorkerDrains, WorkerReady
from taskd.pool.failures import FailureHandlers
from taskd.pool.hook_faults import alarm
from taskd.pool.illness import Illness
from taskd.pool.journal import Journal
from taskd.pool.lanes import Suspects
from taskd.pool.levels import Levels
from taskd.pool.life import LifeHooks, NotStarted
from taskd.pool.limits import TimeLimits
from taskd.pool.live import LiveBytes
from taskd.pool.outage import Outage
from taskd.pool.outbox import Outbox
from taskd.pool.place import KEEP_SECONDS, Place
from taskd.pool.scribe import Scribe
from taskd.pool.usage import ProcessUsage
from taskd.store.link import Link
from taskd.tasks import client
from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import Failed, Outcome
from taskd.tasks.run import Runner

if TYPE_CHECKING:
    from taskd.pool.canary import Canary
    from taskd.pool.canary.survivors import Cohort

BEAT_SECONDS = 0.5
NO_HOST_SECONDS = 0.05
AFTER_FAULT_SECONDS = 1.0
_NS = 1_000_000_000


def run_worker(place: Place) -> int:
    """Be a process worker from its fork until it has drained; the exit status."""
    os.setpgid(0, 0)  # what a job starts dies with its worker
    client.configure(database=place.dsn, max_args=place.settings.max_args)
    events = Events()
    logs.install(events, place.settings.log, f"worker {place.name}")
    try:
        life = LifeHooks(place, events, alarm)
        life.forked()
        return Worker(place, events, life).run()
    except NotStarted:
        return spawn.UNEXPECTED_EXIT


class _Attempt(JobAttempt):
    """An attempt whose cancel is read from the board: until it has begun no signal strikes it."""

    __slots__ = ("words",)

    words: memoryview

    @property
    def is_cancelled(self) -> bool:
        """Whether the board says so."""
        return bool(self.words[LOOK] == self.id)


class Worker:
    """One worker; `turn` is one round of its life."""

    def __init__(self, place: Place, events: Events, life: LifeHooks) -> None:
        self._place = place
        self._pid = getpid()
        self._life = life
        self._failures = FailureHandlers(place.name, events, alarm)
        self._words = place.own.words
        self._events = events
        self._link = Link(place.dsn, place.name)
        self._outbox = Outbox(place.name, events, tells_ends=place.tells_all)
        self._claims = Claims(place, self._link, events, self._outbox.held)
        self._journal = Journal(place.name, place.settings.log.job_bytes, events)
        self._scribe = Scribe(place, self._journal, lambda: self._claims.worker, events)
        self._journal.on_said = self._scribe.said
        self._outage = Outage(place.name, events)
        self._illness = Illness(self._be_ill, place.pool_settings.shutdown_timeout)
        self._limits = TimeLimits(place.settings, place.pool)
        self._ear = select.poll()
        self._ear.register(place.wakeups.fds[place.slot], select.POLLIN)
        self._runner = Runner(place.settings.imports, max_result=place.settings.max_result)
        self._seating = Seating.create(1)
        self._seats = place.own.seats
        self._live = LiveBytes(place.own)
        self._levels = Levels(self._words)
        self._canary = _make_canary(place, events) if place.is_canary else None
        self._answers = Answers(
            self._words,
            lambda frame: standing.threads(frame, self._running),
            start_new_thread,
            time.sleep,
        )
        self._words[SEATS] = 1
        self._usage = ProcessUsage()
        self._running: JobAttempt | None = None
        self._told: JobAttempt | None = None
        self._terms = 0
        self._called = True
        self._is_draining = False
        self._drained_at = 0.0
        self._busy_at = monotonic()

    def run(self) -> int:
        """Work until a drain is ordered and everything is stored; the exit status."""
        self.start()
        while not self._is_draining or self._has_reports:
            self._turn_or_recover()
        self._outbox.failures.settle(all_now=True)
        self._life.stop(self._drained_at)
        self._words[STATE] = WorkerState.EXITING
        self._link.close()
        self._scribe.give_back()
        return 0

    def start(self) -> None:
        """Take orders, and call the users' hooks. Raises NotStarted."""
        faulthandler.register(signal.SIGUSR2, file=stderr.open_for_dumps(), all_threads=True)
        faulthandler.register(DUMP_SIGNAL, self._seating.fd, all_threads=False)
        self._words[SEATING] = self._seating.fd
        self._install_handlers()
        self._answers.install()
        os.register_at_fork(after_in_child=_let_sigterm_end)
        self._log_handler = job_handler.install(
            self._journal, self._place.settings.log, otherwise=lambda: self._running
        )
        if self._canary is not None:
            self._canary.leave_out(self._log_handler)
        spawn.accept_orders()
        self._life.start()
        self._live.begin()
        self._words[STATE] = WorkerState.READY
        self._events.emit(WorkerReady(self._place.name, os.getpid()))

    def turn(self) -> None:
        """Report what is over, heed orders, claim and run one job, or wait for news."""
        self._beat()
        self._report()
        if self._terms or self._is_draining:
            self._drain("ordered")
            return
        called, self._called = self._called, False
        if called:
            self._claims.look_again()
            self._claims.take_cancellations()  # of jobs that ended before we heard of it
        if self._claims.shows_idle and not called:
            self._wait(BEAT_SECONDS)
        elif self._claims.is_registered or self._claims.register():
            self._claim_and_run()
        else:
            self._wait(NO_HOST_SECONDS)

    def _claim_and_run(self) -> None:
        rows, has_more, _ = self._claims.claim(1, Suspects.FIRST)
        self._outage.over()
        if rows:
            self._claims.show_idle(0)
            self._run_job(rows[0])
        elif not has_more:
            self._claims.show_idle(int(self._claims.is_registered))

    def _run_job(self, row: Row) -> None:
        job, _, queue, fence, number, max_attempts, timeout, task, args, kwargs, extra = row
        limit = self._limits.of(task, queue) if timeout is None else timeout
        attempt = _Attempt(
            job, fence, number, max_attempts, task, queue, self._claims.worker, extra, self._journal
        )
        attempt.words = self._words
        self._running = attempt
        self._log_handler.stay()
        self._show_job(job, fence, limit)
        cohort = None if self._canary is None else self._canary.begin(fence, task)
        self._usage.begin()
        started = perf_counter()
        outcome: Outcome
        try:
            outcome = refusal(extra) or self._run_attempt(attempt, args, kwargs, cohort)
        except Interrupt:  # a signal struck as the job ended
            outcome = self._runner.interrupted(attempt)
        except BaseException as fault:  # a border: a worker outlives whatever a job does
            outcome = escaped(fault)
        if getpid() != self._pid:  # a child that the job has forked came to the task's end
            os._exit(1 if isinstance(outcome, Failed) else 0)
        seconds = perf_counter() - started
        used = self._usage.end()
        self._levels.counts[task] += 1
        self._words[DEADLINE] = 0
        if isinstance(outcome, Failed):
            self._failures.call(attempt, args, kwargs, outcome)
        put(self._outbox, self._words, row, seconds, outcome, used)
        del outcome  # with a failure's traceback, and all that its frames hold
        if self._canary is not None and cohort is not None:
            self._canary.end(fence, cohort, self._outbox)
        self._words[JOB] = self._words[FENCE] = self._words[STARTED] = 0
        self._seats[0] = 0
        self._words[IN_FLIGHT] = 0
        self._called = self._called or bool(self._words[LOOK])
        self._busy_at = monotonic()
        self._install_handlers()  # the job may have had its own
        self._answers.listen()

    def _run_attempt(
        self,
        attempt: JobAttempt,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        cohort: Cohort | None,
    ) -> Outcome:
        run_attempt = self._runner.run_attempt
        if cohort is None:
            return run_attempt(attempt, args, kwargs)
        return cohort.call(run_attempt, attempt, args, kwargs)

    def _show_job(self, job: int, fence: int, limit: float | None) -> None:
        """Write on the board what the master enforces."""
        w = self._words
        now = w[BEAT] = w[STARTED] = monotonic_ns()
        w[JOB], w[FENCE], w[IN_FLIGHT] = job, fence, 1
        self._seats[0] = job
        w[DEADLINE] = 0 if limit is None else now + int(limit * _NS)

    @property
    def _has_reports(self) -> bool:
        is_news = self._canary is not None and self._canary.has_news
        return is_news or len(self._outbox) > 0 or self._journal.pause() is not None

    def _report(self) -> None:
        if not self._has_reports:
            return
        with self._link.connection() as connection:
            self._journal.flush(connection, self._claims.worker)
            self._outbox.flush(connection, self._claims.worker)
            self._levels.flush(connection, self._place.pool, self._claims.worker)
            if self._canary is not None:
                self._canary.flush(connection, self._claims.worker)
        self._outage.over()
        self._words[LOST] = self._outbox.lost

    def _be_ill(self) -> None:
        self._drain("it fails again and again; the next one may do better")

    def _drain(self, why: str) -> None:
        if not self._is_draining:
            self._is_draining = True
            self._drained_at = monotonic()
            if self._canary is not None:
                self._canary.finish()
            self._words[STATE] = WorkerState.DRAINING
            self._claims.show_idle(0)
            self._events.emit(WorkerDrains(self._place.name, why, 0))

    def _turn_or_recover(self) -> None:
        try:
            self.turn()
        except DatabaseError as error:
            self._wait(self._outage.failed(error))
        except Exception:
            self._events.emit(LoopFailed(self._place.name, "its loop", traceback.format_exc()))
            self._illness.failed()
            time.sleep(AFTER_FAULT_SECONDS)
        else:
            self._illness.passed()
            return
        self._called = True  # whoever called was not heard to the end

    def _wait(self, seconds: float) -> None:
        """Wait for a call, at most so long."""
        if self._ear.poll(seconds * 1000) and self._place.hears:
            self._place.wakeups.clear(self._place.slot)
            self._called = True

    def _beat(self) -> None:
        self._words[BEAT] = monotonic_ns()
        self._tell_memory()
        self._outbox.failures.settle()
        if not self._place.has_master:
            self._events.emit(MasterGone(self._place.name))
            self._drain("the master is gone")
        if not self._place.hears:  # a job has closed its descriptors: make room for a whole worker
            self._drain("a job has closed its eventfd")
        if not self._place.has_maintenance:
            self._called = True
        if not self._words[WARM] and monotonic() - self._busy_at > KEEP_SECONDS:
            self._link.close()
            self._scribe.give_back()

    def _tell_memory(self) -> None:
        if self._canary is None:
            self._live.beat()
            self._levels.beat()
            return
        self._canary.beat()
        if self._canary.has_seen_enough:
            self._drain("the canary has seen enough")

    def _install_handlers(self) -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGUSR1, self._on_usr1)

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self._terms += 1
        if self._words[STATE] == WorkerState.READY:
            self._words[STATE] = WorkerState.DRAINING  # also while a job runs, if it was not ours
        attempt = self._running
        if self._terms > 1 and attempt is not None and attempt is not self._told:
            if attempt.takes_interrupts:
                self._told = attempt
                raise JobInterrupted
            attempt.is_interrupted = True  # if it has yet to begin
        if self._place.hears:  # a job may have closed its descriptors, or opened its own there
            self._place.wakeups.wake(self._place.slot)

    def _on_usr1(self, number: int, frame: FrameType | None) -> None:
        """Raise in the running job if it is to be cancelled or its time is over.

        The signal may come late, when another job runs already; the board says whom it is for. An
        attempt is told once, for a second time would strike it while it cleans up.
        """
        attempt, w = self._running, self._words
        if attempt is None or not attempt.takes_interrupts or attempt is self._told:
            return
        if w[LOOK] == attempt.id:
            self._told = attempt
            raise JobCancelled
        now = monotonic_ns()
        if w[DEADLINE] and now >= w[DEADLINE]:
            self._told = attempt
            raise JobTimeout((w[DEADLINE] - w[STARTED]) / _NS)


def _make_canary(place: Place, events: Events) -> Canary:
    from taskd.pool.canary import Canary  # a megabyte that few workers need

    return Canary(place, events)


def _let_sigterm_end() -> None:
    """In a child that a job forks: it has no orders to take."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
