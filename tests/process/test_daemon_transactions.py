"""A job that ends in its own transaction: exactly once, also when it is killed at the commit."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

from taskd.maintenance import procfs
from tests.process.daemon import Project
from tests.waiting import eventually

SHOP = """
import os
import signal
from pathlib import Path

from psycopg.rows import scalar_row

from taskd import chain, current_job, task


def die_once(path):
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@task
def book(order, when, path):
    with current_job().transaction() as conn:
        conn.execute("INSERT INTO bookings VALUES (%s)", [order])
        conn.result = order
        if when == "before":
            die_once(path)
    if when == "after":
        die_once(path)


@task
def book_and_fail(order):
    with current_job().transaction() as conn:
        conn.executemany("INSERT INTO bookings VALUES (%s)", [[order]])
    raise ValueError("too late to matter")


@task
def fail_inside(order):
    with current_job().transaction() as conn:
        with conn.cursor(row_factory=scalar_row) as cursor:
            cursor.execute("INSERT INTO bookings VALUES (%s) RETURNING order_id", [order])
            assert cursor.fetchone() == order
        raise ValueError("rolled back")


@task
def order(number, fails):
    with current_job().transaction() as conn:
        book.enqueue(number, "never", "", connection=conn)
        chain(book.call(number + 1, "never", "")).enqueue(conn)
        if fails:
            raise ValueError("rolled back")
"""

WAIT_AT_COMMIT = """
CREATE TABLE bookings (order_id bigint);
CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4711);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON bookings DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
"""
COMMITTING = """
SELECT a.pid FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.query = 'COMMIT' AND a.wait_event = 'advisory'
"""
WORKER = "SELECT w.pid FROM taskd.running r JOIN taskd.worker w ON w.id = r.worker"

ENQUEUE_EXPIRING = """
SELECT taskd.enqueue_jobs_v1('shop.add', ARRAY['[1, 2]'], ARRAY[NULL], 'default', 5::smallint, NULL,
                             NULL, 1::smallint, NULL, false, '{"expires_in": 0.001}', NULL)
"""


@pytest.mark.parametrize("pool", ["{greenlets: 5}", "{processes: 1}"])
def test_what_a_job_writes_is_written_once_whenever_it_is_killed(
    project: Project, pool: str
) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", f"imports: [shop]\npools: {{one: {pool}}}\n")
    project.execute("CREATE TABLE bookings (order_id bigint)")
    project.start()

    before = project.enqueue("shop.book", 1, "before", str(project.folder / "before"))
    project.wait_for_states(succeeded=1)
    assert (project.folder / "before").exists()
    after = project.enqueue("shop.book", 2, "after", str(project.folder / "after"))
    eventually((project.folder / "after").exists)  # it has committed, and dies

    raised = project.enqueue("shop.book_and_fail", 3)
    rolled_back = project.enqueue("shop.fail_inside", 4)
    project.wait_for_states(succeeded=3, failed=1)

    assert project.query("SELECT order_id FROM bookings ORDER BY 1") == [(1,), (2,), (3,)]
    failed = project.query("SELECT id, error FROM taskd.job WHERE state = 'failed'")
    assert failed == [(rolled_back, "ValueError: rolled back")]
    results = dict(project.query("SELECT id, result FROM taskd.job WHERE state = 'succeeded'"))
    assert results == {before: "1", after: "2", raised: None}


def test_what_a_job_enqueues_in_its_transaction_is_stored_with_its_end(project: Project) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", "imports: [shop]\npools: {one: {greenlets: 5}}\n")
    project.execute("CREATE TABLE bookings (order_id bigint)")
    project.start()

    project.enqueue("shop.order", 1, False)
    project.enqueue("shop.order", 11, True)
    project.wait_for_states(succeeded=3, failed=1)

    assert project.query("SELECT order_id FROM bookings ORDER BY 1") == [(1,), (2,)]
    assert project.query("SELECT error FROM taskd.job WHERE state = 'failed'") == [
        ("ValueError: rolled back",)
    ]


@pytest.mark.parametrize("pool", ["{greenlets: 5}", "{processes: 1}"])
@pytest.mark.parametrize("outlives", [True, False], ids=["committed", "rolled back"])
def test_a_worker_that_is_killed_in_its_commit_has_written_once_in_the_end(
    project: Project, pool: str, outlives: bool
) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", f"imports: [shop]\npools: {{one: {pool}}}\n")
    project.execute(WAIT_AT_COMMIT)
    project.start()

    with psycopg.connect(project.dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(4711)")
        job = project.enqueue("shop.book", 1, "never", "")
        eventually(lambda: project.query(COMMITTING) != [], 20)
        ((server,),) = project.query(COMMITTING)
        ((worker,),) = project.query(WORKER)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not procfs.is_alive(worker), 20)
        if not outlives:  # as if the server had died with it
            holder.execute("SELECT pg_terminate_backend(%s)", [server])
    project.wait_for_states(succeeded=1)

    assert project.query("SELECT order_id FROM bookings") == [(1,)]
    assert project.query("SELECT id, state, result FROM taskd.job") == [(job, "succeeded", "1")]
    attempts = project.query("SELECT outcome FROM taskd.attempt WHERE job = %s", job)
    assert len(attempts) == (0 if outlives else 1)


def test_a_job_that_begins_too_late_is_cancelled(project: Project) -> None:
    project.execute(ENQUEUE_EXPIRING)
    in_time = project.enqueue("shop.add", 1, 2)
    project.start()
    project.wait_for_states(succeeded=1, cancelled=1)

    (expired,) = project.query("SELECT id, error FROM taskd.job WHERE state = 'cancelled'")
    assert expired[1] == "expired: it was too late to begin"
    assert expired[0] < in_time
