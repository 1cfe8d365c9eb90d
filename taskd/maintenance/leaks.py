"""Finds out which task leaks, where a worker of a pool is suspected, and says so.

    SUSPECT on a slot ─► levels of all workers of the pool ─► attribution ─┐
    a canary on a slot ─► what canaries have stored ───────────────────────┴► taskd.leak, the log

What a canary has seen counts for more than a fit, but it sees Python's memory alone. So it acquits
whom the fit still names only where those it accuses explain what all workers hold. And it wants to
know who it is instead, or more jobs: of a leak in one job of a hundred it may have met none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from taskd.board.layout import CANARY, FAILED, PID, RETRIED, SUCCEEDED, SUSPECT
from taskd.clock import monotonic
from taskd.events import Events
from taskd.maintenance.attribution import LEAST_BYTES, attribute, jobs_of
from taskd.maintenance.host import ThisHost
from taskd.maintenance.leak_events import TaskLeaks
from taskd.maintenance.tree import TreeProcess
from taskd.store import leaks
from taskd.store.connect import Connection
from taskd.store.leaks import ACCUSED_BYTES, LEAST_CANARY_JOBS, Account, Leak, Level, Source

LOOK_SECONDS = 5.0
CALM_SECONDS = 60.0
"""So often into a pool here whose workers have ended no job since the last look."""

COST = 100
"""After a look there is none for so many times as long as it took."""

REMEMBER_SECONDS = 3600.0
"""For so long a pool stays suspected when the worker that was is gone: leakers are replaced."""

QUIET_SECONDS = 3600.0
"""Of a task there is no more than one line in so long, unless there is more to be told."""

ACQUITTED_JOBS = 800
"""With fewer jobs of a task it is acquitted only if another is accused, or if a canary had accused
it: that rarely is a leak of few jobs. Where jobs of all tasks come mixed, three eighths of these
tell: of 300 one at least leaves what one of 100 does, 95 times of 100."""

LEAST_SHARE = 0.1
"""A task that leaves behind less of all that a canary has seen may do so by a cache that fills: it
is not accused, and acquitted if it may leave next to nothing."""

LEAST_EXPLAINED = 1 / 3
"""This part of what the fit says that all workers hold has to be explained by those whom a canary
accuses: they count 64 bytes an object, and the smallest takes 24."""


@dataclass(frozen=True, slots=True)
class _Told:
    at: float
    source: str
    line: str | None

    def says_all_of(self, leak: Leak) -> bool:
        """Whether nothing is known now that was not told."""
        return (leak.source, leak.line) in ((self.source, self.line), (Source.WORKERS, None))


class Leaks:
    """The chore that names the task; costs nothing as long as nobody is suspected."""

    def __init__(self, host: ThisHost) -> None:
        self._host = host
        # Replaced as a whole by the main thread.
        self._processes: Sequence[TreeProcess] = ()
        self._recycled: list[str] = []
        self._open_until: dict[str, float] = {}
        self._looked: dict[str, tuple[int, float]] = {}
        self._told: dict[tuple[str, str], _Told] = {}
        self._code_since = monotonic()
        self._next_at = monotonic() + LOOK_SECONDS

    def forget(self) -> None:
        """The code is new from now on: what was seen of the old says nothing of it."""
        self._code_since = monotonic()
        self._open_until, self._looked, self._told = {}, {}, {}

    def take_tree(self, processes: Sequence[TreeProcess]) -> None:
        """These are the daemon's processes now."""
        self._processes = processes

    def take_recycled(self, pool: str) -> None:
        """A worker is replaced or killed because of what it holds. Any thread may call."""
        self._recycled.append(pool)

    def due(self) -> float:
        """When to look next, on the monotonic clock; put off while nobody is suspected."""
        now = monotonic()
        if self._next_at <= now and not self._recycled and not self._open(now):
            self._next_at = now + LOOK_SECONDS
        return self._next_at

    def run(self, connection: Connection) -> None:
        """Look into each pool that is suspected, or has a canary."""
        began = monotonic()
        self._next_at = inf
        try:
            self._count_recycled(connection)
            for pool in self._open(began):
                done = self._done_by(pool)
                seen = self._looked.get(pool)
                if seen is None or done != seen[0] or began >= seen[1] + CALM_SECONDS:
                    self._look_into(connection, pool)
                    self._looked[pool] = done, began
        finally:
            self._next_at = began + max(LOOK_SECONDS, COST * (monotonic() - began))

    def _count_recycled(self, connection: Connection) -> None:
        while self._recycled:
            leaks.count_recycled(connection, self._recycled[0], 1)
            self._recycled.pop(0)

    def _open(self, now: float) -> list[str]:
        for pool in self._pointed_at():
            self._open_until[pool] = now + REMEMBER_SECONDS
        return [pool for pool, until in self._open_until.items() if now < until]

    def _done_by(self, pool: str) -> int:
        """How many attempts the workers of a pool that live here have ended."""
        slots = [p.slot for p in self._processes if p.pool == pool and p.slot is not None]
        words = (self._host.slots[slot].words for slot in slots)
        return sum(one[SUCCEEDED] + one[FAILED] + one[RETRIED] for one in words)

    def _pointed_at(self) -> Iterator[str]:
        for process in self._processes:
            if process.role == "worker" and process.slot is not None and process.pool is not None:
                words = self._host.slots[process.slot].words
                if words[PID] == process.pid and (words[SUSPECT] or words[CANARY]):
                    yield process.pool

    def _look_into(self, connection: Connection, pool: str) -> None:
        age = min(leaks.KEEP_LEVELS_SECONDS, monotonic() - self._code_since)
        seen = [
            one for one in leaks.accounts_of(connection, pool, age) if one.jobs >= LEAST_CANARY_JOBS
        ]
        least = LEAST_SHARE * sum(one.bytes * one.jobs for one in seen)
        guilty = [one for one in seen if one.low >= ACCUSED_BYTES and one.bytes * one.jobs >= least]
        levels = leaks.levels_of(connection, pool, age)
        fitted = [one for one in attribute(levels) if one.bytes >= LEAST_BYTES]
        doubtful = set() if _explain(guilty, levels, fitted) else {one.task for one in fitted}
        accused = _accused_before(connection, pool)
        acquitted = {
            one.task
            for one in seen
            if _is_little(one, least if guilty else 0.0)
            and one.task not in doubtful
            and (one.jobs >= ACQUITTED_JOBS or guilty or one.task in accused)
        }
        known = acquitted.union(one.task for one in guilty)
        fitted = [one for one in fitted if one.task not in known]
        leaks.write_leaks(
            connection, pool, {Source.CANARY: guilty, Source.WORKERS: fitted}, acquitted
        )
        named = {one.task for one in (*guilty, *fitted)}
        for leak in leaks.list_leaks(connection):
            if leak.pool == pool and leak.task in named:
                self._tell(leak)

    def _tell(self, leak: Leak) -> None:
        key, now = (leak.pool, leak.task), monotonic()
        told = self._told.get(key)
        if told is not None and told.says_all_of(leak) and now < told.at + QUIET_SECONDS:
            return
        self._told[key] = _Told(now, leak.source, leak.line)
        self._events.emit(
            TaskLeaks(
                leak.pool, leak.task, leak.bytes, leak.low, leak.high, leak.line, leak.recycled
            )
        )

    @property
    def _events(self) -> Events:
        return self._host.events


def _accused_before(connection: Connection, pool: str) -> set[str]:
    known = leaks.list_leaks(connection)
    return {one.task for one in known if (one.pool, one.source) == (pool, Source.CANARY)}


def _is_little(one: Account, least: float) -> bool:
    """Whether a task leaks nothing; or less, all its jobs together, than so many bytes."""
    if one.low >= ACCUSED_BYTES:
        return False
    return one.may_leave < ACCUSED_BYTES or one.may_leave * one.jobs < least


def _explain(guilty: Sequence[Account], levels: Sequence[Level], fitted: Sequence[Account]) -> bool:
    """Whether what these leak is what all workers hold: native code may leak beside them."""
    jobs = jobs_of(levels)
    explained = sum(one.bytes * jobs.get(one.task, 0) for one in guilty)
    return explained >= LEAST_EXPLAINED * sum(one.bytes * one.jobs for one in fitted)
