"""How jobs ended, kept until the database has it.

    a job ends ──► ids/fences/durations   succeeded, no result: the smallest statement
               ──► ends                   any other final state
               ──► retries                the attempt ended, the job goes on

Any of it may be sent twice: what the database has already, it does not count as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from psycopg import errors as pg

from taskd.events import Event, Events
from taskd.pool.events import JobsLost, OutcomeNotStored
from taskd.store.connect import Connection
from taskd.store.jobs import complete_jobs, complete_succeeded, retry_jobs
from taskd.store.retention import make_partitions
from taskd.store.rows import JobEnd, JobRetry

MOST_AT_ONCE = 1000
"""Outcomes in one statement."""

Ending = TypeVar("Ending", JobEnd, JobRetry)
Store = Callable[[Connection, int, Sequence[Ending]], list[int]]


class Outbox:
    """The outcomes of one worker that are not stored yet.

    The three lists of succeeded jobs are for the path of every job: append to all of them.
    """

    __slots__ = ("_events", "_name", "durations", "ends", "fences", "ids", "lost", "retries")

    def __init__(self, name: str, events: Events) -> None:
        self.ids: list[int] = []
        self.fences: list[int] = []
        self.durations: list[float] = []
        self.ends: list[JobEnd] = []
        self.retries: list[JobRetry] = []
        self.lost = 0
        self._name = name
        self._events = events

    def __len__(self) -> int:
        return len(self.ids) + len(self.ends) + len(self.retries)

    def tell(self, event: Event) -> None:
        """Have something written into the log."""
        self._events.emit(event)

    def flush(self, connection: Connection, worker: int) -> int:
        """Store what waits now, at most 1,000 of each kind; how many outcomes it was.

        What fails stays in the box. Other greenlets may add while this one waits.
        """
        stored = self._flush_succeeded(connection, worker)
        stored += self._flush_endings(connection, worker, self.ends, complete_jobs)
        return stored + self._flush_endings(connection, worker, self.retries, retry_jobs)

    def _flush_succeeded(self, connection: Connection, worker: int) -> int:
        ids = self.ids[:MOST_AT_ONCE]
        count = len(ids)
        if not count:
            return 0
        fences, durations = self.fences[:count], self.durations[:count]
        lost = _with_partitions(
            connection, lambda: complete_succeeded(connection, worker, ids, fences, durations)
        )
        del self.ids[:count], self.fences[:count], self.durations[:count]
        self._tell(lost)
        return count

    def _flush_endings(
        self, connection: Connection, worker: int, waiting: list[Ending], store: Store[Ending]
    ) -> int:
        batch = waiting[:MOST_AT_ONCE]
        if not batch:
            return 0
        try:
            lost = _with_partitions(connection, lambda: store(connection, worker, batch))
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


def _with_partitions(connection: Connection, statement: Callable[[], Lost]) -> Lost:
    """Run a statement; if history has no partition for today, make it and run it again."""
    try:
        return statement()
    except pg.CheckViolation as missing:
        if "no partition of relation" not in str(missing):
            raise
        make_partitions(connection, 1)
        return statement()
