"""How jobs ended, kept until the database has it.

    a job ends ──► ids/fences/durations   succeeded, no result: the smallest statement (and cpus)
               ──► ends                   any other final state
               ──► retries                the attempt ended, the job goes on

Any of it may be sent twice: what the database has already, it does not count as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from psycopg import errors as pg

from taskd.events import Event, Events
from taskd.pool.events import JobsLost, OutcomeNotStored
from taskd.pool.failure_lines import FailureLines
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.jobs import complete_jobs, complete_succeeded, retry_jobs
from taskd.store.retention import make_partitions
from taskd.store.rows import JobEnd, JobRetry

MOST_AT_ONCE = 1000
"""Outcomes in one statement."""

LARGE_BATCH = 50
GATHER_SECONDS = 0.005

Ending = TypeVar("Ending", JobEnd, JobRetry)
Store = Callable[[Connection, int, Sequence[Ending]], list[int]]


def pause_after(stored: int, *, others_wait: bool) -> float:
    """How long to gather outcomes before the next flush, seconds.

    After a large batch more follow at once, and fewer statements carry them. But nothing gathers
    while `others_wait` for what the jobs that run now hold.
    """
    return GATHER_SECONDS if stored >= LARGE_BATCH and not others_wait else 0.0


class Counts(NamedTuple):
    """How many outcomes of each kind."""

    succeeded: int
    ends: int
    retries: int


class Outbox:
    """The outcomes of one worker that are not stored yet.

    The three lists of succeeded jobs are for the path of every job: append to all of them. `cpus`
    is what those have used of the processor that are long enough for it to be known: microseconds,
    by fence.
    """

    __slots__ = (
        "_events", "_name", "cpus", "durations", "ends", "failures", "fences", "ids", "lost",
        "retries", "tells_ends",
    )  # fmt: skip

    def __init__(self, name: str, events: Events, *, tells_ends: bool = False) -> None:
        self.ids: list[int] = []
        self.fences: list[int] = []
        self.durations: list[float] = []
        self.cpus: dict[int, int] = {}
        self.ends: list[JobEnd] = []
        self.retries: list[JobRetry] = []
        self.lost = 0
        self.failures = FailureLines(events)
        self.tells_ends = tells_ends
        self._name = name
        self._events = events

    def __len__(self) -> int:
        return len(self.ids) + len(self.ends) + len(self.retries)

    def held(self) -> list[int]:
        """The fences of the jobs whose outcomes are here."""
        ends, retries = [end.fence for end in self.ends], [retry.fence for retry in self.retries]
        return self.fences + ends + retries

    def tell(self, event: Event) -> None:
        """Have something written into the log."""
        self._events.emit(event)

    def counts(self) -> Counts:
        """How many outcomes of each kind the next flush may take."""
        waiting = self.ids, self.ends, self.retries
        return Counts(*(min(len(outcomes), MOST_AT_ONCE) for outcomes in waiting))

    def flush(
        self,
        connection: Connection,
        worker: int,
        counts: Counts | None = None,
        hand_off: HandOff | None = None,
    ) -> int:
        """Store what waits now, or only as many as were there a while ago; how many it was.

        The last jobs to end are handed off, unless retries are to be stored after them. What fails
        stays in the box. Other greenlets may add while this one waits.
        """
        succeeded, ends, retries = counts or self.counts()
        if retries:
            hand_off = None
        stored = self._flush_succeeded(connection, worker, succeeded, None if ends else hand_off)
        together = partial(complete_jobs, hand_off=hand_off)
        stored += self._flush_endings(
            connection, worker, self.ends, ends, complete_jobs, together=together
        )
        return stored + self._flush_endings(connection, worker, self.retries, retries, retry_jobs)

    def _flush_succeeded(
        self, connection: Connection, worker: int, count: int, hand_off: HandOff | None
    ) -> int:
        if not count:
            return 0
        ids = self.ids[:count]
        fences, durations = self.fences[:count], self.durations[:count]
        cpus = [self.cpus.get(fence) for fence in fences] if self.cpus else None
        lost = with_partitions(
            connection,
            lambda: complete_succeeded(connection, worker, ids, fences, durations, cpus, hand_off),
        )
        del self.ids[:count], self.fences[:count], self.durations[:count]
        for fence in fences if cpus else ():
            self.cpus.pop(fence, None)
        self._tell(lost)
        return count

    def _flush_endings(
        self,
        connection: Connection,
        worker: int,
        waiting: list[Ending],
        count: int,
        store: Store[Ending],
        *,
        together: Store[Ending] | None = None,
    ) -> int:
        """Store a batch, `together` if that is possible at all, or else one by one."""
        if not count:
            return 0
        batch = waiting[:count]
        try:
            lost = with_partitions(
                connection, lambda: (together or store)(connection, worker, batch)
            )
        except _UNSTORABLE:
            lost = [
                job
                for ending in batch
                for job in self._store_one(connection, worker, ending, store)
            ]
        del waiting[: len(batch)]
        self._tell(lost)
        return len(batch)

    def _store_one(
        self, connection: Connection, worker: int, ending: Ending, store: Store[Ending]
    ) -> list[int]:
        """Store one outcome; if it is the one that the database refuses, fail its job instead."""
        try:
            return store(connection, worker, [ending])
        except _UNSTORABLE as error:
            reason = str(error).encode("ascii", "backslashreplace").decode().replace("\0", "")
            self._events.emit(OutcomeNotStored(ending.id, reason))
            failure = JobEnd(
                ending.id,
                ending.fence,
                ending.duration,
                "f",
                error=f"its outcome cannot be stored: {reason}",
            )
            return complete_jobs(connection, worker, [failure])

    def _tell(self, lost: list[int]) -> None:
        if lost:
            self.lost += len(lost)
            self._events.emit(JobsLost(self._name, tuple(lost)))


# What the database, or psycopg on the way to it, says to a value that it cannot hold: a NUL
# character, half a surrogate pair, a text beyond 1 GB. Trouble with the server itself is no such.
_UNSTORABLE = (pg.DataError, pg.ProgramLimitExceeded, UnicodeError)

Lost = TypeVar("Lost")


def with_partitions(connection: Connection, statement: Callable[[], Lost]) -> Lost:
    """Run a statement; if a table has no partition for today, make it and run it again."""
    try:
        return statement()
    except pg.CheckViolation as missing:
        if "no partition of relation" not in str(missing):
            raise
        make_partitions(connection, 1)
        return statement()
