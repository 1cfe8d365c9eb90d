"""A cancel that meets a move of its job: exactly one final state, and the cancel is never lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.host_rows import Request
from taskd.store.rows import JobEnd
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_one,
    claim_one,
    complete,
    dispatch,
    is_asked_to_stop,
    is_settled,
    one_that_waits,
    retry,
    state_of,
    used,
    wait_for_nobody,
)
from tests.store.makers import add_jobs, add_worker, claim, fence_of, places

Open = Callable[[], Connection]


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def rescue(connection: Connection, worker: int) -> None:
    hosts.rescue_workers(connection, [worker], "killed", charge=False)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_cancel_during_a_claim_reaches_the_job_wherever_it_is_then(
    connection: Connection, connect_again: Open, end: str
) -> None:
    claimer = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")

    claimer.execute("BEGIN")
    claim(claimer, worker)
    outcome = jobs.cancel_jobs(connection, [job])
    claimer.execute(end.encode())
    dispatch(connection)

    assert outcome == {job: "cancelling"}
    if end == "COMMIT":
        assert places(connection, job) == ["running"]
        assert is_asked_to_stop(connection, job)
        assert hosts.take_requests(connection, [worker]) == [Request("cancel", worker, job)]
    else:
        assert state_of(connection, job) == "c"
        assert used(connection, "x") == 0
    assert is_settled(connection)


def test_a_cancel_while_the_dispatcher_is_busy_still_stops_the_job_claimed_meanwhile(
    connection: Connection, connect_again: Open
) -> None:
    busy = connect_again()
    worker = add_worker(connection)
    (job,) = add_jobs(connection)

    with busy.transaction():
        add_exclusive(busy, "x")
        outcome = jobs.cancel_jobs(connection, [job])
        claim(connection, worker)
    dispatch(connection)

    assert outcome == {job: "cancelling"}
    assert is_asked_to_stop(connection, job)
    assert is_settled(connection)


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_cancel_during_a_retry_ends_the_job_after_it(
    connection: Connection, connect_again: Open, delay: float, release: bool
) -> None:
    retrier = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    row = claim_one(connection, worker)

    with retrier.transaction():
        assert retry(retrier, worker, row, delay, release) == []
        outcome = jobs.cancel_jobs(connection, [job])
    dispatch(connection)

    assert outcome == {job: "cancelling"}
    assert (places(connection, job), state_of(connection, job)) == (["history"], "c")
    assert used(connection, "x") == 0
    assert is_settled(connection)


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_retry_waits_for_the_cancel_of_its_job_and_ends_it(
    connection: Connection, connect_again: Open, delay: float
) -> None:
    canceller, watcher = connect_again(), connect_again()
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    row = claim_one(connection, worker)

    canceller.execute("BEGIN")
    outcome = jobs.cancel_jobs(canceller, [job])
    with one_that_waits(watcher, connection, lambda: retry(connection, worker, row, delay)) as call:
        canceller.execute("COMMIT")
        assert call.result() == []

    dispatch(connection)
    assert outcome == {job: "cancelling"}
    assert (places(connection, job), state_of(connection, job)) == (["history"], "c")
    assert is_settled(connection)


def test_a_cancel_during_a_rescue_ends_the_job_after_it(
    connection: Connection, connect_again: Open
) -> None:
    rescuer = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    claim_one(connection, worker)

    with rescuer.transaction():
        rescue(rescuer, worker)
        outcome = jobs.cancel_jobs(connection, [job])
    dispatch(connection)

    assert outcome == {job: "cancelling"}
    assert state_of(connection, job) == "c"
    assert is_settled(connection)


def test_a_rescue_waits_for_the_cancel_of_its_job_and_ends_it(
    connection: Connection, connect_again: Open
) -> None:
    canceller, watcher = connect_again(), connect_again()
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    claim_one(connection, worker)

    canceller.execute("BEGIN")
    jobs.cancel_jobs(canceller, [job])
    with one_that_waits(watcher, connection, lambda: rescue(connection, worker)) as call:
        canceller.execute("COMMIT")
        call.result()

    dispatch(connection)
    assert (places(connection, job), state_of(connection, job)) == (["history"], "c")
    assert is_settled(connection)


def test_a_cancel_during_a_promote_ends_the_job_after_it(
    connection: Connection, connect_again: Open
) -> None:
    promoter = connect_again()
    wait_for_nobody(connection)
    job = add_one(connection, needs={"x": EXCLUSIVE}, delay=60.0)
    plain = add_one(connection, delay=60.0)
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")

    with promoter.transaction():
        jobs.promote_jobs(promoter, 10)
        outcome = jobs.cancel_jobs(connection, [job, plain])
    dispatch(connection)

    assert outcome == {job: "cancelling", plain: "cancelling"}
    assert [state_of(connection, id_) for id_ in (job, plain)] == ["c", "c"]
    assert is_settled(connection)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_cancel_waits_for_no_completion_in_a_callers_transaction(
    connection: Connection, connect_again: Open, end: str
) -> None:
    ender = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    next_in_line = add_exclusive(connection, "x")
    row = claim_one(connection, worker)

    ender.execute("BEGIN")
    jobs.complete_jobs(ender, worker, [JobEnd(job, fence_of(row), 0.1, "s")], is_own=False)
    outcome = jobs.cancel_jobs(connection, [job])
    free = add_exclusive(connection, "y")
    assert places(connection, free) == ["queued"]  # nobody has to wait for the dispatcher
    ender.execute(end.encode())
    dispatch(connection)

    assert outcome == {job: "cancelling"}
    if end == "COMMIT":
        assert state_of(connection, job) == "s"
        assert places(connection, next_in_line) == ["queued"]
    else:
        assert places(connection, job) == ["running"]
        assert is_asked_to_stop(connection, job)
    assert is_settled(connection)


def test_a_completion_that_meets_a_cancel_is_final(
    connection: Connection, connect_again: Open
) -> None:
    canceller, watcher = connect_again(), connect_again()
    worker = add_worker(connection)
    job = add_exclusive(connection, "x")
    row = claim_one(connection, worker)

    canceller.execute("BEGIN")
    jobs.cancel_jobs(canceller, [job])
    with one_that_waits(watcher, connection, lambda: complete(connection, worker, [row])) as call:
        canceller.execute("COMMIT")
        assert call.result() == []

    dispatch(connection)
    assert (places(connection, job), state_of(connection, job)) == (["history"], "s")
    assert jobs.cancel_jobs(connection, [job]) == {job: "ended"}
    assert is_settled(connection)


def test_a_job_to_be_cancelled_that_never_started_ends_when_it_is_given_back(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    doomed, other = add_exclusive(connection, "x"), add_exclusive(connection, "y")
    child = add_one(connection, parents=(doomed,))
    rows = claim(connection, worker)
    jobs.cancel_jobs(connection, [doomed])

    given = jobs.give_back_jobs(
        connection, worker, [row[0] for row in rows], [fence_of(row) for row in rows]
    )

    assert given == 1
    assert places(connection, other) == ["queued"]
    assert [state_of(connection, job) for job in (doomed, child)] == ["c", "c"]
    assert (used(connection, "x"), used(connection, "y")) == (0, EXCLUSIVE)
    assert is_settled(connection)


def test_a_cancel_during_a_give_back_ends_the_job_after_it(
    connection: Connection, connect_again: Open
) -> None:
    giver = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    row = claim_one(connection, worker)

    with giver.transaction():
        jobs.give_back_jobs(giver, worker, [job], [fence_of(row)])
        jobs.cancel_jobs(connection, [job])
    dispatch(connection)

    assert state_of(connection, job) == "c"


def test_two_cancels_at_once_ask_once(connection: Connection, connect_again: Open) -> None:
    other = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claim_one(connection, worker)

    with other.transaction():
        jobs.cancel_jobs(other, [job])
        jobs.cancel_jobs(connection, [job])
    jobs.cancel_jobs(connection, [job])

    assert hosts.take_requests(connection, [worker]) == [Request("cancel", worker, job)]
    assert is_settled(connection)


def test_cancelling_the_first_in_line_moves_the_line_on(connection: Connection) -> None:
    worker = add_worker(connection)
    holder = add_one(connection, needs={"x": 1})
    first = add_exclusive(connection, "x")
    behind = add_one(connection, needs={"x": 1})
    claim_one(connection, worker)

    jobs.cancel_jobs(connection, [first])

    assert places(connection, holder) == ["running"]
    assert places(connection, behind) == ["queued"]
    assert is_settled(connection)


def test_a_cancel_of_a_chain_reaches_its_end(connection: Connection) -> None:
    chain = [add_one(connection, delay=60.0)]
    for _ in range(20):
        chain.append(add_one(connection, parents=(chain[-1],)))

    jobs.cancel_jobs(connection, chain[:1])
    while dispatch(connection) > 0:
        pass

    assert {state_of(connection, job) for job in chain} == {"c"}
    assert is_settled(connection)


def test_a_second_cancel_of_a_running_job_is_told_again(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    told = []
    for _ in range(2):
        assert jobs.cancel_jobs(connection, [job]) == {job: "cancelling"}
        assert jobs.cancel_jobs(connection, [job]) == {
            job: "cancelling"
        }  # not taken: no second row
        told.append(hosts.take_requests(connection, [worker]))

    assert told == [[Request("cancel", worker, job)]] * 2
    assert is_asked_to_stop(connection, job)
