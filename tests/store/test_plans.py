"""The plans of the hot queries, on filled tables, with statistics or none: none flips to a scan."""

from __future__ import annotations

import pytest

from taskd.store import health, jobs
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


TABLES_OF_JOBS = ("queued", "scheduled", "running", "history")


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


def rows_read(connection: Connection, table: str) -> int:
    """Entries of a table and of its indexes that this session's transaction has read.

    Those of its partitions count, too: a scan of a whole index shows here, not among the scans.
    What the session read before it is counted until the server collects it, so take differences.
    """
    row = connection.execute(
        "WITH tables AS (SELECT %s::regclass::oid AS oid UNION "
        "SELECT relid FROM pg_partition_tree(%s::regclass)), "
        "indexes AS (SELECT indexrelid AS oid FROM pg_index JOIN tables ON indrelid = tables.oid) "
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) "
        "FROM (TABLE tables UNION ALL TABLE indexes) all_of_it",
        (f"taskd.{table}", f"taskd.{table}"),
    ).fetchone()
    assert row is not None
    return int(row[0])


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
        before = rows_read(connection, "queued")
        rows = claim(connection, worker, 10, ("q3", 10, 0), ("q3", 5, 0))
        scans, index_scans = blocks_read(connection, "queued")
        read = rows_read(connection, "queued") - before

    assert len(rows) == 10
    assert read <= 50
    assert scans == 0
    assert index_scans >= 1


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_claim_reads_no_job_of_the_dry_lanes_that_it_passes(
    connection: Connection, analyzed: bool
) -> None:
    worker = add_worker(connection)
    dry = [(f"q{n}", lane, 0) for n in range(10) for lane in range(10) if lane != 5]
    drained = [(f"q{n}", 5, 10_000_000) for n in range(10)]
    claim(connection, worker, 1, *dry, *drained)  # plans are made while the table is empty
    connection.execute(FILL, (20_000,))
    if analyzed:
        connection.execute("ANALYZE taskd.queued")

    with connection.transaction():
        before = rows_read(connection, "queued")
        rows = claim(connection, worker, 10, *dry, *drained, ("q3", 5, 0))
        scans, _ = blocks_read(connection, "queued")
        read = rows_read(connection, "queued") - before

    assert len(rows) == 10
    assert read <= 50
    assert scans == 0


def test_looking_for_lanes_and_beating_scan_no_table(connection: Connection) -> None:
    host = add_host(connection)
    connection.execute(FILL, (20_000,))
    connection.execute(SCHEDULE, (5_000,))
    connection.execute("ANALYZE taskd.queued, taskd.scheduled")

    with connection.transaction():
        before = [rows_read(connection, table) for table in ("queued", "scheduled")]
        connection.execute("SELECT * FROM taskd.all_lanes_v1()")
        connection.execute("SELECT * FROM taskd.waiting_lanes_v1('{q1,q2}', '{5,5}', '{0,0}')")
        connection.execute("SELECT * FROM taskd.beat_host_v1(%s, NULL)", (host,))
        connection.execute("SELECT * FROM taskd.promote_jobs_v1(100)")
        after = [rows_read(connection, table) for table in ("queued", "scheduled")]

    queued, scheduled = (late - early for late, early in zip(after, before, strict=True))
    assert 0 < queued <= 200
    assert 0 < scheduled <= 200


def test_a_promotion_reads_what_is_due_and_no_more(connection: Connection) -> None:
    connection.execute(SCHEDULE, (5_000,))
    connection.execute("UPDATE taskd.scheduled SET run_at = now() WHERE id <= 100")
    connection.execute("ANALYZE taskd.scheduled")

    with connection.transaction():
        before = rows_read(connection, "scheduled")
        promoted = jobs.promote_jobs(connection, 10).promoted
        read = rows_read(connection, "scheduled") - before

    assert promoted == 10
    assert read <= 200


def test_a_job_of_whatever_state_is_found_by_id_without_reading_a_table(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 3000)
    rows = claim(connection, worker, 3000)
    ends = [JobEnd(row[0], fence_of(row), 0.1, "sf"[row[0] % 2]) for row in rows]
    jobs.complete_jobs(connection, worker, ends[:2000])
    connection.execute(FILL, (3_000,))
    connection.execute(SCHEDULE.replace("n, now(), 0", "1000000 + n, now(), 0"), (3_000,))
    connection.execute("ANALYZE taskd.queued, taskd.scheduled, taskd.running, taskd.history")

    for state in ("queued", "scheduled", "running", "succeeded", "failed", None):
        condition = b"" if state is None else f" AND state = '{state}'".encode()
        with connection.transaction():
            before = sum(rows_read(connection, table) for table in TABLES_OF_JOBS)
            for job in (ids[0], ids[-1]):
                connection.execute(b"SELECT * FROM taskd.job WHERE id = %s" + condition, (job,))
            read = sum(rows_read(connection, table) for table in TABLES_OF_JOBS) - before
        assert read <= 20, state


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


def test_hot_queries_go_by_their_indexes_also_in_tables_known_to_be_empty(
    connection: Connection,
) -> None:
    connection.execute("ANALYZE")

    scanned = {plan.name: plan.scanned for plan in health.explain_hot_queries(connection)}

    assert {name: tables for name, tables in scanned.items() if tables} == {}


def test_the_ends_of_jobs_far_apart_tell_nobody_where_nobody_has_ever_waited(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    connection.execute("TRUNCATE taskd.dependency, taskd.adopted, taskd.waiter")
    add_jobs(connection)
    connection.execute("SELECT setval('taskd.job_seq', nextval('taskd.job_seq') + 20000)")
    add_jobs(connection)
    rows = claim(connection, worker)
    connection.execute("SET track_functions = 'pl'")

    with connection.transaction():
        ids, fences = [row[0] for row in rows], [fence_of(row) for row in rows]
        assert jobs.complete_succeeded(connection, worker, ids, fences, [0.1] * 2) == []
        called = connection.execute(
            "SELECT funcname FROM pg_stat_xact_user_functions "
            "WHERE funcname IN ('complete_succeeded_v1', 'let_go_v1')"
        ).fetchall()

    assert called == [("complete_succeeded_v1",)]
