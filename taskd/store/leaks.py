"""Which task leaks: what workers and canaries write, and what maintenance makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from taskd.store.literals import number_array, text_array

AnyConnection = psycopg.Connection[Any]

MOST_LEVELS = 2000
KEEP_LEVELS_SECONDS = 86400.0
KEEP_RECYCLES_DAYS = 30

ACCUSED_BYTES = 512.0
"""A canary accuses a task whose jobs leave so much at least, and acquits one whose jobs do not."""

LEAST_CANARY_JOBS = 50
"""With fewer jobs of a task a canary neither accuses nor acquits."""

_LEVELS = """
SELECT m.worker, m.live, m.tasks, m.counts, m.readings
FROM (SELECT * FROM taskd.memory_level m
      WHERE m.pool = %s AND m.at > now() - %s * interval '1 second'
      ORDER BY m.at DESC LIMIT %s) m
ORDER BY m.worker, m.at
"""
_WRITE_ACCOUNT = """
INSERT INTO taskd.canary AS c (pool, worker, task, jobs, bytes, low, high, line)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pool, worker, task) DO UPDATE SET
    at = excluded.at, jobs = excluded.jobs, bytes = excluded.bytes, low = excluded.low,
    high = excluded.high, line = coalesce(excluded.line, c.line)
"""
_ACCOUNTS = """
SELECT DISTINCT ON (c.task) c.task, c.jobs, c.bytes, c.low, c.high, c.line
FROM taskd.canary c
WHERE c.pool = %s AND c.at > now() - %s * interval '1 second'
ORDER BY c.task, c.jobs DESC, c.at DESC
"""
_WRITE_LEAK = """
INSERT INTO taskd.leak AS l (pool, task, source, bytes, low, high, jobs, line)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pool, task) DO UPDATE SET
    source = excluded.source, bytes = excluded.bytes, low = excluded.low, high = excluded.high,
    jobs = excluded.jobs, line = coalesce(excluded.line, l.line), seen_at = now()
"""
_LEAKS = """
SELECT l.pool, l.task, l.source, l.bytes, l.low, l.high, l.jobs, l.line, l.first_at, l.seen_at,
       coalesce(r.workers, 0) AS recycled
