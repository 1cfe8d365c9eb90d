"""How long jobs waited for resources, and how long for a worker."""

from __future__ import annotations

import pytest

from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_graph,
    add_one,
    claim_one,
    complete,
    new_job,
    retry,
)
from tests.store.makers import add_jobs, add_worker


@pytest.fixture
def worker(connection: Connection) -> int:
    return add_worker(connection)


def waited(connection: Connection, job: int) -> tuple[float | None, float | None]:
    row = fetch_job(connection, job)
    assert row is not None
    return row.waited_for_resources, row.waited_for_worker


def put_back(connection: Connection, table: str, job: int, **seconds: float) -> None:
    """Move times of a job into the past."""
    for column, back in seconds.items():
        connection.execute(
            f"UPDATE taskd.{table} SET {column} = {column} - %s * interval '1 second' "
            "WHERE id = %s",  # type: ignore[arg-type]
            (back, job),
        )


def test_a_plain_job_waits_for_a_worker_alone(connection: Connection, worker: int) -> None:
    (job,) = add_jobs(connection)
    put_back(connection, "queued", job, created_at=60)
    assert waited(connection, job) == (None, None)
    row = claim_one(connection, worker)

    running = waited(connection, job)
    complete(connection, worker, [row])

    assert running == (None, pytest.approx(60, abs=5))
    assert waited(connection, job) == (None, pytest.approx(60, abs=5))


def test_waiting_for_resources_and_for_a_worker_are_two_figures(
    connection: Connection, worker: int
) -> None:
    holder, job = add_exclusive(connection, "a"), add_exclusive(connection, "a")
    put_back(connection, "blocked", job, created_at=100)
    complete(connection, worker, [claim_one(connection, worker)])
    put_back(connection, "queued", job, created_at=40, ready_at=40)
    row = claim_one(connection, worker)

    running = waited(connection, job)
    complete(connection, worker, [row])

    assert running == (pytest.approx(100, abs=5), pytest.approx(40, abs=5))
    assert waited(connection, job) == (pytest.approx(100, abs=5), pytest.approx(40, abs=5))
    assert waited(connection, holder) == (pytest.approx(0, abs=5), pytest.approx(0, abs=5))


def test_earlier_attempts_parents_and_delays_are_no_wait_for_resources(
    connection: Connection, worker: int
) -> None:
    parent = add_one(connection)
    child = add_graph(
        connection, new_job(needs={"repo:42": EXCLUSIVE}, parents=(parent,), max_attempts=2)
    )[0]
    put_back(connection, "blocked", child, created_at=1000)
    connection.execute("SELECT taskd.dispatch_v1(100, 10, 500)")
    complete(connection, worker, [claim_one(connection, worker)])
    after_parent = waited(connection, child)
    row = claim_one(connection, worker)
    put_back(connection, "running", child, ready_at=500, claimed_at=500)
    retry(connection, worker, row)

    claim_one(connection, worker)

    assert after_parent == (pytest.approx(0, abs=5), None)
    assert waited(connection, child) == (pytest.approx(0, abs=5), pytest.approx(0, abs=5))


def test_a_delayed_job_waits_from_its_time_on(connection: Connection, worker: int) -> None:
    (job,) = add_graph(connection, new_job(needs={"a": 1}, delay=60))
    put_back(connection, "scheduled", job, created_at=600, run_at=61)
    connection.execute("SELECT taskd.promote_jobs_v1(10)")

    claim_one(connection, worker)

    assert waited(connection, job) == (pytest.approx(0, abs=5), pytest.approx(0, abs=5))
