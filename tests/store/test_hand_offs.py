"""The end of jobs and the next claim of their worker, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.rows import JobEnd
from tests.store.graph_makers import (
    add_exclusive,
    add_one,
    claim_one,
    complete,
    is_settled,
    used,
)
from tests.store.makers import (
    add_host,
    add_jobs,
    add_worker,
    claim,
    fence_of,
    ids_of,
    lanes,
    notifications,
    places,
)

Connect = Callable[[], Connection]


def hand_off(
    connection: Connection, worker: int, rows: Sequence[Sequence[Any]], count: int = 10
) -> HandOff:
    """End jobs and claim others."""
    both = HandOff(lanes(), count, None, 0)
    ids, fences = ids_of(rows), [fence_of(row) for row in rows]
    jobs.complete_succeeded(connection, worker, ids, fences, [0.1] * len(rows), hand_off=both)
    return both


def end_hand_off(connection: Connection, worker: int) -> str:
    """The claim of one that was begun by itself."""
    claim = "SELECT taskd.end_hand_off_v1(%s, %s, %s, %s, 10, NULL, 0)"
    row = connection.execute(claim, (worker, *lanes())).fetchone()
    assert row is not None
    return str(row[0])


def claimed(both: HandOff) -> list[int]:
    rows = jobs.decode_claimed(both.claimed)
    assert rows is not None
    return ids_of(rows)


def test_who_ends_the_holder_gets_the_next_in_line(connection: Connection) -> None:
    first, second, third = (add_exclusive(connection, "x") for _ in range(3))
    worker = add_worker(connection)

    both = hand_off(connection, worker, [claim_one(connection, worker)])

    assert both.is_over
    assert claimed(both) == [second]
    assert [places(connection, job) for job in (first, second, third)] == [
        ["history"],
        ["running"],
        ["blocked"],
    ]


def test_ends_with_a_result_are_handed_off_too(connection: Connection) -> None:
    first, second = (add_exclusive(connection, "x") for _ in range(2))
    worker = add_worker(connection)
    row = claim_one(connection, worker)
    both = HandOff(lanes(), 10, None, 0)

    end = JobEnd(first, fence_of(row), 0.1, "s", "5")
    assert jobs.complete_jobs(connection, worker, [end], hand_off=both) == []

    assert claimed(both) == [second]


def test_nobody_is_called_for_what_is_claimed_in_the_same_transaction(
    connection: Connection, connect_again: Connect
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    add_exclusive(connection, "x")
    row = claim_one(connection, worker)
    ahead = add_exclusive(connection, "x")
    listener = connect_again()
    listener.execute("LISTEN taskd")
    hosts.beat_host(connection, host, True)

    assert claimed(hand_off(connection, worker, [row])) == [ahead]

    assert notifications(listener) == []


def test_hosts_are_called_for_what_is_left(connection: Connection, connect_again: Connect) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    add_exclusive(connection, "x")
    row = claim_one(connection, worker)
    first, second, elsewhere = (
        add_one(connection, needs={"x": 1}, queue=queue) for queue in ("default", "default", "a")
    )
    listener = connect_again()
    listener.execute("LISTEN taskd")
    hosts.beat_host(connection, host, True)

    assert claimed(hand_off(connection, worker, [row], count=1)) == [first]

    left = [
        connection.execute("SELECT seq FROM taskd.queued WHERE id = %s", (job,)).fetchone()
        for job in (elsewhere, second)
    ]
    told = notifications(listener)
    assert sorted(told, key=repr) == [["a", 25, 1, *left[0]], ["default", 25, 1, *left[1]]]


def test_what_is_let_in_after_a_hand_off_is_told_as_ever(
    connection: Connection, connect_again: Connect
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    for _ in range(3):
        add_exclusive(connection, "x")
    hand_off(connection, worker, [claim_one(connection, worker)])
    (row,) = jobs.unread_jobs(connection, worker, [])[0]
    listener = connect_again()
    listener.execute("LISTEN taskd")
    hosts.beat_host(connection, host, True)

    jobs.complete_succeeded(connection, worker, [row[0]], [fence_of(row)], [0.1])

    assert len(notifications(listener)) == 1


def test_a_hand_off_without_an_end_of_its_own_claims_all_the_same(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)

    assert claimed(hand_off(connection, worker, [[99, 0, 0, 99]])) == [job]


def test_a_worker_that_was_ended_loses_its_jobs_and_claims_none(connection: Connection) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    row = claim_one(connection, worker)
    hosts.rescue_workers(connection, [worker], "it died", charge=True)
    both = HandOff(lanes(), 10, None, 0)

    lost = jobs.complete_succeeded(
        connection, worker, [row[0]], [fence_of(row)], [0.1], hand_off=both
    )

    assert lost == [row[0]]
    assert both.is_over
    assert both.claimed is None
    assert places(connection, row[0]) == ["queued"]


def test_a_rescue_waits_for_a_hand_off_before_it_touches_jobs(
    connection: Connection, connect_again: Connect
) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    row = claim_one(connection, worker)
    other = connect_again()
    other.execute("SET lock_timeout = '100ms'")
    connection.execute("BEGIN")
    connection.execute("SELECT taskd.begin_hand_off_v1(%s)", (worker,))

    with pytest.raises(psycopg.errors.LockNotAvailable):
        hosts.rescue_workers(other, [worker], "it died", charge=True)
    connection.execute("COMMIT")

    assert places(connection, row[0]) == ["running"]


def test_a_hand_off_while_another_dispatches_leaves_a_letter(
    connection: Connection, connect_again: Connect
) -> None:
    other = connect_again()
    worker = add_worker(connection)
    first, second = (add_exclusive(connection, "x") for _ in range(2))
    row = claim_one(connection, worker)
    other.execute("BEGIN")
    other.execute("SELECT pg_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1)")

    assert claimed(hand_off(connection, worker, [row])) == []
    other.execute("COMMIT")

    assert places(connection, first) == ["history"]
    assert claimed(hand_off(connection, worker, [[99, 0, 0, 99]])) == [second]
    assert used(connection, "x") == 2147483647


def test_a_hand_off_gives_up_whose_job_somebody_keeps_locked(
    connection: Connection, connect_again: Connect
) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    row = claim_one(connection, worker)
    other = connect_again()
    other.execute("BEGIN")
    other.execute("SELECT FROM taskd.running FOR UPDATE")
    connection.execute("SET lock_timeout = '1h'")

    with pytest.raises(psycopg.errors.LockNotAvailable):
        hand_off(connection, worker, [row])

    assert connection.execute("SHOW lock_timeout").fetchone() == ("1h",)


def test_who_claims_nothing_calls_for_what_others_have_sent_meanwhile(
    connection: Connection, connect_again: Connect
) -> None:
    other, listener = connect_again(), connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    add_exclusive(connection, "y")
    rows = claim(connection, worker)
    listener.execute("LISTEN taskd")
    with connection.transaction():
        connection.execute("SELECT taskd.begin_hand_off_v1(%s)", (worker,))
        complete(connection, worker, rows[:1])

        complete(other, worker, rows[1:])

        assert end_hand_off(connection, worker) == ""
    assert notifications(listener) == ["mail"]


def test_a_job_that_is_handed_off_is_claimed_when_it_is_ready(connection: Connection) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    add_exclusive(connection, "x")

    hand_off(connection, worker, [claim_one(connection, worker)])

    waited = "SELECT claimed_at >= ready_at FROM taskd.running"
    assert connection.execute(waited).fetchone() == (True,)


def test_a_long_line_is_handed_on_to_its_end(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = [add_exclusive(connection, "x") for _ in range(10)]
    rows: Sequence[Sequence[Any]] = claim(connection, worker)

    order = ids_of(rows)
    while rows:
        rows = jobs.decode_claimed(hand_off(connection, worker, rows).claimed) or []
        order += ids_of(rows)

    assert order == ids
    assert is_settled(connection)
