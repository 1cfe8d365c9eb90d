"""When it is too late to begin: only what has never begun expires."""

from __future__ import annotations

from typing import Any

import pytest

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.host_rows import Judgement
from taskd.store.rows import JobRetry
from tests.store.graph_makers import EXCLUSIVE, add_one, claim_one
from tests.store.makers import add_worker, claim, fence_of

OVER = """
UPDATE taskd.{} SET extra = extra || '{{"expires": 1}}' WHERE extra ? 'expires'
"""


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def add_expiring(connection: Connection, **options: Any) -> int:
    return add_one(connection, extra={"expires_in": 3600}, **options)


def let_it_expire(connection: Connection) -> None:
    for table in ("queued", "scheduled", "blocked"):
        connection.execute(OVER.format(table).encode())


def is_late(row: list[Any]) -> bool:
    return bool(row[10] and row[10].get("is_late"))


def test_what_has_not_begun_in_time_is_late(connection: Connection) -> None:
    add_expiring(connection)
    let_it_expire(connection)

    assert is_late(claim_one(connection, add_worker(connection)))


@pytest.mark.parametrize("outcome", ["r", "t", "z", "i"])
@pytest.mark.parametrize("delay", [0.0, 60.0])
@pytest.mark.parametrize("needs", [{}, {"x": EXCLUSIVE}])
def test_an_attempt_that_began_in_time_may_be_followed_by_others(
    connection: Connection, outcome: str, delay: float, needs: dict[str, int]
) -> None:
    worker = add_worker(connection)
    add_expiring(connection, needs=needs, max_attempts=3)
    row = claim_one(connection, worker)
    again = JobRetry(row[0], fence_of(row), 0.1, outcome, delay, release=True)

    assert jobs.retry_jobs(connection, worker, [again]) == []
    let_it_expire(connection)
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 10)

    assert not is_late(claim_one(connection, worker))


@pytest.mark.parametrize("charge", [True, False])
@pytest.mark.parametrize("begun", [None, (), (2,), (1, 2)])
@pytest.mark.parametrize("interrupted", [True, False])
def test_what_its_worker_may_have_begun_before_it_died_begins_again(
    connection: Connection, charge: bool, begun: tuple[int, ...] | None, interrupted: bool
) -> None:
    worker = add_worker(connection)
    connection.execute("ALTER SEQUENCE taskd.job_seq RESTART")
    assert add_expiring(connection) == 1
    claim_one(connection, worker)

    judgement = Judgement(begun=begun, interrupted=interrupted)  # an end in the outbox is unknown
    hosts.rescue_workers(connection, [worker], "killed", charge, judgement)
    let_it_expire(connection)

    assert not is_late(claim_one(connection, add_worker(connection)))


def test_what_its_worker_was_killed_for_begins_again(connection: Connection) -> None:
    worker = add_worker(connection)
    job = add_expiring(connection)
    claim_one(connection, worker)

    judgement = Judgement(culprit=job, why="hog", begun=())
    hosts.rescue_workers(connection, [worker], "killed", False, judgement)
    let_it_expire(connection)
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 10)

    (row,) = claim(connection, add_worker(connection), 1, ("default", 11, 0))
    assert not is_late(row)


def test_what_is_given_back_unbegun_can_still_be_late(connection: Connection) -> None:
    worker = add_worker(connection)
    job = add_expiring(connection)
    row = claim_one(connection, worker)

    assert jobs.give_back_jobs(connection, worker, [job], [fence_of(row)]) == 1
    let_it_expire(connection)

    assert is_late(claim_one(connection, worker))
