"""Claims whose answers got lost or cannot be read: the server has committed them, or will."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from taskd.errors import ClaimUnreadable
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import NewJobs
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of, lanes, places
from tests.store.test_claim import is_waiting_for_a_lock
from tests.waiting import eventually


def test_jobs_of_a_claim_that_nobody_heard_of_go_back_uncharged(connection: Connection) -> None:
    worker, other = add_worker(connection), add_worker(connection)
    ids = add_jobs(connection, 6)
    held = claim(connection, worker, 2)
    claim(connection, worker, 2)
    theirs = claim(connection, other, 2)

    given = jobs.recover_claims(connection, worker, 1, [fence_of(row) for row in held])

    assert given == 2
    assert [places(connection, job) for job in ids_of(held)] == [["running"]] * 2
    assert [places(connection, job) for job in ids_of(theirs)] == [["running"]] * 2
    again = claim(connection, worker, recoveries=1)
    assert ids_of(again) == ids[2:4]
    assert [row[4] for row in again] == [1, 1]


def test_a_recovery_waits_for_a_claim_that_is_under_way_and_finds_its_jobs(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    lost, own = connect_again(), connect_again()
    given: list[int] = []

    with lost.transaction():
        claim(lost, worker)
        thread = threading.Thread(
            target=lambda: given.append(jobs.recover_claims(own, worker, 1, []))
        )
        thread.start()
        eventually(lambda: is_waiting_for_a_lock(connection, own))
    thread.join()

    assert given == [1]
    assert places(connection, job) == ["queued"]


def test_a_claim_that_is_executed_after_its_recovery_claims_nothing(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    jobs.recover_claims(connection, worker, 1, [])

    assert jobs.claim_jobs(connection, worker, lanes(), 10, recoveries=0) is None

    assert places(connection, job) == ["queued"]
    assert ids_of(claim(connection, worker, recoveries=1)) == [job]


def test_a_recovery_that_is_executed_after_the_next_one_changes_nothing(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    jobs.recover_claims(connection, worker, 2, [])
    claim(connection, worker, recoveries=2)

    assert jobs.recover_claims(connection, worker, 1, []) == 0

    assert places(connection, job) == ["running"]


def test_of_a_claim_that_cannot_be_decoded_each_job_is_read_by_itself(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    held = add_jobs(connection)
    rows = claim(connection, worker)
    new = NewJobs("a", ["[1]", "[2]", "[3]"], [None, '{"b": 1}', None], queue="default@v2")
    good, keyed, bad = jobs.enqueue_jobs(connection, new)
    connection.execute("UPDATE taskd.queued SET args = '{oops' WHERE id = %s", (bad,))
    v2 = lanes(("default@v2", 5, 0))

    with pytest.raises(ClaimUnreadable):
        jobs.claim_jobs(connection, worker, v2, 10)
    read, unreadable = jobs.unread_jobs(connection, worker, [fence_of(row) for row in rows])

    assert ids_of(rows) == held
    assert [[*row[:3], *row[4:]] for row in read] == [
        [good, None, "default", 1, 1, None, "a", [1], None, None],
        [keyed, None, "default", 1, 1, None, "a", [2], {"b": 1}, None],
    ]
    ((job, _), reason) = next(iter(unreadable.items()))
    assert job == bad
    assert "JSONDecodeError" in reason
