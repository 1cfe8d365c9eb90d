"""A greenlet worker: many jobs at once in one process.

    claimer    claims jobs and hears who calls                     claims, appetite, lanes
    slots      run them side by side                               runner
    reporter   stores how they ended                               outbox
    drain      claim no more, finish, store, exit                  on SIGTERM
    sweeper    keeps their time                    pulse           says that the worker lives

All of it is one thread with one hub. The claimer and the reporter share a connection; while jobs
are tiny each has its own.
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import gevent
import greenlet
from gevent.event import Event

from taskd import logs
from taskd.board import Seating, Why, WorkerState
from taskd.board.layout import ILL, NOTED, STATE, WARM
from taskd.clock import monotonic
from taskd.errors import HookTimeout, JobCancelled, JobInterrupted
from taskd.events import Events
from taskd.pool import job_handler, offspring, preflight, spawn, stacks, waiting
from taskd.pool.answers import Answers
from taskd.pool.breaker import Breaker
from taskd.pool.claimer import Claimer
from taskd.pool.claims import Claims
from taskd.pool.ending import put_cancelled
from taskd.pool.events import JobsInterrupted, MasterGone, WorkerDrains, WorkerReady
from taskd.pool.failures import FailureHandlers
from taskd.pool.greenlet_stacks import GreenletStacks
from taskd.pool.life import LifeHooks, NotStarted
from taskd.pool.limits import TimeLimits
from taskd.pool.live import LiveBytes
from taskd.pool.outbox import Outbox
from taskd.pool.place import KEEP_SECONDS, Place
from taskd.pool.pulse import Pulse
from taskd.pool.reporter import Reporter
from taskd.pool.runner import SeatRunner
from taskd.pool.slots import RunsJobs, Slots
from taskd.pool.sweeper import Sweeper
from taskd.pool.told import Told
from taskd.pool.usage import SwitchedUsage
from taskd.store.pair import Pair
from taskd.tasks import client
from taskd.tasks.run import Runner

if TYPE_CHECKING:
    from taskd.pool.canary import Canary

LEAST_TINY, TINY_A_SLOT = 50, 2
"""Who claims or reports so many jobs at once has tiny ones: each slot runs several meanwhile."""


def run_worker(place: Place) -> int:
    """Be a greenlet worker from its fork until it has drained; the exit status."""
    if preflight.has_hub():
        gevent.reinit()
    gevent.get_hub().SYSTEM_ERROR = ()  # sys.exit in a greenlet of a job ends that greenlet only
    waiting.require_patched_psycopg()
    waiting.install()
    offspring.let_greenlets_inherit()
    offspring.watch_before_fork()
    offspring.leave_others_behind()
    client.configure(database=place.dsn, max_args=place.settings.max_args)
    events = Events()
    logs.install(events, place.settings.log, f"worker {place.name}")
    try:
        life = LifeHooks(place, events, _limit)
        life.forked()
        return Worker(place, events, life).run()
    except NotStarted:
        return spawn.UNEXPECTED_EXIT


def _limit(seconds: float) -> AbstractContextManager[object]:
    """Bound the time of a hook, as long as it lets other greenlets run."""
    timeout: AbstractContextManager[object] = gevent.Timeout(seconds, HookTimeout(seconds))
    return timeout


class Worker:
    """The parts of a worker, and its life from start to exit."""

    def __init__(self, place: Place, events: Events, life: LifeHooks) -> None:
        self._place = place
        self._life = life
        self._pool = place.pool_settings
        self._words = place.own.words
        self._events = events
        many = max(LEAST_TINY, TINY_A_SLOT * (self._pool.greenlets or 1))
        self._pair = Pair(place.dsn, place.name, many)
        self._outbox = Outbox(place.name, events, tells_ends=place.tells_all)
        claims = Claims(place, self._pair, events, self._held)
        self.reporter = Reporter(place, self._outbox, claims, self._pair, events)
        seating = Seating.create(self._pool.greenlets or 1)
        self._canary: Canary | None = None
        self._usage = SwitchedUsage()
        seat_runner: RunsJobs = SeatRunner(
            self._words,
            Runner(place.settings.imports, max_result=place.settings.max_result),
            TimeLimits(place.settings, place.pool),
            self._outbox,
            self.reporter,
            FailureHandlers(place.name, events, _limit),
            self._usage,
        )
        if place.is_canary:
            seat_runner = self._be_canary(seat_runner)
        self.slots = Slots(place.own, seating, seat_runner)
        self._told = Told(self._words)
        self._breaker = Breaker(self._words, self.slots, seating, self._told)
        self._answers = Answers(
            self._words,
            GreenletStacks(self.slots).all,
            lambda function, args: gevent.spawn(function, *args),
            gevent.sleep,
        )
        self.claimer = Claimer(place, claims, self.slots, self._outbox.__len__, events)
        self.claimer.on_claimed = self._pair.carried
        self.claimer.on_cancel = self._cancel
        self.reporter.on_let_in = self.claimer.expect
        self.reporter.handing_off = self.claimer.handing_off
        self.claimer.on_illness = self.reporter.on_illness = self._be_ill
        self._sweeper = Sweeper(self._words, self.slots, self._told, self.claimer.review)
        self._live = LiveBytes(place.own)
        self._pulse = Pulse(place, self._tend, self._be_orphaned)
        self._drain_ordered = Event()
        self._why_drain = ""
        self._was_told = False  # to drain, by the master
        self._busy_at = monotonic()

    def _be_canary(self, inner: RunsJobs) -> RunsJobs:
        """Trace what these jobs allocate; what that takes is imported here, as few are canaries."""
        from taskd.pool.canary import Canary
        from taskd.pool.canary.seats import TracedSeats

        self._canary = self.reporter.canary = Canary(self._place, self._events)
        return TracedSeats(inner, self._canary, self._outbox)

    def run(self) -> int:
        """Work until a drain is ordered, drain, and return the exit status."""
        self.start()
        self._drain_ordered.wait()
        self.drain()
        return 0

    def start(self) -> None:
        """Take orders, call the users' hooks, begin to claim, run and report.

        Raises NotStarted.
        """
        self._take_orders()
        self._log_handler = job_handler.install(self.reporter.journal, self._place.settings.log)
        if self._canary is not None:
            self._canary.leave_out(self._log_handler)
            self._canary.trace_switches()
        self._life.start()
        self.slots.start()
        self.reporter.start()
        self.claimer.start()
        self._sweeper.start()
        self._pulse.start()
        self._usage.start(greenlet.settrace)
        self._live.begin()
        self._words[STATE] = WorkerState.READY
        self._events.emit(WorkerReady(self._place.name, os.getpid()))

    def order_drain(self, why: str) -> None:
        """Let the worker drain, once the hub turns; ordering it twice is harmless."""
        self._why_drain = self._why_drain or why
        self._drain_ordered.set()

    def drain(self) -> None:
        """Claim no more, give back what has not begun, finish the rest and store it; blocks."""
        drained_at = monotonic()
        self._words[STATE] = WorkerState.DRAINING
        self._events.emit(WorkerDrains(self._place.name, self._why_drain, self.slots.busy))
        self.claimer.drain()
        self.slots.wait_until_quiet()
        if self._canary is not None:
            self._canary.finish()
            self.reporter.wake()
        self.claimer.wait_until_empty_handed()
        self.reporter.wait_until_empty()
        self._outbox.failures.settle(all_now=True)
        self._life.stop(drained_at)
        self._words[STATE] = WorkerState.EXITING
        self._pair.close()

    def interrupt(self) -> None:
        """Raise JobInterrupted in every job that runs or would begin; they go back to their queues.

        Those that were told to end before are ending, or the master will see to them. May be called
        again: nobody is interrupted twice.
        """
        for attempt in self.slots.unbegun():
            attempt.is_interrupted = True
        running = [one for one in self.slots.running() if self._told.note(one[1], None)]
        for seat, attempt in running:
            self.slots.interrupt(seat, attempt, JobInterrupted())
        if running:
            jobs = tuple(attempt.id for _, attempt in running)
            self._events.emit(JobsInterrupted(self._place.name, jobs))

    def _held(self) -> list[int]:
        """The fences of all jobs that this worker has in its hands."""
        returning = [row[3] for row in self.claimer.returning]
        return self.slots.fences() + self._outbox.held() + returning

    def _take_orders(self) -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        gevent.signal_handler(signal.SIGTERM, self._on_term)
        self._breaker.install()
        self._answers.install()
        stacks.dump_on_signal(signal.SIGUSR2, self._breaker.describe)
        spawn.accept_orders()

    def _on_term(self) -> None:
        if self._was_told or self._words[NOTED]:
            self.interrupt()
        self._was_told = True  # it may drain already, of itself
        self.order_drain("ordered")

    def _cancel(self, job: int) -> None:
        row = self.slots.take_out(job)
        if row is not None:
            put_cancelled(self._outbox, self._words, row)
            self.reporter.wake()
        for seat, attempt in self.slots.seated(job):
            if not attempt.is_open:  # its module is still being imported, or it has ended
                attempt.cancel()
            elif self._told.note(attempt, Why.CANCEL):
                self.slots.interrupt(seat, attempt, JobCancelled())

    def _tend(self) -> None:
        """Tell what was counted, give connections back when quiet; the warm worker keeps one."""
        self._log_handler.stay()
        self._tell_memory()
        self._outbox.failures.settle()
        if not self._place.hears:
            self.order_drain("a job has closed its eventfd")
        now = monotonic()
        if self.slots.busy or self.slots.waiting or len(self._outbox):
            self._busy_at = now
        is_quiet = now - max(self._busy_at, self.claimer.claimed_at) > KEEP_SECONDS
        self._pair.narrow()
        if self._words[WARM]:
            if not self._pair.is_open:
                self.claimer.look()
        elif is_quiet:
            self._pair.give_back()

    def _tell_memory(self) -> None:
        if self._canary is None:
            self._live.beat()
            self.reporter.levels.beat()
        elif self._canary.beat():
            self.reporter.wake()
            if self._canary.has_seen_enough:
                self.order_drain("the canary has seen enough")

    def _be_ill(self) -> None:
        self._words[ILL] = 1
        self.order_drain("it fails again and again; the next one may do better")

    def _be_orphaned(self, seconds: float) -> None:
        """Nobody will end this worker but itself."""
        if not self._drain_ordered.is_set():
            self._events.emit(MasterGone(self._place.name))
            self.order_drain("the master is gone")
        if seconds > self._pool.shutdown_timeout + self._pool.kill_grace:
            os._exit(spawn.UNEXPECTED_EXIT)
        if seconds > self._pool.shutdown_timeout:
            self.interrupt()
