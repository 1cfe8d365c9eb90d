"""Fixed interleavings of two or three sessions around the dispatcher.

What must not wait has a lock_timeout; what must wait is known to wait before the test goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import psycopg
import pytest

from taskd.clock import monotonic
from taskd.maintenance.dispatch import Dispatch
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobRetry
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_graph,
    add_one,
    claim_one,
    complete,
    dispatch,
    is_settled,
    new_job,
    one_that_waits,
    used,
    wait_for_nobody,
)
from tests.store.makers import add_jobs, add_worker, claim, ids_of, notifications, places
from tests.waiting import eventually

Open = Callable[[], Connection]


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def begin(connection: Connection, level: str) -> None:
    """Begin a transaction that has taken its snapshot."""
    connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    connection.execute("SELECT count(*) FROM taskd.queued")


def test_a_child_that_arrives_during_its_parents_completion_is_looked_at_again(
    connection: Connection, connect_again: Open
) -> None:
    ender = connect_again()
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    row = claim_one(connection, worker)
    wait_for_nobody(connection)

    with ender.transaction():
        complete(ender, worker, [row])
        child = add_one(connection, parents=(parent,))
        assert places(connection, child) == ["blocked"]

    dispatch(connection)
    assert places(connection, child) == ["queued"]
    assert is_settled(connection)


def test_a_child_that_a_completions_old_snapshot_cannot_see_is_told_all_the_same(
    connection: Connection, connect_again: Open
) -> None:
    ender = connect_again()
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    row = claim_one(connection, worker)

    begin(ender, "REPEATABLE READ")
    child = add_one(connection, parents=(parent,))
    assert complete(ender, worker, [row]) == []
    ender.execute("COMMIT")

    assert places(connection, child) == ["blocked"]
    dispatch(connection)
    assert places(connection, child) == ["queued"]
    assert is_settled(connection)


def test_a_completion_waits_for_the_dispatcher_that_looks_at_its_job_and_sees_the_child(
    connection: Connection, connect_again: Open
) -> None:
    dispatcher, watcher = connect_again(), connect_again()
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    row = claim_one(connection, worker)
    child = add_one(connection, parents=(parent,), foreign=True)

    dispatcher.execute("BEGIN")
    dispatch(dispatcher)
    with one_that_waits(watcher, connection, lambda: complete(connection, worker, [row])) as call:
        dispatcher.execute("COMMIT")
        assert call.result() == []

    dispatch(connection)
    assert places(connection, child) == ["queued"]


def test_a_child_hears_of_a_parent_that_ends_before_its_enqueue_has_committed(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)

    with caller.transaction():
        child = add_one(caller, parents=(parent,))
        wait_for_nobody(connection)
        complete(connection, worker, [claim_one(connection, worker)])

    dispatch(connection)
    assert places(connection, child) == ["queued"]
    assert is_settled(connection)


def test_a_child_of_a_retry_under_way_waits_for_the_parents_end(
    connection: Connection, connect_again: Open
) -> None:
    retrier = connect_again()
    worker = add_worker(connection)
    (parent,) = add_jobs(connection, max_attempts=2)
    row = claim_one(connection, worker)

    with retrier.transaction():
        jobs.retry_jobs(retrier, worker, [JobRetry(parent, row[3], 0.1, "r", 0.0)])
        child = add_one(connection, parents=(parent,))
    dispatch(connection)

    assert places(connection, child) == ["blocked"]
    complete(connection, worker, [claim_one(connection, worker)])
    assert places(connection, child) == ["queued"]
    assert is_settled(connection)


def test_callers_that_name_resources_in_opposite_order_wait_for_nobody(
    connection: Connection, connect_again: Open
) -> None:
    one, other = connect_again(), connect_again()
    wait_for_nobody(connection, one, other)
    worker = add_worker(connection)

    one.execute("BEGIN")
    other.execute("BEGIN")
    add_exclusive(one, "x", foreign=True)
    add_exclusive(other, "y", foreign=True)
    add_exclusive(one, "y", foreign=True)
    add_exclusive(other, "x", foreign=True)
    third = add_exclusive(connection, "x", "y")

    row = claim_one(connection, worker)  # the two have yet to commit: they delay nobody
    assert row[0] == third
    complete(connection, worker, [row])
    one.execute("COMMIT")
    other.execute("COMMIT")
    dispatch(connection)
    assert len(claim(connection, worker)) == 2
    assert is_settled(connection)


def test_serializable_callers_do_not_make_each_other_fail(
    connection: Connection, connect_again: Open
) -> None:
    one, other = connect_again(), connect_again()
    add_exclusive(connection, "x")

    begin_nothing_read = b"BEGIN ISOLATION LEVEL SERIALIZABLE"
    one.execute(begin_nothing_read)
    other.execute(begin_nothing_read)
    for caller, names in ((one, ("x", "y")), (other, ("y", "x"))):
        add_graph(caller, *(new_job(needs={name: EXCLUSIVE}) for name in names), foreign=True)
        add_jobs(caller, 2, always_notify=True)
        add_graph(caller, new_job(), new_job(parents=(-1,)), foreign=True)
    one.execute("COMMIT")
    other.execute("COMMIT")

    dispatch(connection)
    assert connection.execute("SELECT count(*) FROM taskd.line").fetchone() == (3,)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_caller_with_an_old_snapshot_neither_dispatches_nor_breaks_the_line(
    connection: Connection, connect_again: Open, level: str
) -> None:
    caller = connect_again()
    worker = add_worker(connection)

    begin(caller, level)
    holder = add_exclusive(connection, "x")
    late = add_exclusive(caller, "x")  # not told to be in a caller's transaction: it sees so itself
    caller.execute("COMMIT")

    dispatch(connection)
    assert ids_of(claim(connection, worker)) == [holder]
    assert places(connection, late) == ["blocked"]


def test_the_dispatcher_is_tried_and_never_waited_for(
    connection: Connection, connect_again: Open
) -> None:
    busy = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)

    busy.execute("BEGIN")
    first = add_exclusive(busy, "x")
    second = add_exclusive(connection, "x")
    assert dispatch(connection) == -1
    (plain,) = add_jobs(connection)
    assert ids_of(claim(connection, worker)) == [plain]
    busy.execute("COMMIT")

    dispatch(connection)
    assert ids_of(claim(connection, worker)) == [first]
    assert places(connection, second) == ["blocked"]


def test_a_dispatcher_that_is_killed_leaves_its_letters_to_the_next(
    connection: Connection, connect_again: Open
) -> None:
    victim = connect_again()
    worker = add_worker(connection)
    job = add_exclusive(connection, "x", foreign=True)

    victim.execute("BEGIN")
    assert dispatch(victim) == 1
    connection.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
    victim.close()

    assert eventually(lambda: dispatch(connection) > 0)
    assert claim_one(connection, worker)[0] == job
    assert is_settled(connection)


def test_a_letter_that_cannot_be_settled_yet_is_looked_at_again_after_a_pause(
    connection: Connection, connect_again: Open
) -> None:
    ender, listener = connect_again(), connect_again()
    listener.execute("LISTEN taskd")
    chore = Dispatch(hurry=lambda: None)
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    row = claim_one(connection, worker)

    with ender.transaction():
        complete(ender, worker, [row])
        add_one(connection, parents=(parent,))
        left = connection.execute("SELECT count(*) FROM taskd.mail").fetchone()
        notifications(listener)
        chore.run(connection)
        due = chore.due()
        told = notifications(listener)

    assert left == (1,)
    assert monotonic() - 60 < due < monotonic() + 60  # else it would not come again, or spin
    assert told == []  # or all hosts would spin together


def test_a_move_and_the_dispatcher_never_wait_for_each_other_in_a_ring(
    connection: Connection, connect_again: Open
) -> None:
    dispatcher, watcher = connect_again(), connect_again()
    wait_for_nobody(dispatcher)
    worker = add_worker(connection)
    add_exclusive(connection, "x")
    waiting = [add_one(connection, needs={"x": 1}) for _ in range(3)]
    complete_later = claim(connection, worker)

    dispatcher.execute("BEGIN")
    dispatcher.execute("SELECT taskd.set_capacity_v1('x', 2)")
    move = "SELECT taskd.move_jobs_v1(%s::bigint[], 'other')"
    with one_that_waits(
        watcher, connection, lambda: connection.execute(move, (waiting,)).fetchone()
    ) as call:
        complete(dispatcher, worker, complete_later)  # starts two of those that are to be moved
        dispatcher.execute("COMMIT")
        assert call.result() == (3,)

    row = connection.execute(
        "SELECT array_agg(id ORDER BY id) FROM taskd.job WHERE queue = 'other'"
    )
    assert row.fetchone() == (waiting,)
    assert is_settled(connection)


def test_a_callers_forgotten_replacement_does_not_hold_up_a_move(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    wait_for_nobody(connection)

    def enqueue(session: Connection, args: str) -> int:
        new = new_job(args, key="k", until="finished", on_conflict="replace", delay=60.0)
        (job,) = add_graph(session, new, foreign=True)
        return job

    held = enqueue(connection, "[]")
    blocked = add_one(connection, parents=(held,))

    caller.execute("BEGIN")
    enqueue(caller, "[1]")
    moved = connection.execute(
        "SELECT taskd.move_jobs_v1(%s::bigint[], 'other')", ([held, blocked],)
    ).fetchone()

    assert moved == (1,)
    caller.execute("ROLLBACK")


def test_a_child_whose_time_comes_while_it_is_started_is_in_one_table_and_holds_its_own(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    (parent,) = add_jobs(connection)
    row = claim_one(connection, worker)
    moment = clock(connection) + timedelta(seconds=1)
    children = [
        new_job(
            parents=(parent,),
            run_at=moment + timedelta(microseconds=50 * number),
            needs={"x": 1} if number % 2 else {},
        )
        for number in range(1000)
    ]
    ids = add_graph(connection, *children)

    eventually(lambda: clock(connection) > moment)
    complete(connection, worker, [row])

    assert connection.execute(
        "SELECT count(*), count(DISTINCT id) FROM taskd.live_job WHERE id = ANY (%s)", (ids,)
    ).fetchone() == (1000, 1000)
    assert connection.execute(
        "SELECT count(*) FROM taskd.queued WHERE res IS NOT NULL AND place IS NULL"
    ).fetchone() == (0,)
    assert is_settled(connection)


def clock(connection: Connection) -> datetime:
    """The time of the server."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return cast(datetime, row[0])


