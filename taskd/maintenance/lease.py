"""Keeps this host alive in the eyes of the others, and watches them in return.

    this host     beat 41   beat 42   beat 43 …         each also reads the beats of the others
    another       7         7         7   … for one whole lease of OUR clock: it is dead

No clocks of two machines are compared. Only an observer whose own beats all went through may
judge: after an outage, or after a pause of its own, it begins to count anew, so that an outage
does not make everybody rescue everybody.

The thread of the lease updates its row, reads what comes with it and does nothing else: whatever
else waits for a lock elsewhere cannot cost the lease. Its beats travel on the connection that
listens, where nothing else is sent, and on one of their own while there is none.

A host that has nothing to do also looks for waiting jobs with each beat, in the same statement, as
long as that takes next to no time (taskd.maintenance.look says why).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from typing import Protocol
from uuid import UUID

from taskd.clock import boottime, monotonic
from taskd.errors import DatabaseError, StatementTimedOut
from taskd.maintenance.events import DatabaseBack, DatabaseLost, LeaseLost
from taskd.maintenance.host import ThisHost
from taskd.maintenance.loop import Loop
from taskd.maintenance.rescue import DeadHost
from taskd.maintenance.wakeup import Marks
from taskd.store import hosts
from taskd.store.connect import CONNECT_TIMEOUT, Connection
from taskd.store.host_rows import Beat
from taskd.store.link import Link

BUSY_SECONDS = 1.0
IDLE_SECONDS = 5.0
QUIET_SECONDS = 2.0
BEATS_A_LEASE = 3
SHORTEST_DEADLINE, LONGEST_DEADLINE = 1.0, 10.0
LONG_LOOK_SECONDS = 0.02
LOOK_PAUSE_SECONDS = 60.0
LOOK_COST = 500
"""For so long, or so many times as long as it took, beats do not look after a look that was long:
dead rows are in its way, and become more."""

LOST_LOOK_SECONDS = 600.0
"""The same after one that did not come back."""

HEALTHY_SECONDS = 2 * CONNECT_TIMEOUT + 35.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """One life of the master, as its host row names it."""

    id: UUID
    name: str
    pid: int
    version: str

    def enter(self, connection: Connection) -> int:
        """The id of its living host row; a new one if there is none."""
        found = hosts.find_host(connection, self.id)
        if found is not None:
            return found
        return hosts.register_host(connection, self.id, self.name, self.pid, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one beat brought."""

    beat: Beat
    dead: tuple[DeadHost, ...]
    is_idle: bool
    went_idle: bool
    """This beat marked the host idle: enqueues that began before it may not know."""
    is_first: bool
    """The first beat after the start, an outage, or a new host row: anything may have happened."""
    is_new_host: bool
    marks: Marks | None
    """How far this host had come in its lanes before the beat looked; None: it did not look."""


class Lender(Protocol):
    """Who has a connection that beats may travel on."""

    @property
    def is_lendable(self) -> bool:
        """Whether there is one now."""

    def lent(self) -> AbstractContextManager[Connection]:
        """The connection; raises a DatabaseError if there is none any more."""


class Observer(Protocol):
    """Who is told of beats, in the thread of the lease."""

    def heard(self, heard: Heard) -> None:
        """A beat went through."""

    def missed(self) -> None:
        """A beat did not go through."""


