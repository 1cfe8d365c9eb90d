"""What requires a version of the code requires it wherever it goes."""

from __future__ import annotations

import pytest

from taskd.store import bulk, hosts, jobs
from taskd.store.connect import Connection
from taskd.store.filters import conditions
from taskd.store.look import fetch_job, list_jobs
from taskd.store.rows import JobEnd, JobFilter, JobRetry, State
from tests.store.makers import add_jobs, add_worker, claim, fence_of

WHERE = ("sync@v2", 5, 0)


def require(connection: Connection, job: int) -> tuple[str, str | None]:
    row = fetch_job(connection, job)
    assert row is not None
    return row.queue, row.requires


def test_a_claim_of_the_queue_does_not_see_it(connection: Connection) -> None:
    add_jobs(connection, queue="sync@v2")
    worker = add_worker(connection)

    assert claim(connection, worker, 10, ("sync", 5, 0), ("sync@v1", 5, 0)) == []
    assert len(claim(connection, worker, 10, WHERE)) == 1


@pytest.mark.parametrize(("delay", "outcome"), [(0.0, "r"), (0.0, "i"), (60.0, "r"), (60.0, "z")])
def test_an_attempt_that_ended_goes_back_to_it(
    connection: Connection, delay: float, outcome: str
) -> None:
    (job,) = add_jobs(connection, queue="sync@v2")
    worker = add_worker(connection)
    (row,) = claim(connection, worker, 1, WHERE)

    jobs.retry_jobs(connection, worker, [JobRetry(job, fence_of(row), 0.1, outcome, delay)])
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 10)

    assert {(lane.queue, lane.lane) for lane in jobs.all_lanes(connection)} == {
        ("sync@v2", 10 if outcome == "i" else 5)
    }
    assert require(connection, job) == ("sync", "v2")


def test_a_dead_workers_job_goes_back_to_it(connection: Connection) -> None:
    add_jobs(connection, queue="sync@v2")
    worker = add_worker(connection)
    claim(connection, worker, 1, WHERE)

    hosts.rescue_workers(connection, [worker], "killed", charge=True)

    assert [lane.queue for lane in jobs.all_lanes(connection)] == ["sync@v2"]


def test_a_requeued_job_requires_it_again(connection: Connection) -> None:
    (job,) = add_jobs(connection, queue="sync@v2")
    worker = add_worker(connection)
    (row,) = claim(connection, worker, 1, WHERE)
    jobs.complete_jobs(connection, worker, [JobEnd(job, fence_of(row), 0.1, "f")])

    renewed = jobs.requeue_jobs(connection, [job])

    assert require(connection, renewed[job]) == ("sync", "v2")


def test_a_job_moved_to_another_queue_requires_it_there(connection: Connection) -> None:
    queued = add_jobs(connection, 2, queue="sync@v2")
    scheduled = add_jobs(connection, 1, queue="sync@v2", delay=60.0)
    plain = add_jobs(connection, 1, queue="sync")
    there = add_jobs(connection, 1, queue="slow@v2")
    everything = [*queued, *scheduled, *plain, *there]

    moved = bulk.move_matching(connection, JobFilter(queue="sync"), "slow")

    assert moved == len(queued + scheduled + plain)
    assert [require(connection, job) for job in everything] == [
        ("slow", None if job in plain else "v2") for job in everything
    ]
    claimed = claim(connection, add_worker(connection), 10, ("slow@v2", 5, 0))
    assert [one[0] for one in claimed] == [*there, *queued]


@pytest.mark.parametrize("queue", ["sync", "приём", "a b"])
def test_a_filter_by_queue_finds_all_of_it_and_no_other(connection: Connection, queue: str) -> None:
    wanted = [
        *add_jobs(connection, queue=queue),
        *add_jobs(connection, queue=f"{queue}@v2"),
        *add_jobs(connection, queue=f"{queue}@2026.1", delay=60.0),
    ]
    for other in (f"{queue}A", f"{queue}?", f"{queue}-2", f"x{queue}", f"{queue}2@v2"):
        add_jobs(connection, queue=other)

    found = list_jobs(connection, JobFilter(queue=queue))
    cancelled = bulk.cancel_matching(connection, JobFilter(queue=queue))

    assert sorted(job.id for job in found) == wanted
    assert cancelled == {"cancelled": 3}


def test_a_filter_by_queue_reads_the_index_of_what_is_queued(connection: Connection) -> None:
    add_jobs(connection, 2000, queue="other")
    add_jobs(connection, 5, queue="sync@v2")
    connection.execute("ANALYZE taskd.queued")
    where, parameters = conditions(JobFilter(queue="sync"))

    plan = connection.execute(
        "EXPLAIN SELECT j.id FROM taskd.live_job j" + where, parameters
    ).fetchall()

    lines = [line for (line,) in plan]
    assert any("queued_pkey" in line for line in lines), lines
    assert not any("Seq Scan on queued" in line for line in lines), lines


def test_a_purge_of_a_queue_takes_what_required_a_version_in_it(connection: Connection) -> None:
    worker = add_worker(connection)
    for queue in ("sync@v2", "sync", "other@v2"):
        (job,) = add_jobs(connection, queue=queue)
        (row,) = claim(connection, worker, 1, (queue, 5, 0))
        jobs.complete_jobs(connection, worker, [JobEnd(job, fence_of(row), 0.1, "s")])

    forgotten = sum(
        count for _, count in bulk.purge_jobs(connection, 0.0, [State.SUCCEEDED], "sync")
    )

    assert forgotten == 2
    left = connection.execute("SELECT queue, requires FROM taskd.job").fetchall()
    assert left == [("other", "v2")]
