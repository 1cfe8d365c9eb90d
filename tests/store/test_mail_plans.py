"""What grants, releases, ends and cancels read when thousands wait: only what they concern."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.resources import find_holders
from taskd.store.rows import NewJobs
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_one,
    claim_one,
    complete,
    dispatch,
    retry,
    set_capacity,
    used,
)
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of, places
from tests.store.test_plans import blocks_read, rows_read

MANY = 20_000
HOLDERS = (
    "blocked",
    "line",
    "resource",
    "capacity",
    "mail",
    "dependency",
    "waiter",
    "unique_key",
    "queued",
    "scheduled",
    "running",
    "request",
)

_LINE_UP = """
WITH new AS (
    SELECT nextval('taskd.job_seq') AS id, nextval('taskd.place_seq') AS place
    FROM generate_series(1, %(many)s)
), stood AS (
    INSERT INTO taskd.blocked (id, created_at, stage, pending, priority, attempt, max_attempts,
                               queue, task, args, res, need, place)
    SELECT id, now(), 'l', 1, 5, 0, 1, 'default', 'shop.sync', '[]', '{x}', '{2147483647}', place
    FROM new
), lined AS (
    INSERT INTO taskd.line (res, turn, place, need, id)
    SELECT 'x', 0, place, 2147483647, id FROM new
)
UPDATE taskd.resource SET waiting = true WHERE name = 'x'
"""
_OTHERS = """
WITH new AS (
    SELECT n, 1000000 + n AS parent FROM generate_series(1, %(many)s) n
), d AS (
    INSERT INTO taskd.dependency (parent, child) SELECT parent, 2000000 + n FROM new
), r AS (
    INSERT INTO taskd.resource (name, used, waiting) SELECT 'r' || n, 0, false FROM new
), k AS (
    INSERT INTO taskd.unique_key (key, job) SELECT 'k' || n, parent FROM new
), run AS (
    INSERT INTO taskd.running (id, fence, worker, created_at, priority, attempt, max_attempts,
                               losses, crashes, queue, task, args)
    SELECT parent, 0, 0, now(), 5, 1, 1, 0, 0, 'other', 'shop.sync', '[]' FROM new
), wait AS (
    INSERT INTO taskd.queued (seq, id, created_at, lane, priority, attempt, max_attempts, queue,
                              task, args)
    SELECT n, 4000000 + n, now(), 5, 5, 0, 1, 'other', 'shop.sync', '[]' FROM new
), later AS (
    INSERT INTO taskd.scheduled (run_at, id, created_at, priority, attempt, max_attempts, queue,
                                 task, args)
    SELECT now() + interval '1 day', 5000000 + n, now(), 5, 0, 1, 'other', 'shop.sync', '[]'
    FROM new
)
INSERT INTO taskd.waiter (job, token, expires_at)
SELECT parent, 't', now() + interval '1 hour' FROM new
"""


Ending = Callable[[Connection, int, list[list[object]]], object]


def _succeed(connection: Connection, worker: int, rows: list[list[object]]) -> object:
    fences = [fence_of(row) for row in rows]
    return jobs.complete_succeeded(connection, worker, ids_of(rows), fences, [0.1] * len(rows))


def live_a_little(connection: Connection) -> None:
    """Make each call once while nothing is there: plans are made, and kept for the session."""
    worker = add_worker(connection)
    parent = add_one(connection, key="l", until="finished")
    add_one(connection, parents=(parent,))
    complete(connection, worker, [claim_one(connection, worker)])
    _succeed(connection, worker, [claim_one(connection, worker)])
    job, behind = add_exclusive(connection, "y"), add_exclusive(connection, "y")
    retry(connection, worker, claim_one(connection, worker), release=True)
    jobs.cancel_jobs(connection, [job, behind])
    set_capacity(connection, "y", 1)


@pytest.fixture(params=["looked empty", "analyzed"])
def waiting(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    """A holder of x runs, thousands wait for it, and as many others wait, run, and have keys.

    Statistics are of a quiet moment before, or of now.
    """
    connection.execute("ANALYZE")
    live_a_little(connection)
    add_exclusive(connection, "x")
    connection.execute(_LINE_UP, {"many": MANY})
    connection.execute(_OTHERS, {"many": MANY})
    if request.param == "analyzed":
        connection.execute("ANALYZE")
    return connection


@contextmanager
def reads(connection: Connection, at_most: int, **others: int) -> Iterator[None]:
    """Fail if a table is scanned, or more entries are read of one than this, or of these others."""
    with connection.transaction():
        before = {table: rows_read(connection, table) for table in HOLDERS}
        scans = {table: blocks_read(connection, table)[0] for table in HOLDERS}
        yield
        read = {table: rows_read(connection, table) - before[table] for table in HOLDERS}
        scanned = [t for t in HOLDERS if blocks_read(connection, t)[0] > scans[t]]
    assert scanned == []
    assert {table: n for table, n in read.items() if n > others.get(table, at_most)} == {}


def test_a_hand_off_reads_the_head_of_the_line(waiting: Connection) -> None:
    worker = add_worker(waiting)
    row = claim_one(waiting, worker)

    for _ in range(3):
        with reads(waiting, 20):
            complete(waiting, worker, [row])
            row = claim_one(waiting, worker)

    assert used(waiting, "x") == EXCLUSIVE


def test_a_grant_to_many_at_once_reads_as_many(waiting: Connection) -> None:
    worker = add_worker(waiting)
    row = claim_one(waiting, worker)
    head = waiting.execute("SELECT place FROM taskd.line ORDER BY place OFFSET 100").fetchone()
    waiting.execute("UPDATE taskd.blocked SET need = '{1}' WHERE place < %s", head)
    waiting.execute("UPDATE taskd.line SET need = 1 WHERE place < %s", head)

    with reads(waiting, 2000):
        complete(waiting, worker, [row])

    assert len(claim(waiting, worker, 1000)) == 100


def test_a_holder_that_waits_for_a_worker_is_found_among_its_like(waiting: Connection) -> None:
    (job,) = (row[0] for row in waiting.execute("SELECT id FROM taskd.queued WHERE place > 0"))

    with waiting.transaction():
        read, scanned = rows_read(waiting, "queued"), blocks_read(waiting, "queued")[0]
        held = find_holders(waiting, {"x": EXCLUSIVE}, 5)["x"]
        assert rows_read(waiting, "queued") - read < 50
        assert blocks_read(waiting, "queued")[0] == scanned

    assert [(holder.id, holder.state) for holder in held.first] == [(job, "queued")]
    assert held.hidden == 0


def test_an_arrival_reads_nothing_of_the_line(waiting: Connection) -> None:
    with reads(waiting, 20):
        job = add_one(waiting, needs={"x": 1, "y": 1})

    assert places(waiting, job) == ["blocked"]


def test_a_retry_that_lets_go_reads_the_head_of_the_line(waiting: Connection) -> None:
    worker = add_worker(waiting)
    row = claim_one(waiting, worker)

    with reads(waiting, 20):
        retry(waiting, worker, row, release=True)

    assert claim_one(waiting, worker)[0] != row[0]


def test_a_change_of_the_capacity_reads_the_head_of_the_line(waiting: Connection) -> None:
    with reads(waiting, 20):
        set_capacity(waiting, "x", 3)


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_cancel_in_the_line_reads_its_own_place_and_the_head(
    waiting: Connection, which: str
) -> None:
    find = {"first": "SELECT min(id) FROM taskd.line", "last": "SELECT max(id) FROM taskd.line"}
    row = waiting.execute(find[which].encode()).fetchone()
    assert row is not None

    with reads(waiting, 20):
        assert jobs.cancel_jobs(waiting, [row[0]]) == {row[0]: "cancelled"}


@pytest.mark.parametrize("end", [_succeed, complete])
@pytest.mark.parametrize("is_wide", [False, True])
def test_the_end_of_plain_jobs_reads_nobody_elses_children_and_waiters(
    waiting: Connection, end: Ending, is_wide: bool
) -> None:
    worker = add_worker(waiting)
    claim_one(waiting, worker)
    add_jobs(waiting, 99 if is_wide else 100)
    if is_wide:
        waiting.execute("SELECT setval('taskd.job_seq', 3000000)")
        add_jobs(waiting, 1)
    rows = claim(waiting, worker, 100)
    assert len(rows) == 100

    with reads(waiting, 10, running=400):
        assert end(waiting, worker, rows) == []


def claim_far_apart(connection: Connection, worker: int) -> list[list[object]]:
    """What there is, and a job with an id far from theirs."""
    connection.execute("SELECT setval('taskd.job_seq', nextval('taskd.job_seq') + 20000)")
    add_jobs(connection)
    return claim(connection, worker)


@pytest.mark.parametrize("end", [_succeed, complete])
def test_the_end_of_a_parent_beside_a_job_far_apart_lets_its_child_go(
    connection: Connection, end: Ending
) -> None:
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    child = add_one(connection, parents=(parent,))

    end(connection, worker, claim_far_apart(connection, worker))

    assert places(connection, child) == ["queued"]


@pytest.mark.parametrize("end", [_succeed, complete])
def test_the_end_of_an_adopted_job_beside_one_far_apart_gives_back_what_it_took(
    connection: Connection, end: Ending
) -> None:
    worker = add_worker(connection)
    (adopted,) = add_jobs(connection)
    connection.execute("INSERT INTO taskd.adopted VALUES (%s, 1, '@queue mail')", (adopted,))

    end(connection, worker, claim_far_apart(connection, worker))

    assert connection.execute("SELECT count(*) FROM taskd.adopted").fetchone() == (0,)


@pytest.mark.parametrize("end", [_succeed, complete])
def test_who_waits_for_a_job_hears_of_its_end_beside_one_far_apart(
    connection: Connection, connect_again: Callable[[], Connection], end: Ending
) -> None:
    worker = add_worker(connection)
    (awaited,) = add_jobs(connection)
    connection.execute("INSERT INTO taskd.waiter VALUES (%s, 'me', 'infinity')", (awaited,))
    listener = connect_again()
    listener.execute("LISTEN taskd_ended")

    end(connection, worker, claim_far_apart(connection, worker))

    assert [told.payload for told in listener.notifies(timeout=5, stop_after=1)] == ["me"]


def test_the_end_of_a_parent_reads_its_own_children(waiting: Connection) -> None:
    worker = add_worker(waiting)
    claim_one(waiting, worker)
    (parent,) = add_jobs(waiting)
    child = add_one(waiting, parents=(parent,))
    row = claim_one(waiting, worker)

    with reads(waiting, 20):
        complete(waiting, worker, [row])

    assert places(waiting, child) == ["queued"]


@pytest.mark.parametrize("until", ["started", "finished"])
def test_a_call_that_changes_a_blocked_job_reads_that_job(waiting: Connection, until: str) -> None:
    needs = {"x": EXCLUSIVE}
    job = add_one(waiting, needs=needs, key="k", until=until)

    with reads(waiting, 20):
        add_one(waiting, args="[2]", needs=needs, key="k", until=until, on_conflict="replace")
        add_one(waiting, needs=needs, key="k", until=until, on_conflict="earlier")

    changed = "SELECT args FROM taskd.blocked WHERE id = %s"
    assert waiting.execute(changed, (job,)).fetchone() == ("[2]",)


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_call_that_comes_late_reads_its_job(
    waiting: Connection, connect_again: Callable[[], Connection], has_begun: bool
) -> None:
    caller, worker = connect_again(), add_worker(waiting)
    claim_one(waiting, worker)
    options = {"needs": {"z": EXCLUSIVE}, "key": "k", "until": "started"}
    add_exclusive(waiting, "z")
    row = claim_one(waiting, worker)
    job = add_one(waiting, **options)
    caller.execute("BEGIN")
    add_one(caller, args="[2]", on_conflict="replace", foreign=True, **options)
    complete(waiting, worker, [row])
    if has_begun:
        complete(waiting, worker, [claim_one(waiting, worker)])
    caller.execute("COMMIT")

    with reads(waiting, 20):
        assert dispatch(waiting) >= 0

    row = claim_one(waiting, worker)
    assert (row[0] == job, row[8]) == (not has_begun, [2])


def test_a_child_of_a_parent_that_is_there_reads_its_own_parent(waiting: Connection) -> None:
    (parent,) = add_jobs(waiting)

    with reads(waiting, 20):
        add_one(waiting, parents=(parent,))


def test_taking_keys_reads_these_keys(waiting: Connection) -> None:
    unique = json.dumps({"keys": ["k1", "new"], "until": "finished"})
    new = NewJobs("shop.sync", ["[]"] * 2, [None] * 2, unique=unique)

    with reads(waiting, 30):
        assert len(jobs.enqueue_jobs(waiting, new)) == 2
