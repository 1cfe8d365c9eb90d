"""The Python API as users call it, on a real database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from taskd import Job, configure, enqueue, enqueue_many
from taskd.errors import JobFailed, JobWasCancelled, ResultNotReady
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, State
from taskd.tasks.client import default_client
from taskd.tasks.context import CurrentJob, JobAttempt
from taskd.tasks.database_client import MAX_CONNECTIONS
from tests.store.makers import add_worker, claim, fence_of, places

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def configured(dsn: str) -> Iterator[None]:
    configure(database=dsn)
    yield
    configure()


def end(connection: Connection, job: Job[object], state: str, result: str | None = None) -> None:
    """Let a worker end the job."""
    worker = add_worker(connection)
    (row,) = claim(connection, worker)
    error = None if state == "s" else "ValueError: boom"
    jobs.complete_jobs(
        connection, worker, [JobEnd(job.id, fence_of(row), 0.1, state, result, error)]
    )


def test_an_enqueued_job_waits_in_its_queue(connection: Connection) -> None:
    job = enqueue("shop.sync", 1, to="x")

    assert job.state is State.QUEUED
    assert places(connection, job.id) == ["queued"]


def test_a_result_is_waited_for(connection: Connection) -> None:
    job = enqueue("shop.sync")
    with pytest.raises(ResultNotReady):
        job.result(timeout=0.01)

    end(connection, job, "s", '{"n": 7}')

    assert job.result(timeout=5) == {"n": 7}


def test_a_failed_job_raises_its_error(connection: Connection) -> None:
    job = enqueue("shop.sync")
    end(connection, job, "f")

    with pytest.raises(JobFailed, match="ValueError: boom"):
        job.result(timeout=5)


def test_a_cancelled_job_says_so(connection: Connection) -> None:
    job = enqueue("shop.sync")
    jobs.cancel_jobs(connection, [job.id])

    with pytest.raises(JobWasCancelled):
        job.result(timeout=5)


def test_a_job_commits_with_the_callers_transaction(dsn: str, connection: Connection) -> None:
    with psycopg.connect(dsn, row_factory=dict_row) as caller:
        job = enqueue("shop.sync", connection=caller)
        assert places(connection, job.id) == []

    assert places(connection, job.id) == ["queued"]


def test_a_job_vanishes_with_the_callers_transaction(dsn: str, connection: Connection) -> None:
    with psycopg.connect(dsn) as caller:
        job = enqueue("shop.sync", connection=caller)
        caller.rollback()

    assert places(connection, job.id) == []


def test_tens_of_thousands_are_stored_all_or_none_and_in_order(connection: Connection) -> None:
    made = enqueue_many("shop.sync", [(number,) for number in range(25_000)])

    row = connection.execute("SELECT count(*), min(id), max(id) FROM taskd.queued").fetchone()
    assert row == (25_000, made[0].id, made[-1].id)
    assert [job.id for job in made] == sorted(job.id for job in made)


FORKS = """
import os
from taskd import enqueue
before = enqueue("shop.sync")
child = os.fork()
if child == 0:
    enqueue("shop.sync")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(before.state)
"""


def test_a_forked_child_has_a_client_of_its_own(dsn: str, connection: Connection) -> None:
    environment = {**os.environ, "TASKD_DATABASE": dsn}

    run = subprocess.run(
        [sys.executable, "-c", FORKS], env=environment, capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stdout.strip()) == (0, "queued"), run.stderr
    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (2,)


def test_jobs_in_transactions_can_enqueue_although_all_of_them_hold_one(dsn: str) -> None:
    client = default_client()
    count = MAX_CONNECTIONS + 3
    all_hold_one = threading.Barrier(count)

    def enqueue_inside() -> Job[object]:
        with client.transaction():
            all_hold_one.wait(20)
            return enqueue("shop.sync")

    with ThreadPoolExecutor(count) as pool:
        jobs = [future.result(20) for future in [pool.submit(enqueue_inside) for _ in range(count)]]

    assert len({job.id for job in jobs}) == count


def test_no_interrupt_comes_between_the_commit_and_our_knowing_of_it(
    connection: Connection,
) -> None:
    enqueue("shop.sync")
    worker = add_worker(connection)
    (row,) = claim(connection, worker)
    attempt = JobAttempt(row[0], fence_of(row), 1, 1, "shop.sync", worker=worker)
    attempt.is_open = True
    seen = []
    with CurrentJob(attempt).transaction() as transaction:
        wait = transaction.connection.wait

        def spy(*args: Any, **kwargs: Any) -> object:
            seen.append((attempt.is_open, attempt.takes_interrupts))
            return wait(*args, **kwargs)

        transaction.connection.wait = spy  # type: ignore[method-assign]

    assert seen == [(True, False)] * 2  # the end of the job, and the commit
    assert attempt.is_stored
    assert attempt.takes_interrupts
