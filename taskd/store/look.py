"""Looking at jobs: by id, by filter, and how many there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row, dict_row

from taskd.config.versions import Part
from taskd.store.hosts import SILENT_SECONDS
from taskd.store.literals import integer_array, text_array
from taskd.store.paging import newest_ids, page_of_ids
from taskd.store.rows import AttemptRow, JobFilter, JobRow, State, Unfinished

AnyConnection = psycopg.Connection[Any]

_OFFERED = """
WITH offered AS (
    SELECT DISTINCT unnest(w.offers) AS version
    FROM taskd.worker w JOIN taskd.host h ON h.id = w.host
    WHERE w.ended_at IS NULL AND h.ended_at IS NULL
      AND h.beat_at > clock_timestamp() - %(silent)s * interval '1 second'
)
"""
_QUEUES = f"""{_OFFERED}
SELECT taskd.queue_of_v1(q.name) AS name, taskd.version_of_v1(q.name) AS requires,
       taskd.version_of_v1(q.name) IS NULL
           OR taskd.version_of_v1(q.name) IN (SELECT version FROM offered) AS offered,
       coalesce(max(k.paused::int), 0)::bool AS paused,
       coalesce(max(k.description), '') AS description,
       max(c.units) AS concurrency, max(c.rate) AS rate, max(c.burst) AS burst,
       sum(q.queued)::bigint AS queued, sum(q.scheduled)::bigint AS scheduled,
       sum(q.blocked)::bigint AS blocked, sum(q.running)::bigint AS running,
       extract(epoch FROM clock_timestamp() - min(q.oldest))::float8 AS oldest_seconds
FROM (
    SELECT queue AS name, count(*) AS queued, 0 AS scheduled, 0 AS blocked, 0 AS running,
           min(coalesce(ready_at, created_at)) AS oldest
    FROM taskd.queued GROUP BY queue
    UNION ALL SELECT queue, 0, count(*), 0, 0, NULL FROM taskd.scheduled GROUP BY queue
    UNION ALL SELECT queue, 0, 0, count(*), 0, NULL FROM taskd.blocked GROUP BY queue
    UNION ALL SELECT queue, 0, 0, 0, count(*), NULL FROM taskd.running GROUP BY queue
    UNION ALL SELECT name, 0, 0, 0, 0, NULL FROM taskd.queue
    UNION ALL SELECT substr(name, 8), 0, 0, 0, 0, NULL FROM taskd.capacity
    WHERE name LIKE '@queue %%'
) q
LEFT JOIN taskd.queue k ON k.name = taskd.queue_of_v1(q.name)
LEFT JOIN taskd.capacity c ON c.name = '@queue ' || taskd.queue_of_v1(q.name)
GROUP BY q.name
ORDER BY q.name
"""
_UNOFFERED = f"""{_OFFERED}
SELECT DISTINCT taskd.queue_of_v1(l.queue), taskd.version_of_v1(l.queue)
FROM taskd.all_lanes_v1() l
-- What requires no version is offered by anybody: NULL is not in an empty set.
WHERE taskd.version_of_v1(l.queue) IS NOT NULL
  AND taskd.version_of_v1(l.queue) NOT IN (SELECT version FROM offered)
ORDER BY 1, 2
"""
_UNFINISHED = """
WITH paused AS (SELECT name FROM taskd.queue WHERE paused),
wanted AS (
    SELECT 'queued' AS kind, queue, count(*) AS n FROM taskd.queued GROUP BY queue
    UNION ALL SELECT 'running', queue, count(*) FROM taskd.running GROUP BY queue
    UNION ALL SELECT 'blocked', queue, count(*) FROM taskd.blocked GROUP BY queue
    UNION ALL
    SELECT CASE WHEN attempt > 0 OR run_at < now() + interval '60 seconds' THEN 'soon'
                ELSE 'later' END, queue, count(*)
    FROM taskd.scheduled GROUP BY 1, queue
), named AS (
    SELECT w.kind, w.n, taskd.queue_of_v1(w.queue) AS queue, taskd.version_of_v1(w.queue) AS version
    FROM wanted w
)
SELECT CASE WHEN w.kind = 'running' THEN w.kind
            WHEN w.queue IN (SELECT name FROM paused) THEN 'paused'
            WHEN w.version IS NOT NULL AND w.version <> ALL (%(offers)s::text[]) THEN 'unoffered'
            ELSE w.kind END AS kind,
       w.queue, w.version, sum(w.n)::bigint
