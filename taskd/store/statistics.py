"""What has ended by minute, queue, task and pool, and how much waits; see 17_statistics.sql.

No statement here counts a table of jobs, so each takes milliseconds whatever waits or has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from importlib.resources import files
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.rows import class_row, dict_row

from taskd.store.histogram import Histogram
from taskd.store.hosts import SILENT_SECONDS

AnyConnection = psycopg.Connection[Any]

DAY = 86400.0
KEEP_MINUTES = 2 * DAY
"""How long minutes and tens of minutes are kept, in seconds."""
KEEP_HOURS = 90 * DAY
"""How long hours are kept, in seconds."""
_SPANS = (
    ("m", 60.0, 3600.0),
    ("x", 600.0, 8 * 3600.0),
    ("h", 3600.0, 2 * DAY),
    ("q", 4 * 3600.0, 8 * DAY),
    ("d", DAY, KEEP_HOURS),
)
"""The spans of the statistics, how long each is, and for what time at most it is read."""

_COUNTED = ("started", "succeeded", "failed", "cancelled", "retried", "lost", "returned")

_ROLL_UP = "SELECT taken, last FROM taskd.roll_up_v1(%s, %s)"


class RolledUp(NamedTuple):
    """How many tallies were added to the statistics (-1: somebody else is at it); the last's id."""

    taken: int
    last: int | None