class Watch:
    """Judges from their beats which other hosts are dead; times are `clock.boottime`."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._seen: dict[int, tuple[int, float]] = {}
        self._observed_at = 0.0

    def observe(self, now: float, beats: Mapping[int, int]) -> tuple[DeadHost, ...]:
        """Take the beats of all other living hosts; who has stood still for a whole lease."""
        if now - self._observed_at > self._lease / 2:
            self.forget()  # we did not watch for a while: stopped, suspended, or cut off
        self._observed_at = now
        self._seen = {host: (beat, self._since(host, beat, now)) for host, beat in beats.items()}
        return tuple(
            DeadHost(host, beat)
            for host, (beat, since) in self._seen.items()
            if now - since >= self._lease
        )

    def forget(self) -> None:
        """Begin to count anew: a beat of our own failed."""
        self._seen = {}

    def _since(self, host: int, beat: int, now: float) -> float:
        last, since = self._seen.get(host, (beat, now))
        return since if beat == last else now


class Lease:
    """The part that beats: each second while there is work, each five while there is none."""

    def __init__(
        self,
        host: ThisHost,
        link: Link,
        incarnation: Incarnation,
        lease: float,
        observer: Observer,
    ) -> None:
        self._board = host.board
        self._slots = host.slots
        self._events = host.events
        self._link = link
        self._waker = host.waker
        self.lender: Lender | None = None
        self._incarnation = incarnation
        self._lease = lease
        self._observer = observer
        self._is_stopping = False
        self._watch = Watch(lease)
        self._lock = threading.Lock()  # guards _next_at and _marked: kicks come from other threads
        self._next_at = 0.0
        self._marked: bool | None = None
        self._busy_at = monotonic()
        self._lost_at: float | None = None
        self._is_first = True
        self._has_entered = False  # a new row, and no beat of it has gone through since
        self._look_from = -inf
        self._loop = Loop(self._link, self.step, host.events, patience=BUSY_SECONDS)

    def start(self) -> None:
        """Begin to beat."""
        self._loop.start()

    def stop(self) -> None:
        """Beat no more."""
        self._is_stopping = True
        self._loop.stop(1.0)

    @property
    def is_healthy(self) -> bool:
        """Whether its thread lives and is not stuck; an outage of the database is no illness."""
        return self._loop.is_alive(within=HEALTHY_SECONDS)

    @property
    def is_cut_off(self) -> bool:
        """Whether the last beat did not go through."""
        return self._lost_at is not None

    def idle_again(self) -> bool:
        """A worker has gone idle: mark the host so. Whether it was marked already."""
        with self._lock:
            self._busy_at = monotonic()
            marked = self._marked is True
            self._next_at = min(self._next_at, self._busy_at + BUSY_SECONDS if marked else 0.0)
        self._loop.hurry()
        return marked

    def hasten(self, seconds: float = 0.0) -> None:
        """Beat in so many seconds at the latest. Any thread may call."""
        with self._lock:
            self._next_at = min(self._next_at, monotonic() + seconds)
        self._loop.hurry()

    def step(self) -> float:
        """Beat if it is time to; the seconds until the next beat."""
        with self._lock:
            wait = self._next_at - monotonic()
            if wait > 0:
                return wait
            self._next_at = inf  # from here on, who wants an earlier beat lowers it
        try:
            heard = self._beat_once()
        except BaseException as error:
            self._miss(error)
            raise
        self._succeed()
        with self._lock:
            self._next_at = min(self._next_at, monotonic() + self._interval(heard.beat.due))
        self._observer.heard(heard)
        return self._next_at - monotonic()

    def _beat_once(self) -> Heard:
        """Beat on the connection that is lent; if that was cut, or there is none, on our own."""
        if self.lender is not None and self.lender.is_lendable:
            try:
                with self.lender.lent() as connection:
                    heard = self._beat(connection)
            except StatementTimedOut:
                raise  # the server is slow, or away: there is no time to wait for it twice
            except DatabaseError:
                self._doubt()
            else:
                self._link.close()
                return heard
        with self._link.connection() as connection:
            return self._beat(connection)

    def _beat(self, connection: Connection) -> Heard:
        was, idle = self._marked, self._slots.has_idle()
        looks = idle and was is True and self._may_look()
        marks = self._waker.marks() if looks else None
        flag = None if idle == was else idle
        beat = hosts.beat_host(connection, self._board.host, flag, looks)
        if looks:
            self._judge_look(beat.look_seconds)
        if not beat.alive and not self._is_stopping:
            self._begin_again(connection)
            beat = hosts.beat_host(connection, self._board.host, idle)
        is_new = self._has_entered
        with self._lock:
            self._marked = idle
            if not idle and was is not False and self._slots.has_idle():
                self._next_at = 0.0  # a worker went idle while we said that none is
        return Heard(
            beat=beat,
            dead=self._watch.observe(boottime(), beat.others),
            is_idle=idle,
            went_idle=idle and (is_new or was is not True),
            is_first=self._is_first or is_new,
            is_new_host=is_new,
            marks=None if is_new else marks,
        )

    def _may_look(self) -> bool:
        """Whether this beat may look; until it has come back, the next may not."""
        now = monotonic()
        if self._slots.has_jobs() or now < self._look_from:
            return False
        self._look_from = now + LOST_LOOK_SECONDS
        return True

    def _judge_look(self, seconds: float) -> None:
        is_long = seconds > LONG_LOOK_SECONDS
        pause = max(LOOK_PAUSE_SECONDS, LOOK_COST * seconds)
        self._look_from = monotonic() + pause if is_long else -inf

    def _doubt(self) -> None:
        """A beat was cut off: what the server has of it, and of those before, is not known."""
        self._is_first = True
        with self._lock:
            self._marked = None

    def _begin_again(self, connection: Connection) -> None:
        """Others took this host for dead: its jobs are theirs, its workers register anew."""
        old = self._board.host
        self._watch.forget()
        self._board.host = self._incarnation.enter(connection)
        self._has_entered = True
        self._events.emit(LeaseLost(old, self._board.host))

    def _miss(self, error: BaseException) -> None:
        self._watch.forget()
        self._doubt()
        with self._lock:
            self._next_at = 0.0
        if self._lost_at is None:
            self._lost_at = monotonic()
            if isinstance(error, DatabaseError):
                self._events.emit(DatabaseLost(str(error)))
        self._observer.missed()

    def _succeed(self) -> None:
        self._is_first = self._has_entered = False
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            self._events.emit(DatabaseBack(monotonic() - lost_at))

    def _interval(self, due: float | None) -> float:
        now = monotonic()
        if self._slots.has_jobs():
            self._busy_at = now
        is_quiet = now - self._busy_at >= QUIET_SECONDS
        is_near = due is not None and due < IDLE_SECONDS
        seconds = IDLE_SECONDS if is_quiet and not is_near else BUSY_SECONDS
        return min(seconds, self._lease / BEATS_A_LEASE)


def beat_deadline(lease: float) -> float:
    """Seconds a beat may take: what takes longer than part of a lease has failed."""
    return min(max(lease / BEATS_A_LEASE, SHORTEST_DEADLINE), LONGEST_DEADLINE)