FROM named w
WHERE cardinality(%(queues)s::text[]) = 0 OR w.queue = ANY (%(queues)s::text[])
GROUP BY 1, w.queue, w.version
"""
_FAILURES = """
SELECT count(*)
FROM taskd.history h
WHERE h.state = 'f' AND h.finished_at >= %(since)s
  AND (cardinality(%(queues)s::text[]) = 0
       OR taskd.queue_of_v1(h.queue) = ANY (%(queues)s::text[]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A queue, or what requires a version of the code in it, with what waits and runs there.

    offered: whether some running worker offers that version, whichever queues it serves.
    concurrency, rate (jobs per second), burst: its limits, whoever set them.
    oldest_seconds: how long its first job has waited.
    """

    name: str
    requires: str | None
    offered: bool
    paused: bool
    description: str
    concurrency: int | None
    rate: float | None
    burst: int | None
    queued: int
    scheduled: int
    blocked: int
    running: int
    oldest_seconds: float | None


def _statement(name: str) -> LiteralString:
    return files("taskd.store").joinpath("sql", name).read_text(encoding="utf-8")


def fetch_job(connection: AnyConnection, job_id: int) -> JobRow | None:
    """One job, wherever it is; None if there is no such job (or its history was dropped)."""
    found = _find(connection, " WHERE j.id = %(id)s LIMIT 1", {"id": job_id})
    return found[0] if found else None


def fetch_jobs(connection: AnyConnection, job_ids: Sequence[int]) -> list[JobRow]:
    """Jobs by their ids, in that order; unknown ones are left out."""
    found = _find(
        connection, " WHERE j.id = ANY (%(ids)s::bigint[])", {"ids": integer_array(job_ids)}
    )
    by_id = {job.id: job for job in found}
    return [by_id[job_id] for job_id in job_ids if job_id in by_id]


def fetch_state(connection: AnyConnection, job_id: int) -> State | None:
    """Where a job is, for those who ask again and again; None if there is no such job."""
    row = connection.execute(
        "SELECT j.state FROM taskd.job j WHERE j.id = %s LIMIT 1", (job_id,)
    ).fetchone()
    return State(row[0]) if row else None


def list_jobs(connection: AnyConnection, wanted: JobFilter) -> list[JobRow]:
    """At most `wanted.limit` jobs, newest first; looks as far back as it must."""
    return fetch_jobs(connection, newest_ids(connection, wanted))


def page_jobs(connection: AnyConnection, wanted: JobFilter) -> tuple[list[JobRow], int | None]:
    """A page of at most `wanted.limit` jobs, newest first, and before which id the next begins.

    Looks at a bounded number of jobs, so there may be fewer, even none, and yet a next page; None:
    there is no older one.
    """
    page = page_of_ids(connection, wanted)
    return fetch_jobs(connection, page.ids), page.next_before


def _find(
    connection: AnyConnection, tail: LiteralString, parameters: dict[str, Any]
) -> list[JobRow]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_statement("find_jobs.sql") + tail, parameters).fetchall()
    return [_job(row) for row in rows]


def _job(row: dict[str, Any]) -> JobRow:
    row["state"] = State(row["state"])
    row["args"] = json.loads(row["args"])
    row["kwargs"] = json.loads(row["kwargs"]) if row["kwargs"] else {}
    row["extra"] = row["extra"] or {}
    row["result"] = None if row["result"] is None else json.loads(row["result"])
    return JobRow(**row)


def fetch_attempts(connection: AnyConnection, job_id: int) -> list[AttemptRow]:
    """The attempts of a job that did not end it, first to last."""
    with connection.cursor(row_factory=class_row(AttemptRow)) as cursor:
        return cursor.execute(_statement("find_attempts.sql"), {"job": job_id}).fetchall()


def list_queues(connection: AnyConnection) -> list[QueueRow]:
    """Every queue that has jobs or a row of its own, by name and version.

    Counts: reads all waiting jobs.
    """
    with connection.cursor(row_factory=class_row(QueueRow)) as cursor:
        return cursor.execute(_QUEUES, {"silent": SILENT_SECONDS}).fetchall()


def unoffered_parts(connection: AnyConnection) -> list[Part]:
    """In which queues jobs wait for a version of the code that no running worker offers.

    Reads the first job of each lane, so limit its rate.
    """
    rows = connection.execute(_UNOFFERED, {"silent": SILENT_SECONDS}).fetchall()
    return [Part(*row) for row in rows]


def count_unfinished(
    connection: AnyConnection, queues: tuple[str, ...], offers: frozenset[str]
) -> Unfinished:
    """What these queues (empty: all) still hold, where only these versions of the code are offered.

    Counts: reads all waiting jobs.
    """
    parameters = {"queues": text_array(queues), "offers": text_array(offers)}
    rows = connection.execute(_UNFINISHED, parameters).fetchall()
    totals = dict.fromkeys(("queued", "running", "blocked", "soon", "later"), 0)
    paused: dict[str, int] = {}
    unoffered: dict[Part, int] = {}
    for kind, queue, version, count in rows:
        match kind:
            case "paused":
                paused[queue] = paused.get(queue, 0) + count
            case "unoffered":
                unoffered[Part(queue, version)] = count
            case _:
                totals[kind] += count
    return Unfinished(paused=paused, unoffered=unoffered, **totals)


def count_failures(connection: AnyConnection, queues: tuple[str, ...], since: datetime) -> int:
    """How many jobs of these queues (empty: all) have failed since then, by the server's clock."""
    row = connection.execute(_FAILURES, {"queues": text_array(queues), "since": since}).fetchone()
    return int(row[0]) if row else 0
