"""Gives back what the dead held: workers, other hosts, and the masters before this one.

What is to be rescued stays in a list until the database has confirmed it, so an outage delays a
rescue and loses none. Repeating one is harmless: jobs are found by their worker's id, which no
successor shares. A worker that died before it could write its id on the board is found by its pid;
that is settled once, and never against a worker on the board that has inherited the pid.

Should maintenance itself die with a list in its hands, its successor's sweep finds the workers
whose processes are gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, assert_never
from uuid import UUID

from taskd.board.layout import PID, WORKER
from taskd.clock import monotonic
from taskd.maintenance import procfs
from taskd.maintenance.events import HostRescued, WorkerRescued
from taskd.maintenance.host import ThisHost
from taskd.maintenance.loop import Loop
from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.ends import note_end
from taskd.store.host_rows import USUAL_JUDGEMENT, Judgement
from taskd.store.link import Link

FIRST_SWEEP_SECONDS = 5.0
SWEEP_SECONDS = 60.0
HEIR_SECONDS = 0.05
SWEPT = "its process was gone"
LEASE_OVER = "it gave no sign of life for a whole lease"
SUCCEEDED = "its master was gone when the next one started"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadWorker:
    """A worker process that the master saw end; worker 0: it had not told its id yet.

    The master has killed it for the job `culprit` (0: for none), `why` is one of Judgement's, as
    are what had `begun`, and who `stood` where `stack` says. `ended` is why it was to end, for
    people who look back.
    """

    slot: int
    pid: int
    worker: int
    reason: str
    charge: bool
    culprit: int = 0
    why: str = ""
    stack: str = ""
    stood: int = 0
    interrupted: bool = False
    begun: tuple[int, ...] | None = None
    ended: str = ""

    @classmethod
    def from_message(cls, told: Mapping[str, Any]) -> Self:
        """Read it from the master's message."""
        begun = told.get("begun")
        return cls(
            slot=told["slot"],
            pid=told["pid"],
            worker=told["worker"] or 0,
            reason=told["reason"],
            charge=told["charge"],
            culprit=told.get("culprit", 0),
            why=told.get("why", ""),
            stack=told.get("stack", ""),
            stood=told.get("stood", 0),
            interrupted=told.get("interrupted", False),
            begun=None if begun is None else tuple(begun),
            ended=told.get("ended", ""),
        )

    @property
    def crasher(self) -> int:
        """The job that is certainly to blame, because no other ran; 0: nobody killed it for one."""
        is_unexplained = self.charge and not self.culprit and not self.why
        return self.begun[0] if is_unexplained and self.begun and len(self.begun) == 1 else 0


@dataclass(frozen=True, slots=True)
class DeadHost:
    """Another host whose beat has stood still for a lease."""

    host: int
    beat: int


@dataclass(frozen=True, slots=True)
class DeadIncarnation:
    """An earlier life of this machine's master, known to be over."""

    incarnation: UUID


Dead = DeadWorker | DeadHost | DeadIncarnation


