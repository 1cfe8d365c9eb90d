"""The greenlets that run jobs, and the local queue they take them from.

There is a fixed number of slots; their greenlets are made when first needed, and stay. A slot takes
a job and runs it inline, without a switch; before each job, if more wait, it schedules one idle
slot, which takes over only if this job blocks:

    slot A   job 1 ─► job 2 ─► job 3 blocks ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ goes on
    slot B   idle, scheduled since job 1 ──► job 4 ─► job 5 blocks
    slot C   idle, scheduled since job 4 ─────────────────────────► job 6

So jobs that never block cost no switch at all, and jobs that do run side by side. A greenlet a job
would cost 13 us. After SLICE seconds without a switch a slot lets the others have the hub.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import perf_counter
from typing import Protocol

import gevent
from gevent import getcurrent
from gevent.event import Event
from greenlet import greenlet

from taskd.board import Seating, Slot
from taskd.board.layout import IN_FLIGHT, PREFETCHED, SEATS
from taskd.pool.claims import Row
from taskd.tasks.context import JobAttempt
from taskd.tasks.frames import named, seat_name

SLICE_SECONDS = 0.005


class Seat:
    """What one slot does now, or did last; times are perf_counter's."""

    __slots__ = ("_deadlines", "attempt", "deadline", "greenlet", "number", "started")

    def __init__(self, number: int, deadlines: memoryview) -> None:
        self.number = number
        self._deadlines = deadlines
        self.greenlet: greenlet | None = None
        self.attempt: JobAttempt | None = None
        self.started = 0.0
        self.deadline = inf

    def show_deadline(self, at: float) -> None:
        """Set the deadline of the job here, for the sweeper and for the master."""
        self.deadline = at
        self._deadlines[self.number] = 0 if at == inf else int(at * 1e9)

    def throw(self, attempt: JobAttempt, interrupt: BaseException) -> None:
        """Raise in the task's code, if this attempt is still in it; called by the hub."""
        if self.attempt is attempt and attempt.takes_interrupts and self.greenlet is not None:
            self.greenlet.throw(interrupt)


class RunsJobs(Protocol):
    """What is done with a job in a seat."""

    def run(self, seat: Seat, row: Row) -> float:
        """Run it from its start until its outcome is in the outbox; when that was."""

    def fail(self, row: Row, fault: BaseException) -> None:
        """Put the outcome of one whose run raised, whatever that was, there; raises nothing."""


