"""Calls that are to change a job while it is blocked: nobody waits for them, and none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
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
    wait_for_nobody,
)
from tests.store.makers import AnyConnection, add_worker, claim, places
from tests.store.test_unique_races import add_unique, arguments, holder

Open = Callable[[], Connection]

STARTED = {"key": "k", "until": "started", "on_conflict": "replace"}
FINISHED = {"key": "k", "until": "finished", "on_conflict": "replace"}


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def add(connection: AnyConnection, args: str, *, foreign: bool = False, **options: Any) -> int:
    """A call that needs the resource r for itself; -id where another job holds the key."""
    return add_one(
        connection, args=args, needs={"r": EXCLUSIVE}, foreign=foreign, **(STARTED | options)
    )


def letters(connection: AnyConnection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT kind::text FROM taskd.mail ORDER BY seq")]


def test_a_blocked_job_gets_the_arguments_of_the_last_call(connection: Connection) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")

    assert [add(connection, args) for args in ("[2]", "[3]")] == [-job, -job]

    assert arguments(connection, job) == "[3]"
    complete(connection, worker, [first])
    row = claim_one(connection, worker)
    assert (row[0], row[8]) == (job, [3])


def test_a_job_that_waits_for_the_limit_of_its_queue_gets_the_arguments_of_a_plain_call(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    connection.execute("SELECT taskd.set_capacity_v1('@queue default', 1)")
    add_unique(connection, "j")
    dispatch(connection)
    claim_one(connection, worker)
    (job,) = add_unique(connection, "k", args="[1]")

    assert add_unique(connection, "k", args="[2]", on_conflict="replace") == [-job]
    dispatch(connection)

    assert places(connection, job) == ["blocked"]
    assert arguments(connection, job) == "[2]"
    assert is_settled(connection)


def test_a_call_in_an_open_transaction_delays_neither_the_job_nor_its_line(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")

    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True)
    complete(connection, worker, [first])
    begun = claim_one(connection, worker)
    assert (begun[0], begun[8]) == (job, [1])
    assert complete(connection, worker, [begun]) == []


@pytest.mark.parametrize("ends", [False, True])
def test_a_call_that_comes_too_late_becomes_a_job_where_the_key_is_free_by_then(
    connection: Connection, connect_again: Open, ends: bool
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")
    caller.execute("BEGIN")
    assert add(caller, "[2]", foreign=True, timeout=7.0, extra={"on_lost": "fail"}) == -job
    complete(connection, worker, [first])
    begun = claim_one(connection, worker)
    if ends:
        complete(connection, worker, [begun])

    caller.execute("COMMIT")
    dispatch(connection)
    if not ends:
        complete(connection, worker, [begun])

    row = claim_one(connection, worker)
    assert (row[0] > job, row[8]) == (True, [2])
    assert connection.execute(
        "SELECT res, timeout, extra->>'on_lost' FROM taskd.running WHERE id = %s", (row[0],)
    ).fetchone() == (["r"], 7.0, "fail")
    assert arguments(connection, job) == "[1]"
    assert is_settled(connection)


def test_a_call_that_comes_too_late_changes_nothing_while_the_job_keeps_its_key(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]", **FINISHED)
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True, **FINISHED)
    complete(connection, worker, [first])
    begun = claim_one(connection, worker)

    caller.execute("COMMIT")
    dispatch(connection)

    assert holder(connection, "k") == job
    complete(connection, worker, [begun])
    assert claim(connection, worker) == []
    assert is_settled(connection)


@pytest.mark.parametrize("at_once", [False, True])
def test_of_several_calls_that_come_too_late_one_job_is_left_with_the_last_arguments(
    connection: Connection, connect_again: Open, at_once: bool
) -> None:
    callers = [connect_again() for _ in range(3)]
    worker = begin_without_them(connection, callers)

    for caller in (callers[1], callers[2], callers[0]):
        caller.execute("COMMIT")
        if not at_once:
            dispatch(connection)
    dispatch(connection)

    row = claim_one(connection, worker)
    assert row[8] == [12]
    complete(connection, worker, [row])
    assert claim(connection, worker) == []
    assert is_settled(connection)


def begin_without_them(
    connection: Connection, callers: Sequence[Connection], **extra: Sequence[str]
) -> int:
    """Let the holder of k end before these, who would change it to [10], [11], … have committed."""
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    add(connection, "[1]")
    for number, caller in enumerate(callers):
        caller.execute("BEGIN")
        more = {name: values[number] for name, values in extra.items()} or None
        add(caller, f"[{10 + number}]", foreign=True, extra=more)
    complete(connection, worker, [first])
    complete(connection, worker, [claim_one(connection, worker)])
    return worker


def test_the_call_of_one_who_may_change_only_his_own_jobs_changes_no_other(
    connection: Connection, connect_again: Open
) -> None:
    callers = [connect_again() for _ in range(3)]
    worker = begin_without_them(connection, callers, by=["ann", "bob", "ann"])

    for caller, expected in zip(callers, ("[10]", "[10]", "[12]"), strict=True):
        caller.execute("COMMIT")
        dispatch(connection)
        made = holder(connection, "k")
        assert made is not None
        assert arguments(connection, made) == expected

    assert claim_one(connection, worker)[8] == [12]
    assert is_settled(connection)


def test_a_job_that_was_called_for_later_keeps_its_arguments(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    add(connection, "[1]")
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True)
    complete(connection, worker, [first])
    complete(connection, worker, [claim_one(connection, worker)])
    later = add(connection, "[3]")

    caller.execute("COMMIT")
    dispatch(connection)

    row = claim_one(connection, worker)
    assert (row[0], row[8]) == (later, [3])
    assert is_settled(connection)


def test_the_dispatcher_does_not_wait_for_one_who_takes_the_key(
    connection: Connection, connect_again: Open
) -> None:
    caller, taker = connect_again(), connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    add(connection, "[1]")
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True)
    complete(connection, worker, [first])
    complete(connection, worker, [claim_one(connection, worker)])
    taker.execute("BEGIN")
    add(taker, "[3]", foreign=True)
    caller.execute("COMMIT")

    wait_for_nobody(connection)
    assert dispatch(connection) == -2, "come again"
    assert letters(connection) == ["u"]
    taker.execute("ROLLBACK")
    dispatch(connection)

    assert claim_one(connection, worker)[8] == [2]
    assert is_settled(connection)


def test_a_job_that_somebody_else_is_changing_is_changed_once_that_is_over(
    connection: Connection, connect_again: Open
) -> None:
    caller, other = connect_again(), connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True)
    complete(connection, worker, [first])
    assert places(connection, job) == ["queued"]
    other.execute("BEGIN")
    other.execute("SELECT FROM taskd.queued FOR UPDATE")
    caller.execute("COMMIT")

    assert dispatch(connection) == -2
    assert arguments(connection, job) == "[1]"
    other.execute("COMMIT")
    dispatch(connection)

    assert arguments(connection, job) == "[2]"
    assert is_settled(connection)


def test_a_call_in_a_letter_does_not_undo_a_later_one(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True)
    complete(connection, worker, [first])
    assert places(connection, job) == ["queued"]
    caller.execute("COMMIT")

    assert add(connection, "[3]") == -job
    dispatch(connection)

    assert claim_one(connection, worker)[8] == [3]
    assert is_settled(connection)


def test_a_key_of_a_job_that_a_slower_call_has_yet_to_meet_is_changed_by_letter(
    connection: Connection, connect_again: Open
) -> None:
    slow, holds, watcher = connect_again(), connect_again(), connect_again()
    wait_for_nobody(connection)
    add_worker(connection)
    holds.execute("BEGIN")
    add_unique(holds, "a")

    slow.execute("BEGIN")
    with one_that_waits(
        watcher,
        slow,
        lambda: add_graph(slow, new_job(key="a"), new_job("[2]", **STARTED), foreign=True),
    ) as call:
        parent = add_one(connection, delay=3600.0)
        job = add(connection, "[1]", parents=(parent,))
        holds.execute("ROLLBACK")
        _, held = call.result()

    assert held == -job, "its number is higher than the first of that call"
    connection.execute("UPDATE taskd.blocked SET timeout = 1")
    slow.execute("COMMIT")
    dispatch(connection)
    assert arguments(connection, job) == "[2]"


def test_a_call_with_parents_becomes_a_job_that_comes_after_them(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")
    (parent,) = jobs_due_in_a_minute(connection)
    caller.execute("BEGIN")
    add(caller, "[2]", foreign=True, parents=(parent,))
    complete(connection, worker, [first])
    complete(connection, worker, [claim_one(connection, worker)])
    caller.execute("COMMIT")

    dispatch(connection)
    dispatch(connection)
    made = holder(connection, "k")
    assert made is not None
    assert made > job
    assert places(connection, made) == ["blocked"]
    connection.execute("UPDATE taskd.scheduled SET run_at = clock_timestamp()")
    jobs.promote_jobs(connection, 10)
    complete(connection, worker, [claim_one(connection, worker)])

    row = claim_one(connection, worker)
    assert (row[0], row[8]) == (made, [2])
    assert is_settled(connection)


def jobs_due_in_a_minute(connection: AnyConnection) -> list[int]:
    return [add_one(connection, delay=60.0)]


def test_an_earlier_call_reaches_a_job_that_waits_for_its_parent(connection: Connection) -> None:
    worker = add_worker(connection)
    parent = add_one(connection)
    job = add(connection, "[1]", parents=(parent,), delay=3600.0)

    assert add(connection, "[2]", on_conflict="earlier", delay=7200.0) == -job
    assert add(connection, "[2]", on_conflict="earlier") == -job
    complete(connection, worker, [claim_one(connection, worker)])

    row = claim_one(connection, worker)
    assert (row[0], row[8]) == (job, [1])


def test_an_earlier_call_reaches_a_blocked_job_of_the_same_call(connection: Connection) -> None:
    worker = add_worker(connection)
    first = new_job("[1]", key="k", parents=(-1,), delay=3600.0)
    second = new_job("[2]", key="k", on_conflict="earlier")

    _, job, held = add_graph(connection, new_job(), first, second)
    complete(connection, worker, [claim_one(connection, worker)])

    assert held == -job
    assert claim_one(connection, worker)[0] == job


def test_a_child_of_the_same_call_comes_after_the_job_that_holds_the_key(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    add_exclusive(connection, "r")
    first = claim_one(connection, worker)
    job = add(connection, "[1]")

    held, child = add_graph(
        connection,
        new_job("[2]", needs={"r": EXCLUSIVE}, **STARTED),
        new_job("[9]", parents=(-1,)),
    )
    assert (held, arguments(connection, job)) == (-job, "[2]")
    complete(connection, worker, [first])
    complete(connection, worker, [claim_one(connection, worker)])
    dispatch(connection)
    assert claim_one(connection, worker)[0] == child


def test_many_calls_go_into_bounded_letters(connection: Connection) -> None:
    connection.execute("SELECT taskd.set_capacity_v1('@queue default', 0)")
    keys = [f"k{number}" for number in range(1200)]
    ids = add_unique(connection, *keys)
    dispatch(connection)

    assert add_unique(connection, *keys, args="[1]", on_conflict="replace") == [-i for i in ids]
    sizes = "SELECT max(cardinality(ids)), count(*) FROM taskd.mail WHERE kind = 'u'"
    assert connection.execute(sizes).fetchone() == (100, 12)
    dispatch(connection)

    changed = "SELECT count(*) FROM taskd.blocked WHERE args = '[1]'"
    assert connection.execute(changed).fetchone() == (1200,)
    assert json.loads(arguments(connection, ids[0])) == [1]