def test_a_paused_resource_lets_nobody_in_until_it_is_resumed(connection: Connection) -> None:
    connection.execute("SELECT taskd.set_capacity_v1('x', 0)")
    job = add_one(connection, needs={"x": 1})
    paused = places(connection, job)

    connection.execute("SELECT taskd.set_capacity_v1('x', NULL)")

    assert paused == ["blocked"]
    assert places(connection, job) == ["queued"]


def test_a_resource_named_twice_is_needed_once_and_as_much_as_the_most(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    twice = replace(new_job(), res=("x", "y", "x"), need=(1, 2, EXCLUSIVE))
    (job,) = add_graph(connection, twice)

    row = claim_one(connection, worker)

    assert row[0] == job
    assert (used(connection, "x"), used(connection, "y")) == (EXCLUSIVE, 2)
    complete(connection, worker, [row])
    assert (used(connection, "x"), used(connection, "y")) == (0, 0)


@pytest.mark.parametrize(
    ("res", "need"), [(("x",), (0,)), (("x",), (-1,)), (("x", "y"), (1,)), (("x",), (1, 2))]
)
def test_a_need_that_is_none_is_refused_before_the_dispatcher_meets_it(
    connection: Connection, res: tuple[str, ...], need: tuple[int, ...]
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="resource"):
        add_graph(connection, replace(new_job(), res=res, need=need))

    assert is_settled(connection)