FROM taskd.leak l
LEFT JOIN taskd.recycle r ON r.pool = l.pool AND r.day = (now() AT TIME ZONE 'UTC')::date
ORDER BY l.bytes * l.jobs DESC, l.pool, l.task
"""
_RECYCLED = """
INSERT INTO taskd.recycle AS r (day, pool, workers)
VALUES ((now() AT TIME ZONE 'UTC')::date, %s, %s)
ON CONFLICT (day, pool) DO UPDATE SET workers = r.workers + excluded.workers
"""


class Source(StrEnum):
    """What an estimate comes from: all workers of a pool, or a canary."""

    WORKERS = "workers"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Level:
    """What a worker held, in bytes, when it had ended so many jobs of each task.

    Each number is the mean of so many readings.
    """

    worker: int
    live: float
    counts: Mapping[str, float]
    readings: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a job of a task leaves behind: bytes, and between what that lies with 95 %.

    Of a task that a canary does not accuse, `bytes` need not be the middle of that.
    """

    task: str
    jobs: int
    bytes: float
    low: float
    high: float
    line: str | None = None

    @property
    def may_leave(self) -> float:
        """As many bytes as it may well be, by which it is acquitted: no less than the middle."""
        return max(self.bytes, (self.low + self.high) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak(Account):
    """A task that leaks; `recycled`: so many workers of its pool were replaced today for memory."""

    pool: str
    source: str
    first_at: datetime
    seen_at: datetime
    recycled: int


class Hunted(NamedTuple):
    """A pool in which a canary was asked for, and the name of the host that is to start it."""

    pool: str
    host: str


def write_level(connection: AnyConnection, pool: str, level: Level) -> None:
    """Store what a worker holds now."""
    connection.execute(
        "INSERT INTO taskd.memory_level (pool, worker, live, tasks, counts, readings) "
        "VALUES (%s, %s, %s, %s::text[], %s::double precision[], %s)",
        (
            pool,
            level.worker,
            round(level.live),
            text_array(level.counts),
            number_array(level.counts.values()),
            level.readings,
        ),
    )


def levels_of(
    connection: AnyConnection, pool: str, seconds: float = KEEP_LEVELS_SECONDS
) -> list[Level]:
    """The youngest levels of a pool's workers on all hosts, each worker's in order of time."""
    rows = connection.execute(_LEVELS, (pool, seconds, MOST_LEVELS)).fetchall()
    return [
        Level(worker, live, dict(zip(tasks, counts, strict=True)), readings)
        for worker, live, tasks, counts, readings in rows
    ]


def write_accounts(
    connection: AnyConnection, pool: str, worker: int, accounts: Iterable[Account]
) -> None:
    """Store what a canary has seen so far, in place of what it has stored before."""
    with connection.transaction():
        for one in accounts:
            connection.execute(
                _WRITE_ACCOUNT,
                (pool, worker, one.task, one.jobs, one.bytes, one.low, one.high, one.line),
            )


def accounts_of(
    connection: AnyConnection, pool: str, seconds: float = KEEP_LEVELS_SECONDS
) -> list[Account]:
    """What canaries of a pool have seen: of each task that one which has seen most jobs."""
    with connection.cursor(row_factory=class_row(Account)) as cursor:
        return cursor.execute(_ACCOUNTS, (pool, seconds)).fetchall()


def write_leaks(
    connection: AnyConnection,
    pool: str,
    leaking: Mapping[Source, Sequence[Account]],
    innocent: Iterable[str] = (),
) -> None:
    """Store which tasks of a pool leak, by what that is known; and forget the innocent."""
    with connection.transaction():
        for source, accounts in leaking.items():
            for one in accounts:
                connection.execute(
                    _WRITE_LEAK,
                    (pool, one.task, source, one.bytes, one.low, one.high, one.jobs, one.line),
                )
        connection.execute(
            "DELETE FROM taskd.leak WHERE pool = %s AND task = ANY (%s::text[])",
            (pool, text_array(innocent)),
        )


def list_leaks(connection: AnyConnection) -> list[Leak]:
    """The tasks that leak, those first that have cost most."""
    with connection.cursor(row_factory=class_row(Leak)) as cursor:
        return cursor.execute(_LEAKS).fetchall()


def count_recycled(connection: AnyConnection, pool: str, workers: int) -> None:
    """Count workers of a pool that were replaced, or killed, because of what they held."""
    connection.execute(_RECYCLED, (pool, workers))


def ask_hunt(connection: AnyConnection, task: str) -> list[Hunted]:
    """Ask for a canary in each pool that runs a task; empty: no running daemon does."""
    rows = connection.execute("SELECT pool, host FROM taskd.ask_hunt_v1(%s)", (task,)).fetchall()
    return [Hunted(*row) for row in rows]


def prune_leaks(connection: AnyConnection, keep_seconds: float) -> None:
    """Forget levels of yesterday, and what was not seen for `keep_seconds`."""
    for statement, keep in (
        (
            "DELETE FROM taskd.memory_level WHERE at < now() - %s * interval '1 second'",
            min(keep_seconds, KEEP_LEVELS_SECONDS),
        ),
        ("DELETE FROM taskd.canary WHERE at < now() - %s * interval '1 second'", keep_seconds),
        ("DELETE FROM taskd.leak WHERE seen_at < now() - %s * interval '1 second'", keep_seconds),
        ("DELETE FROM taskd.recycle WHERE day < current_date - %s::integer", KEEP_RECYCLES_DAYS),
    ):
        connection.execute(statement.encode(), (keep,))