class Slots:
    """A worker's slots. Everything here happens in one thread, and only a job may switch."""

    def __init__(self, slot: Slot, seating: Seating, runner: RunsJobs) -> None:
        self.count = seating.seats
        self.seats = [Seat(number, seating.deadlines) for number in range(self.count)]
        self.busy = 0
        self.spent = 0.0  # seconds that all ended jobs took together
        self.refill_at = -1  # call on_room when no more than so many jobs are ready
        self.on_room: Callable[[], object] = lambda: None
        self.on_busy: Callable[[], object] = lambda: None  # jobs come to a worker that had none
        self._words = slot.words
        self._words[SEATS] = self.count
        self._jobs = slot.seats
        self._runner = runner
        self._ready: deque[Row] = deque()
        self._idle: list[greenlet] = []
        self._vacant = self.seats[::-1]
        self._taking_over = False
        self._is_draining = False
        self._quiet = Event()

    def start(self) -> None:
        """Wait for `feed` from now on."""
        self._hub = gevent.get_hub()

    @property
    def open(self) -> int:
        """How many slots run no job; some may be about to."""
        return self.count - self.busy

    @property
    def free(self) -> int:
        """How many slots have neither a job nor one that waits for them."""
        return max(0, self.open - len(self._ready))

    @property
    def waiting(self) -> int:
        """How many jobs are claimed and not begun."""
        return len(self._ready)

    @property
    def has_jobs(self) -> bool:
        """Whether any job is here, begun or not."""
        return bool(self.busy or self._ready)

    @property
    def waiting_queues(self) -> set[str]:
        """The queues that those come from."""
        return {row[2] for row in self._ready}

    def feed(self, rows: Iterable[Row]) -> None:
        """Let jobs run, in this order, as soon as there is a slot for each."""
        if not self.busy and not self._ready:
            self.on_busy()
        self._ready.extend(rows)
        self._words[PREFETCHED] = len(self._ready)
        if not self._taking_over:
            self._call_one()

    def fences(self) -> list[int]:
        """The fences of the jobs here, those that wait and those that run."""
        seated = [seat.attempt.fence for seat in self.seats if seat.attempt is not None]
        return [row[3] for row in self._ready] + seated

    def take_back(self, keep: int = 0) -> list[Row]:
        """Take the jobs that have not begun, but for the first `keep`."""
        taken = [self._ready.pop() for _ in range(len(self._ready) - keep)]
        self._words[PREFETCHED] = len(self._ready)
        return taken[::-1]

    def take_out(self, job: int) -> Row | None:
        """Take out one job, if it has not begun."""
        for row in self._ready:
            if row[0] == job:
                self._ready.remove(row)
                self._words[PREFETCHED] = len(self._ready)
                return row
        return None

    def running(self) -> list[tuple[Seat, JobAttempt]]:
        """The seats where a task's code runs, and for which attempt."""
        return [
            (seat, seat.attempt)
            for seat in self.seats
            if seat.attempt is not None and seat.attempt.is_open
        ]

    def unbegun(self) -> list[JobAttempt]:
        """The attempts in seats whose code does not run: not yet, or not any more."""
        attempts = (seat.attempt for seat in self.seats)
        return [one for one in attempts if one is not None and not one.is_open]

    def seated(self, job: int) -> list[tuple[Seat, JobAttempt]]:
        """The seats where an attempt of a job is, or was last; it may not have begun yet."""
        return [
            (seat, seat.attempt)
            for seat in self.seats
            if seat.attempt is not None and seat.attempt.id == job
        ]

    def interrupt(self, seat: Seat, attempt: JobAttempt, interrupt: BaseException) -> None:
        """Raise in a task's code as soon as the hub turns, if the attempt still runs then."""
        self._hub.loop.run_callback(seat.throw, attempt, interrupt)

    def drain(self) -> list[Row]:
        """Begin no more jobs; those that were waiting to. `wait_until_quiet` waits for the rest."""
        self._is_draining = True
        if not self.busy:
            self._quiet.set()
        return self.take_back()

    def wait_until_quiet(self) -> None:
        """Block until no job runs, after `drain`."""
        self._quiet.wait()

    def _call_one(self) -> None:
        """Schedule one slot that runs no job, if there is one."""
        if self._idle:
            self._hub.loop.run_callback(self._idle.pop().switch)
        elif self._vacant:
            seat = self._vacant.pop()
            seat.greenlet = gevent.spawn(named(Slots._sit, seat_name(seat.number)), self, seat)
        else:
            return
        self._taking_over = True

    def _sit(self, seat: Seat) -> None:
        """What a slot does all its life. Each microsecond here is one of every job."""
        me = getcurrent()
        hub, ready, idle = self._hub, self._ready, self._idle
        later, words, run_job = hub.loop.run_callback, self._words, self._runner.run
        jobs, number = self._jobs, seat.number
        while True:
            self._taking_over = False
            until = perf_counter() + SLICE_SECONDS
            self._count_busy(1)  # from one job to the next nobody else has the hub
            while ready:
                row = ready.popleft()
                words[PREFETCHED] = len(ready)
                if len(ready) <= self.refill_at:
                    self.refill_at = -1  # once is enough, until the claimer sets it anew
                    self.on_room()
                if ready and not self._taking_over:
                    self._call_one()
                jobs[number] = row[0]
                try:
                    now = run_job(seat, row)
                except BaseException as fault:  # a border: a slot outlives whatever a job does
                    now = self._fail(seat, row, fault)
                self.spent += now - seat.started
                if now > until:
                    jobs[number] = 0
                    self._count_busy(-1)
                    later(me.switch)
                    hub.switch()
                    self._count_busy(1)
                    until = perf_counter() + SLICE_SECONDS
            jobs[number] = 0
            self._count_busy(-1)
            if self._is_draining and not self.busy:
                self._quiet.set()
            idle.append(me)
            self.on_room()
            hub.switch()

    def _count_busy(self, change: int) -> None:
        self.busy += change
        self._words[IN_FLIGHT] = self.busy

    def _fail(self, seat: Seat, row: Row, fault: BaseException) -> float:
        self._runner.fail(row, fault)
        seat.started = perf_counter()
        return seat.started