class By(StrEnum):
    """What statistics are summed by."""

    QUEUE = "queue"
    TASK = "task"
    POOL = "pool"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of attempts in some time.

    started: attempts that began then, as far as they have ended. succeeded, failed, cancelled: jobs
    that ended. retried: attempts that failed, with another to come. lost: attempts that ended with
    their worker. returned: those that do not count: snoozed, interrupted, given back.
    runs: how long attempts ran that succeeded, failed or were retried. waits: how long those that
    started had waited for a worker, asks: before that for their resources.
    cpu_seconds: what the attempts that ended have used of processors, memory_growth: by how many
    bytes they left the processes of process pools larger.
    """

    started: int
    succeeded: int
    failed: int
    cancelled: int
    retried: int
    lost: int
    returned: int
    runs: Histogram
    waits: Histogram
    asks: Histogram
    cpu_seconds: float = 0.0
    memory_growth: int = 0

    @property
    def ended(self) -> int:
        """How many jobs succeeded or failed."""
        return self.succeeded + self.failed

    @property
    def failure_rate(self) -> float | None:
        """The part of the attempts that failed, of those that came to an end of their own."""
        attempts = self.succeeded + self.failed + self.retried
        return (self.failed + self.retried) / attempts if attempts else None

    def to_json_dict(self) -> dict[str, Any]:
        """The counts, and of run and wait times (seconds) count, mean and quantiles."""
        numbers = {name: getattr(self, name) for name in _COUNTED}
        return {
            **numbers,
            "failure_rate": self.failure_rate,
            "cpu_seconds": self.cpu_seconds,
            "memory_growth": self.memory_growth,
            "run": self.runs.to_json_dict(),
            "wait_for_worker": self.waits.to_json_dict(),
            "wait_for_resources": self.asks.to_json_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The counts of some time, of one queue, task or pool (its `name`), or of all ("").

    seconds: how long that time is, for rates.
    """

    name: str
    counts: Counts
    seconds: float

    @property
    def rate(self) -> float:
        """Jobs that succeeded or failed, per second."""
        return self.counts.ended / self.seconds

    def to_json_dict(self) -> dict[str, Any]:
        """Its name, rate and counts."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "jobs_per_second": self.rate,
            **self.counts.to_json_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The counts of one step of a curve, which begins at `at`."""

    at: datetime
    counts: Counts

    def to_json_dict(self) -> dict[str, Any]:
        """Its begin as ISO 8601, and its counts."""
        return {"at": self.at.isoformat(), **self.counts.to_json_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All that was ever counted of a task in a queue and pool."""

    queue: str
    task: str
    pool: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits or runs in a queue now, or in the part of it that requires a version of the code.

    is_exact: false where there is so much that the counts are estimates. queued_seconds: how long
    its first job has waited for a worker; overdue_seconds: how long the first scheduled one should
    have left its place; blocked_seconds: how old the first blocked one is. runnable: the queued
    jobs that could start now if a slot were free: none of a paused queue, nor those that require a
    version of the code that no running worker offers.
    """

    queue: str
    requires: str | None
    paused: bool
    offered: bool
    queued: int
    scheduled: int
    blocked: int
    running: int
    runnable: int
    is_exact: bool
    queued_seconds: float | None
    overdue_seconds: float | None
    blocked_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogPoint:
    """The most that a queue had in a state in one step of a curve, and how long a first one waited.

    age is in seconds.
    """

    at: datetime
    queue: str
    state: str
    jobs: int
    is_exact: bool
    age: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool, of all hosts: living workers, jobs that they can run at once, jobs they have."""

    name: str
    workers: int
    slots: int
    running: int


def roll_up(connection: AnyConnection, above: int = 0, most: int = 20_000) -> RolledUp:
    """Add what has ended to the statistics: at most `most` tallies with ids above `above`.

    Waits for nobody. `above` spares reading what is deleted; what committed late lies behind it,
    and is found from 0.
    """
    row = connection.execute(_ROLL_UP, (above, most)).fetchone()
    return RolledUp(*row) if row else RolledUp(0, None)


def note_backlog(connection: AnyConnection) -> bool:
    """Note what waits in this minute; False if that was done."""
    row = connection.execute("SELECT taskd.note_backlog_v1()").fetchone()
    return bool(row and row[0])


def thin_statistics(
    connection: AnyConnection, minutes: float = KEEP_MINUTES, hours: float = KEEP_HOURS
) -> int:
    """Forget minutes and hours that are older than so many seconds. How many rows are gone."""
    row = connection.execute("SELECT taskd.thin_statistics_v1(%s, %s)", (minutes, hours)).fetchone()
    return int(row[0]) if row else 0


def summarize(
    connection: AnyConnection,
    since: float,
    by: By,
    queue: str | None = None,
    task: str | None = None,
) -> list[Summary]:
    """What has happened in the last `since` seconds, by name; of one queue or task, if given.

    A longer time is read in longer spans, from the begin of one: up to an hour of 1 minute, up to
    8 hours of 10 minutes, up to 2 days of an hour, up to 8 days of 4 hours, beyond of a day.
    """
    parameters = {**_window(since), "by": str(by), "step": None, "queue": queue, "task": task}
    rows = _fetch(connection, "sum_statistics.sql", parameters)
    return [Summary(name=row["name"], counts=_counts(row), seconds=row["seconds"]) for row in rows]


def curve(
    connection: AnyConnection,
    since: float,
    step: float,
    queue: str | None = None,
    task: str | None = None,
) -> list[Point]:
    """The same in steps of so many seconds, oldest first, without those in which nothing ended.

    Steps begin at multiples of `step` since 1970.
    """
    parameters = {**_window(since), "by": str(By.ALL), "step": step, "queue": queue, "task": task}
    rows = _fetch(connection, "sum_statistics.sql", parameters)
    return [Point(at=row["step"], counts=_counts(row)) for row in rows]


def totals(connection: AnyConnection) -> list[Total]:
    """All that was ever counted, by queue, task and pool: figures that only grow."""
    rows = _fetch(connection, "total_statistics.sql", {})
    return [
        Total(queue=row["queue"], task=row["task"], pool=row["pool"], counts=_counts(row))
        for row in rows
    ]


def fetch_backlog(connection: AnyConnection) -> list[Backlog]:
    """What waits and runs now, by queue and version; also the queues that somebody has set up."""
    with connection.cursor(row_factory=class_row(Backlog)) as cursor:
        statement = _statement("fetch_backlog.sql")
        return cursor.execute(statement, {"silent": SILENT_SECONDS}).fetchall()


def list_pools(connection: AnyConnection) -> list[PoolRow]:
    """The pools of the hosts that live, by name."""
    with connection.cursor(row_factory=class_row(PoolRow)) as cursor:
        return cursor.execute(_statement("list_pools.sql"), {"silent": SILENT_SECONDS}).fetchall()


def backlog_curve(
    connection: AnyConnection, since: float, step: float, queue: str | None = None
) -> list[BacklogPoint]:
    """What has waited in the last `since` seconds, in steps, by queue and state, oldest first."""
    parameters = {"since": since, "step": step, "queue": queue}
    with connection.cursor(row_factory=class_row(BacklogPoint)) as cursor:
        return cursor.execute(_statement("curve_backlog.sql"), parameters).fetchall()


def merge_parts(parts: Sequence[Backlog]) -> list[Backlog]:
    """One row a queue, whatever versions of the code its jobs require; in the order given."""
    merged: dict[str, Backlog] = {}
    for part in parts:
        held = merged.get(part.queue)
        merged[part.queue] = replace(part, requires=None) if held is None else _both(held, part)
    return list(merged.values())


def _both(one: Backlog, other: Backlog) -> Backlog:
    return replace(
        one,
        offered=one.offered and other.offered,
        queued=one.queued + other.queued,
        scheduled=one.scheduled + other.scheduled,
        blocked=one.blocked + other.blocked,
        running=one.running + other.running,
        runnable=one.runnable + other.runnable,
        is_exact=one.is_exact and other.is_exact,
        queued_seconds=_longest(one.queued_seconds, other.queued_seconds),
        overdue_seconds=_longest(one.overdue_seconds, other.overdue_seconds),
        blocked_seconds=_longest(one.blocked_seconds, other.blocked_seconds),
    )


def _longest(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


def finest_step(since: float) -> float:
    """The seconds of the spans that a curve of so long a time is made of."""
    return float(_window(since)["length"])


def _window(since: float) -> dict[str, Any]:
    span, length, _ = next((each for each in _SPANS if since <= each[2]), _SPANS[-1])
    return {"since": since, "span": span, "length": length}


def _statement(name: str) -> LiteralString:
    return files("taskd.store").joinpath("sql", name).read_text(encoding="utf-8")


def _fetch(
    connection: AnyConnection, name: str, parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_statement(name), parameters).fetchall()


def _counts(row: dict[str, Any]) -> Counts:
    return Counts(
        **{name: row[name] for name in _COUNTED},
        runs=Histogram.unpack(row["runs"], row["run_seconds"]),
        waits=Histogram.unpack(row["waits"], row["wait_seconds"]),
        asks=Histogram.unpack(row["asks"], row["ask_seconds"]),
        cpu_seconds=row["cpu_seconds"],
        memory_growth=row["memory_bytes"],
    )
