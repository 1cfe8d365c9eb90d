"""The plans of the hot queries, on filled tables, with statistics or none: none flips to a scan."""

from __future__ import annotations

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of

FILL = """
INSERT INTO taskd.queued
    (seq, id, created_at, lane, priority, attempt, max_attempts, queue, task, args)
SELECT n, n, now(), 5, 5, 0, 1, 'q' || n %% 10, 'shop.sync', '[]'
FROM (SELECT nextval('taskd.job_seq') AS n FROM generate_series(1, %s)) s
"""
SCHEDULE = """
INSERT INTO taskd.scheduled
    (run_at, id, created_at, priority, attempt, max_attempts, queue, task, args)
SELECT now() + n * interval '1 second', n, now(), 5, 0, 1, 'q', 'shop.sync', '[]'
FROM generate_series(1, %s) n
"""


def blocks_read(connection: Connection, table: str) -> tuple[int, int]:
    """(sequential scans, index scans) of a table in this session's transaction."""
    row = connection.execute(
        "SELECT pg_stat_get_xact_numscans(c.oid), "
        "(SELECT sum(pg_stat_get_xact_numscans(i.indexrelid)) FROM pg_index i "
        " WHERE i.indrelid = c.oid) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'taskd' AND c.relname = %s",
        (table,),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_claim_reads_the_index_only_where_it_claims(
    connection: Connection, analyzed: bool
) -> None:
    worker = add_worker(connection)
    claim(connection, worker)  # plans are made and kept while the table is empty
    connection.execute(FILL, (20_000,))
    if analyzed:
        connection.execute("ANALYZE taskd.queued")

    with connection.transaction():
        rows = claim(connection, worker, 10, ("q3", 10, 0), ("q3", 5, 0))
        scans, index_scans = blocks_read(connection, "queued")

    assert len(rows) == 10
    assert scans == 0
    assert index_scans >= 1


def test_looking_for_lanes_and_beating_scan_no_table(connection: Connection) -> None:
    host = add_host(connection)
    connection.execute(FILL, (20_000,))
    connection.execute(SCHEDULE, (5_000,))
    connection.execute("ANALYZE taskd.queued, taskd.scheduled")

    with connection.transaction():
        connection.execute("SELECT * FROM taskd.all_lanes_v1()")
        connection.execute("SELECT * FROM taskd.waiting_lanes_v1('{q1,q2}', '{5,5}', '{0,0}')")
        connection.execute("SELECT * FROM taskd.beat_host_v1(%s, NULL)", (host,))
        connection.execute("SELECT * FROM taskd.promote_jobs_v1(100)")
        queued, scheduled = blocks_read(connection, "queued"), blocks_read(connection, "scheduled")

    assert queued[0] == 0
    assert scheduled[0] == 0


@pytest.mark.parametrize("state", ["queued", "scheduled", "running", "succeeded", "failed", None])
def test_a_job_is_found_by_id_without_reading_a_table(
    connection: Connection, state: str | None
) -> None:
    connection.execute(FILL, (20_000,))
    connection.execute(SCHEDULE, (5_000,))
    connection.execute("ANALYZE taskd.queued, taskd.scheduled")
    condition = b"" if state is None else f" AND state = '{state}'".encode()

    plan = "\n".join(
        row[0]
        for row in connection.execute(
            b"EXPLAIN SELECT * FROM taskd.job WHERE id = 777" + condition
        ).fetchall()
    )

    assert "Seq Scan on queued" not in plan
    assert "Seq Scan on scheduled" not in plan


@pytest.mark.parametrize("end", ["succeeded", "failed", "retried", "given back"])
def test_ends_find_their_rows_by_id_also_when_running_looked_empty(
    connection: Connection, end: str
) -> None:
    worker = add_worker(connection)
    connection.execute("ANALYZE taskd.running")
    ids = add_jobs(connection, 1000)
    fences = [fence_of(row) for row in claim(connection, worker, 1000)]

    with connection.transaction():
        match end:
            case "succeeded":
                jobs.complete_succeeded(connection, worker, ids, fences, [0.1] * 1000)
            case "failed":
                jobs.complete_jobs(
                    connection,
                    worker,
                    [JobEnd(i, f, 0.1, "f") for i, f in zip(ids, fences, strict=True)],
                )
            case "retried":
                jobs.retry_jobs(
                    connection,
                    worker,
                    [JobRetry(i, f, 0.1, "r", 9.0) for i, f in zip(ids, fences, strict=True)],
                )
            case _:
                jobs.give_back_jobs(connection, worker, ids, fences)
        scans, _ = blocks_read(connection, "running")
        row = connection.execute(
            "SELECT pg_stat_get_xact_numscans('taskd.running_worker'::regclass)"
        ).fetchone()

    assert scans == 0
    assert row == (0,)
    assert connection.execute("SELECT count(*) FROM taskd.running").fetchone() == (0,)
