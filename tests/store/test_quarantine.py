"""Jobs under which workers have died wait in a lane of their own, and are claimed alone."""

from __future__ import annotations

import pytest

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.host_rows import Judgement
from taskd.store.rows import JobRetry
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of

SUSPECTS = ("default", 11, 0)
OTHERS = ("default", 10, 0), ("default", 5, 0)


def lose(connection: Connection, *job_ids: int) -> None:
    """Claim what waits and let the worker die while these jobs run."""
    worker = add_worker(connection)
    claim(connection, worker, 100, *OTHERS)
    judgement = Judgement(begun=job_ids)
    hosts.rescue_workers(connection, [worker], "killed by SIGSEGV", True, judgement)


def lane_of(connection: Connection, job: int) -> int:
    row = connection.execute("SELECT lane FROM taskd.queued WHERE id = %s", (job,)).fetchone()
    assert row is not None
    return int(row[0])


def losses_of(connection: Connection, job: int) -> int:
    row = connection.execute("SELECT losses FROM taskd.job WHERE id = %s", (job,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def suspect(connection: Connection) -> int:
    """A job under which two workers were lost."""
    (job,) = add_jobs(connection)
    lose(connection, job)
    lose(connection, job)
    return job


def test_a_job_goes_to_quarantine_with_the_second_loss(connection: Connection) -> None:
    twice, never = add_jobs(connection, 2)

    lanes = []
    for _ in range(2):
        lose(connection, twice)
        lanes.append((lane_of(connection, twice), lane_of(connection, never)))

    assert lanes == [(10, 10), (11, 10)]


def test_a_suspect_is_claimed_by_itself(connection: Connection, suspect: int) -> None:
    other = add_jobs(connection, 3)
    worker = add_worker(connection)

    first = claim(connection, worker, 10, SUSPECTS, *OTHERS)
    then = claim(connection, worker, 10, SUSPECTS, *OTHERS)

    assert (ids_of(first), ids_of(then)) == ([suspect], other)


def test_of_two_suspects_one_is_claimed(connection: Connection) -> None:
    pair = add_jobs(connection, 2)
    lose(connection, *pair)
    lose(connection, *pair)

    assert ids_of(claim(connection, add_worker(connection), 10, SUSPECTS)) == pair[:1]


def test_a_suspect_that_stands_last_waits_until_nothing_else_does(
    connection: Connection, suspect: int
) -> None:
    other = add_jobs(connection, 1)
    worker = add_worker(connection)

    first = claim(connection, worker, 10, *OTHERS, SUSPECTS)
    then = claim(connection, worker, 10, *OTHERS, SUSPECTS)

    assert (ids_of(first), ids_of(then)) == (other, [suspect])


@pytest.mark.parametrize("outcome", ["r", "t", "z"])
@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_one_that_ends_an_attempt_there_is_cleared(
    connection: Connection, suspect: int, outcome: str, delay: float
) -> None:
    worker = add_worker(connection)
    (row,) = claim(connection, worker, 10, SUSPECTS)

    jobs.retry_jobs(connection, worker, [JobRetry(suspect, fence_of(row), 0.1, outcome, delay)])
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 10)

    assert (lane_of(connection, suspect), losses_of(connection, suspect)) == (5, 0)


def test_one_that_is_interrupted_or_given_back_stays(connection: Connection, suspect: int) -> None:
    worker = add_worker(connection)
    (row,) = claim(connection, worker, 10, SUSPECTS)
    jobs.retry_jobs(connection, worker, [JobRetry(suspect, fence_of(row), 0.1, "i", 0.0)])
    interrupted = lane_of(connection, suspect)

    (row,) = claim(connection, worker, 10, SUSPECTS)
    jobs.give_back_jobs(connection, worker, [suspect], [fence_of(row)])

    assert (interrupted, lane_of(connection, suspect)) == (11, 11)
    assert losses_of(connection, suspect) == 2


def test_one_that_crashed_its_worker_comes_back_into_quarantine_and_stays_there(
    connection: Connection,
) -> None:
    (job,) = add_jobs(connection)
    worker = add_worker(connection)
    claim(connection, worker)
    judgement = Judgement(culprit=job, why="crash", begun=(job,))
    hosts.rescue_workers(connection, [worker], "killed by SIGSEGV", True, judgement)
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 10)
    back = lane_of(connection, job)

    worker = add_worker(connection)
    (row,) = claim(connection, worker, 10, SUSPECTS)
    jobs.retry_jobs(connection, worker, [JobRetry(job, fence_of(row), 0.1, "r", 0.0)])

    assert (back, lane_of(connection, job)) == (11, 11)