class Rescue:
    """The part that rescues; of its own, because it waits for claims the dead had under way.

    `rescued` hears of each incarnation that is done, `look` that jobs went back, and whether
    they were a whole host's.
    """

    def __init__(
        self,
        host: ThisHost,
        link: Link,
        rescued: Callable[[UUID], None],
        look: Callable[[bool], None],
        limits: Judgement = USUAL_JUDGEMENT,
    ) -> None:
        self._host = host
        self._slots = host.slots
        self._events = host.events
        self._link = link
        self._rescued = rescued
        self._look = look
        self._limits = limits
        self._lock = threading.Lock()  # guards _dead: the main thread and the lease add
        self._dead: list[Dead] = []
        self._sweep_at = monotonic() + FIRST_SWEEP_SECONDS
        self._suspects: frozenset[int] = frozenset()
        self._swept: list[tuple[int, int]] | None = None
        self._loop = Loop(self._link, self.step, host.events)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """Rescue no more; what is under way gets a second."""
        self._loop.stop(1.0)

    def set(self, limits: Judgement) -> None:
        """Take the limits of a new configuration."""
        self._limits = limits

    def add(self, dead: Dead) -> None:
        """Rescue what this one held, as soon as the database lets us. Any thread may call."""
        with self._lock:
            if dead not in self._dead:
                self._dead.append(dead)
        self._loop.hurry()

    @property
    def is_done(self) -> bool:
        """Whether nobody waits to be rescued."""
        return not self._dead

    def settle(self, connection: Connection) -> None:
        """Rescue the workers that are left, after `stop`: what they died of is known here alone."""
        for dead in [one for one in self._dead if isinstance(one, DeadWorker)]:
            self._rescue(connection, dead)

    def step(self) -> float:
        """Rescue all who are to be rescued; the seconds until the next sweep."""
        try:
            return self._step()
        finally:
            self._link.close()  # deaths are rare, and a connection costs the server memory

    def _step(self) -> float:
        for dead in list(self._dead):
            with self._link.connection() as connection:
                is_done = self._rescue(connection, dead)
            if is_done:
                with self._lock:
                    self._dead = [other for other in self._dead if other is not dead]
        now = monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + self._sweep()
        return self._sweep_at - now if self.is_done else HEIR_SECONDS

    def _rescue(self, connection: Connection, dead: Dead) -> bool:
        """Whether that was all; not so while a newborn may be taken for the dead."""
        match dead:
            case DeadWorker():
                return self._rescue_worker(connection, dead)
            case DeadHost(host, beat):
                self._end_host(connection, host, beat, LEASE_OVER)
            case DeadIncarnation(incarnation):
                host = hosts.find_host(connection, incarnation) or 0
                if host:
                    self._end_host(connection, host, None, SUCCEEDED)
                self._rescued(incarnation)
            case _:
                assert_never(dead)
        return True

    def _rescue_worker(self, connection: Connection, dead: DeadWorker) -> bool:
        workers = [dead.worker] if dead.worker else self._unnamed(connection, dead.pid)
        if workers is None:
            return False
        judgement = replace(
            self._limits,
            culprit=dead.crasher or dead.culprit,
            why="crash" if dead.crasher else dead.why,
            begun=dead.begun,
            stack=dead.stack,
            stood=dead.stood,
            interrupted=dead.interrupted,
        )
        self._end_workers(connection, workers, dead.reason, dead.charge, judgement)
        for worker in workers:
            note_end(connection, worker, dead.ended or dead.reason)
        return True

    def _unnamed(self, connection: Connection, pid: int) -> list[int] | None:
        """The workers of a dead process, by its pid; None: not to be told yet from its heir's."""
        heirs = {slot.words[WORKER] for slot in self._slots if slot.words[PID] == pid}
        if not procfs.is_alive(pid):
            heirs = set()  # the slot has not been cleared yet
        if 0 in heirs:
            return None
        found = hosts.find_workers(connection, self._host.id, [pid])
        return [worker for worker in found if worker not in heirs]

    def _end_workers(
        self,
        connection: Connection,
        workers: Sequence[int],
        reason: str,
        charge: bool,
        judgement: Judgement,
    ) -> None:
        if not workers:
            return
        done = hosts.rescue_workers(connection, workers, reason, charge, judgement)
        if done.given_back or done.failed:
            self._events.emit(WorkerRescued(tuple(workers), reason, done.given_back, done.failed))
            self._look(False)

    def _end_host(self, connection: Connection, host: int, beat: int | None, reason: str) -> None:
        done = hosts.rescue_host(connection, host, beat, reason, True, self._limits)
        if beat is None or done.given_back or done.failed:
            self._events.emit(HostRescued(host, reason, done.given_back, done.failed))
            self._look(True)

    def _sweep(self) -> float:
        """Rescue workers that two sweeps found without a process; the seconds until the next.

        As long as the same processes live under the same ids there is nothing to be found.
        """
        picture = [(slot.words[PID], slot.words[WORKER]) for slot in self._slots]
        if picture == self._swept and all(map(procfs.is_alive, self._slots.pids())):
            return SWEEP_SECONDS
        self._swept = None
        with self._link.connection() as connection:
            gone = frozenset(
                worker
                for worker, pid in hosts.list_workers(connection, self._host.id).items()
                if self._is_gone(worker, pid)
            )
            self._end_workers(connection, sorted(gone & self._suspects), SWEPT, True, self._limits)
        self._suspects = gone - self._suspects
        if not gone:
            self._swept = picture
        return FIRST_SWEEP_SECONDS if self._suspects else SWEEP_SECONDS

    def _is_gone(self, worker: int, pid: int) -> bool:
        heirs = {slot.words[WORKER] for slot in self._slots if slot.words[PID] == pid}
        return not procfs.is_alive(pid) or not heirs <= {0, worker}
