"""Each session remembers up to where it has seen the mail: no letter may lie before that unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskd.store.connect import Connection
from tests.store.graph_makers import (
    add_exclusive,
    add_one,
    claim_one,
    complete,
    dispatch,
    is_settled,
    set_capacity,
)
from tests.store.makers import add_jobs, add_worker, places

Open = Callable[[], Connection]


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def has_mail(connection: Connection) -> bool:
    row = connection.execute("SELECT taskd.has_mail_v1()").fetchone()
    return row == (True,)


def give_out(connection: Connection, count: int) -> None:
    """As if so many letters had been written and worked off."""
    connection.execute(
        "SELECT nextval('taskd.mail_seq') FROM generate_series(1, %s::int)", (count,)
    )


def ended_job(connection: Connection) -> int:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    complete(connection, worker, [claim_one(connection, worker)])
    return job


def write_arrival(session: Connection, parent: int) -> int:
    return add_exclusive(session, "late", foreign=True)


def write_check(session: Connection, parent: int) -> int:
    return add_one(session, parents=(parent,), foreign=True)


WRITERS = pytest.mark.parametrize("write", [write_arrival, write_check])
Write = Callable[[Connection, int], int]


@WRITERS
@pytest.mark.parametrize("others", [0, 3], ids=["nobody ended since", "others ended since"])
def test_a_letter_that_commits_behind_what_a_dispatcher_has_seen_is_found(
    connection: Connection, connect_again: Open, write: Write, others: int
) -> None:
    caller = connect_again()
    parent = ended_job(connection)

    with caller.transaction():
        job = write(caller, parent)
        for _ in range(others):
            add_jobs(connection)
        add_exclusive(connection, "x")  # is dispatched by the call that wrote it
        assert not has_mail(connection)

    assert has_mail(connection)
    assert dispatch(connection) == 1
    assert places(connection, job) == ["queued"]
    assert is_settled(connection)


@WRITERS
@pytest.mark.parametrize("others", [0, 3], ids=["nobody ended since", "others ended since"])
def test_a_letter_that_commits_behind_what_an_idle_look_has_passed_is_found(
    connection: Connection, connect_again: Open, write: Write, others: int
) -> None:
    caller = connect_again()
    parent = ended_job(connection)

    with caller.transaction():
        job = write(caller, parent)
        for _ in range(others):
            add_jobs(connection)
        give_out(caller, 100)
        assert not has_mail(connection)

    assert has_mail(connection)
    assert dispatch(connection) == 1
    assert places(connection, job) == ["queued"]


def test_a_letter_of_a_transaction_that_outlives_many_dispatches_is_found(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()

    with caller.transaction():
        job = add_exclusive(caller, "late", foreign=True)
        for number in range(5):
            add_exclusive(connection, f"x{number}")
            give_out(connection, 100)
            assert not has_mail(connection)

    assert dispatch(connection) == 1
    assert places(connection, job) == ["queued"]


def test_arrivals_for_which_there_was_no_room_are_found_and_so_is_one_that_commits_then(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    dispatch_one = "SELECT taskd.dispatch_v1(100, 1, 1)"

    with caller.transaction():
        late = add_exclusive(caller, "late", foreign=True)
        ids = [add_exclusive(connection, f"x{number}", foreign=True) for number in range(3)]
        assert connection.execute(dispatch_one).fetchone() == (1,)
    again = add_exclusive(connection, "y", foreign=True)

    for _ in range(4):
        assert has_mail(connection)
        assert connection.execute(dispatch_one).fetchone() == (1,)

    assert {tuple(places(connection, job)) for job in [*ids, late, again]} == {("queued",)}
    assert not has_mail(connection)


def test_letters_of_one_late_transaction_are_found_also_a_few_at_a_time(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()

    with caller.transaction():
        late = [add_exclusive(caller, f"late{number}", foreign=True) for number in range(3)]
        add_exclusive(connection, "x")
        set_capacity(connection, "x", 3)
        for number in range(3):
            set_capacity(caller, f"late{number}", 1)
        add_exclusive(connection, "y")

    while has_mail(connection):
        row = connection.execute("SELECT taskd.dispatch_v1(1, 1, 1)").fetchone()
        assert row is not None
        assert row[0] > 0

    assert {tuple(places(connection, job)) for job in late} == {("queued",)}
    assert is_settled(connection)


@pytest.mark.parametrize("letters", [1, 2])
def test_letters_that_were_too_many_for_one_round_are_found(
    connection: Connection, letters: int
) -> None:
    parent = ended_job(connection)
    children = [add_one(connection, parents=(parent,), foreign=True) for _ in range(5)]
    arrivals = [add_exclusive(connection, f"x{number}", foreign=True) for number in range(5)]

    for _ in range(10):
        connection.execute("SELECT taskd.dispatch_v1(%s, 1, 500)", (letters,))

    assert {tuple(places(connection, job)) for job in children + arrivals} == {("queued",)}
    assert is_settled(connection)


def test_an_old_snapshot_marks_nothing_as_seen(connection: Connection, connect_again: Open) -> None:
    writer = connect_again()
    parent = ended_job(connection)

    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM taskd.queued")
        job = add_one(writer, parents=(parent,), foreign=True)
        give_out(writer, 100)
        assert not has_mail(connection)

    assert has_mail(connection)
    dispatch(connection)
    assert places(connection, job) == ["queued"]


def test_what_a_dispatch_has_seen_is_forgotten_with_its_transaction(
    connection: Connection,
) -> None:
    job = add_exclusive(connection, "x", foreign=True)

    connection.execute("BEGIN")
    assert dispatch(connection) == 1
    connection.execute("ROLLBACK")

    assert has_mail(connection)
    assert dispatch(connection) == 1
    assert places(connection, job) == ["queued"]
