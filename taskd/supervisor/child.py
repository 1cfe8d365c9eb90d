"""The children of the master, as it keeps account of them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

from taskd.board import Seating, SlotReading, Why, WorkerState
from taskd.board.seating import is_open
from taskd.clock import monotonic
from taskd.supervisor.channel import Channel
from taskd.supervisor.ladder import HubView, ToldView
from taskd.supervisor.memory.rules import Held
from taskd.supervisor.plan import WorkerView

_NS = 1e9
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


@dataclass(slots=True, eq=False, kw_only=True)
class Child:
    """A process that was ordered; `pid` is 0 until `parent`, who was to fork it, has told it."""

    pid: int = 0
    started_at: float = field(default_factory=monotonic)
    parent: Talker | None = None

    @property
    def was_lost(self) -> bool:
        """Whether it will never come: whoever was to fork it is gone and has not told of it."""
        return self.pid == 0 and self.parent is not None and self.parent.channel.is_closed

    @property
    def lived(self) -> float:
        """Seconds since it was ordered."""
        return monotonic() - self.started_at

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there to get one."""
        if self.pid == 0:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return  # it has ended; its status is about to be reaped


@dataclass(slots=True, eq=False, kw_only=True)
class Talker(Child):
    """A child at the other end of a control socket; closing that ends it."""

    channel: Channel
    is_ready: bool = False

    @property
    def stable(self) -> float:
        """For how many seconds it has been of use: 0 if it never became ready."""
        return self.lived if self.is_ready else 0.0


@dataclass(slots=True, eq=False, kw_only=True)
class Seed(Talker):
    """An interpreter with taskd's runtime, which forks maintenance and forkservers."""

    kind: str
    is_given_up: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Forkserver(Talker):
    """A pool's code of one generation, imported and ready to fork."""

    pool: str
    generation: int
    kind: str
    is_late: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Worker(Child):
    """A worker in its slot, with what it was ordered to do.

    A canary traces what it allocates. `share` is how much of its pool's `max_jobs` it may do.
    An unwanted one is to drain by somebody's order, a stopped one to give back what it runs, too.
    `cancels` are jobs that it was to end and did not hear of, with the times of these orders.
    """

    slot: int
    parent: Forkserver
    is_canary: bool = False
    lives_until: float | None = None
    share: float = 1.0
    ready_at: float | None = None
    replaces: int | None = None
    is_unwanted: bool = False
    is_to_stop: bool = False
    drained_at: float | None = None
    interrupted_at: float | None = None
    end_reason: str | None = None
    drain_reason: str | None = None
    is_ill: bool = False
    charge: bool = False
    culprit: int = 0
    why: Why | None = None
    suspects: tuple[int, ...] = ()
    stack: str = ""
    warned: int = 0
    warned_at: float = 0.0
    cancels: dict[int, float] = field(default_factory=dict)
    dumped: int = 0
    dumped_at: float | None = None
    seating: Seating | None = None

    @property
    def pool(self) -> str:
        """The pool it works for."""
        return self.parent.pool

    @property
    def is_process(self) -> bool:
        """Whether it runs one job at a time, and leads a process group of its own."""
        return self.parent.kind == "process"

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to end, on whoever's account."""
        return self.drained_at is not None or self.end_reason is not None

    @property
    def was_ordered_to_end(self) -> bool:
        """Whether its end is our own doing."""
        return self.drain_reason is not None or self.end_reason is not None

    def open_seating(self, fd: int) -> Seating | None:
        """Open what it says of its jobs, at the descriptor that its slot tells."""
        if self.seating is None and fd:
            self.seating = Seating.open(self.pid, fd)
        return self.seating

    def may_dump(self, fd: int) -> bool:
        """Whether its stack would go where it is to go, and not into a file of a job's."""
        return bool(fd) and is_open(self.pid, fd)

    def close(self) -> None:
        """Let go of what is open here."""
        if self.seating is not None:
            self.seating.close()

    def view(
        self, reading: SlotReading, hub: HubView | None = None, held: Held | None = None
    ) -> WorkerView:
        """How the plan sees it, with what its slot says."""
        own = reading.pid == self.pid != 0
        if own and self.ready_at is None and reading.state is WorkerState.READY:
            self.ready_at = monotonic()
        watched = own and self.is_process and reading.job != 0
        return WorkerView(
            slot=self.slot,
            pool=self.pool,
            generation=self.parent.generation,
            state=reading.state if own else WorkerState.EMPTY,
            started_at=self.started_at,
            lives_until=self.lives_until,
            share=self.share,
            jobs_done=reading.succeeded + reading.failed + reading.retried if own else 0,
            replaces=self.replaces,
            drained_at=self.drained_at,
            interrupted_at=self.interrupted_at,
            killed=self.end_reason is not None,
            deadline=reading.deadline / _NS if watched and reading.deadline else None,
            job=reading.job,
            attempt=reading.fence,
            warned=self.warned,
            warned_at=self.warned_at,
            cancelled_at=self.cancels.get(reading.job) if watched else None,
            told=_told(reading) if own else None,
            hub=hub,
            held=held,
            dumped=self.dumped,
            dumped_at=self.dumped_at,
            in_flight=reading.in_flight if own else 0,
            ready_at=self.ready_at,
            is_canary=self.is_canary,
            is_unwanted=self.is_unwanted,
            is_to_stop=self.is_to_stop,
            is_ill=self.is_ill,
        )


def _told(reading: SlotReading) -> ToldView | None:
    if not reading.told or not reading.told_why:
        return None
    return ToldView(job=reading.told, why=Why(reading.told_why), at=reading.told_at / _NS)


def how_it_ended(status: int) -> str:
    """An exit status in words: `exited with status 1`, `killed by SIGKILL`."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def is_crash(status: int) -> bool:
    """Whether a process ended by a signal that its own code has brought about."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in _CRASHES


def collect_ended() -> list[tuple[int, int]]:
    """The children that have ended, with their wait statuses. Never blocks."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))
