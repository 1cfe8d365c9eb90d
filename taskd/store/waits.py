"""What a waiting job waits for, as the database has it; `taskd.tasks.why` makes sentences of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from taskd.store.hosts import SILENT_SECONDS

AnyConnection = psycopg.Connection[Any]

MOST_COUNTED = 1000
"""Who stands before a job is counted up to here: nothing reads a long line whole."""

FIRST_TOLD = 5
"""Of many jobs so many are told by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far a blocked job has come: `stage` as in taskd.blocked, and how much it still lacks.

    `resources` are all that it asks for, the limit of its queue included.
    """

    stage: str
    pending: int
    resources: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A line that a job stands in.

    `used` of `units` (None: any number) are held; `rate` is per second, and `retry_at` when it lets
    the first in line begin. Without `has_limit` it is the line of a queue that lets in only so many
    at a time, because its jobs have shares. `before` counts up to MOST_COUNTED, `first` are the
    front of the line.
    """

    name: str
    need: int
    used: int
    units: int | None
    rate: float | None
    burst: int | None
    has_limit: bool
    retry_at: datetime | None
    before: int
    first: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A job that another comes after; state None: its history has been dropped."""

    id: int
    task: str | None
    state: str | None
    since: datetime | None
    worker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The place of a queued job: how many go before it, up to MOST_COUNTED, and who is first."""

    lane: int
    before: int
    first: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Living workers of one pool on one host, seen by a job: whether they could run it.

    `queues` are those that they take (empty: all), `slots` how many jobs they run at once, `jobs`
    how many they have in hand, together.
    """

    host: str
    pool: str
    queues: list[str]
    workers: int
    slots: int
    takes: bool
    offers: bool
    knows: bool
    jobs: int

    @property
    def could_run_it(self) -> bool:
        """Whether a worker of these may claim the job."""
        return self.takes and self.offers


@contextmanager
def one_moment(connection: AnyConnection) -> Iterator[datetime]:
    """Let all that is read in the block be of one moment; the server's time then.

    The BEGIN says how: a SET would pin a pooled connection (RDS Proxy), also one for a transaction.
    Not within another transaction.
    """
    connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
    try:
        with connection.transaction():
            yield _moment(connection)
    finally:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:  # else it is lost
            connection.isolation_level = connection.read_only = None


def _moment(connection: AnyConnection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise AssertionError("a SELECT returned no row")
    moment: datetime = row[0]
    return moment


def find_stage(connection: AnyConnection, job_id: int) -> Stage | None:
    """How far a blocked job has come; None if it is not blocked."""
    with connection.cursor(row_factory=class_row(Stage)) as cursor:
        return cursor.execute(
            "SELECT b.stage::text, b.pending, coalesce(a.res, '{}') AS resources "
            "FROM taskd.blocked b, "
            "taskd.asked_v1(b.res, b.need, b.queue, b.extra, b.stage = 'l') a WHERE b.id = %s",
            (job_id,),
        ).fetchone()


def list_lines_of(connection: AnyConnection, job_id: int) -> list[Standing]:
    """The lines that a blocked job stands in, by name."""
    with connection.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            "SELECT name, need, used, units, rate, burst, has_limit, retry_at, before, first "
            "FROM taskd.lines_of_v1(%s, %s, %s)",
            (job_id, MOST_COUNTED, FIRST_TOLD),
        ).fetchall()


def list_parents(connection: AnyConnection, job_id: int) -> list[Parent]:
    """The jobs that a blocked one still waits for: the first FIRST_TOLD, by id."""
    with connection.cursor(row_factory=class_row(Parent)) as cursor:
        return cursor.execute(
            "SELECT id, task, state, since, worker FROM taskd.parents_v1(%s, %s)",
            (job_id, FIRST_TOLD),
        ).fetchall()


def find_turn(connection: AnyConnection, job_id: int) -> Turn | None:
    """The place of a queued job in its queue; None if it is not queued."""
    with connection.cursor(row_factory=class_row(Turn)) as cursor:
        return cursor.execute(
            "SELECT lane, before, first FROM taskd.turn_of_v1(%s, %s, %s)",
            (job_id, MOST_COUNTED, FIRST_TOLD),
        ).fetchone()


def list_crews(connection: AnyConnection, part: str, task: str) -> list[Crew]:
    """The workers of all living hosts, as a job of this task in this part of a queue sees them."""
    with connection.cursor(row_factory=class_row(Crew)) as cursor:
        return cursor.execute(
            "SELECT host, pool, queues, workers, slots, takes, offers, knows, jobs "
            "FROM taskd.crews_v1(%s, %s, %s)",
            (part, task, SILENT_SECONDS),
        ).fetchall()


def is_paused(connection: AnyConnection, queue: str) -> bool:
    """Whether nobody may claim from a queue."""
    row = connection.execute(
        "SELECT q.paused FROM taskd.queue q WHERE q.name = %s", (queue,)
    ).fetchone()
    return bool(row and row[0])
