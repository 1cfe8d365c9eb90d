"""Where jobs wait and nothing begins; `taskd.tasks.stalls` says why."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import class_row

from taskd.store.hosts import SILENT_SECONDS

AnyConnection = psycopg.Connection[Any]

# Index scheduled_pkey.
_OVERDUE = """
SELECT s.id AS first_job, taskd.queue_of_v1(s.queue) AS queue,
       extract(epoch FROM clock_timestamp() - s.run_at)::float8 AS seconds
FROM taskd.scheduled s
WHERE s.run_at < clock_timestamp() - %s * interval '1 second'
ORDER BY s.run_at
LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPart:
    """A part of a queue whose `first_job` has waited for `waited` seconds.

    quiet: for how many seconds nothing of the part has begun, at least; no longer than there has
    been a worker. lane: where that job waits.
    """

    part: str
    queue: str
    requires: str | None
    lane: int
    first_job: int
    task: str
    waited: float
    quiet: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """The scheduled job that should have been let into its queue so many seconds ago."""

    first_job: int
    queue: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that holds what `waiting` statements of taskd wait for.

    seconds: how long its transaction has been open; None, as `state`, where we may not know it.
    """

    pid: int
    application: str
    state: str | None
    seconds: float | None
    waiting: int


def find_waiting_parts(connection: AnyConnection, seconds: float) -> list[WaitingPart]:
    """The parts whose first job has waited for so long, without those of paused queues."""
    parameters = {"seconds": seconds, "silent": SILENT_SECONDS}
    with connection.cursor(row_factory=class_row(WaitingPart)) as cursor:
        return cursor.execute(_statement("find_waiting_parts.sql"), parameters).fetchall()


def find_overdue(connection: AnyConnection, seconds: float) -> Overdue | None:
    """The first scheduled job, if its time came so long ago."""
    with connection.cursor(row_factory=class_row(Overdue)) as cursor:
        return cursor.execute(_OVERDUE, (seconds,)).fetchone()


def find_blockers(connection: AnyConnection) -> list[Blocker]:
    """Who holds locks that statements of taskd wait for: at most 5, the worst first."""
    with connection.cursor(row_factory=class_row(Blocker)) as cursor:
        return cursor.execute(_statement("find_blockers.sql"), {}).fetchall()


def _statement(name: str) -> bytes:
    return files("taskd.store").joinpath("sql", name).read_text(encoding="utf-8").encode()
