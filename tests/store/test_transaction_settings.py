"""What is set for one transaction, by functions of ours and by its BEGIN, and ends with it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors as pg

from taskd.store.connect import Connection
from taskd.store.waits import one_moment
from tests.store.makers import add_jobs

pytestmark = pytest.mark.one_server

NAMES = (
    "statement_timeout",
    "lock_timeout",
    "jit",
    "enable_seqscan",
    "enable_bitmapscan",
    "transaction_isolation",
    "transaction_read_only",
)


def settings(connection: Connection, *names: str) -> list[str]:
    rows = [connection.execute("SELECT current_setting(%s)", (name,)).fetchone() for name in names]
    return [row[0] for row in rows if row is not None]


def test_a_statement_that_takes_longer_than_the_limit_is_cancelled(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT taskd.limit_statements_v1(0.05)")
        with pytest.raises(pg.QueryCanceled, match="statement timeout"):
            connection.execute("SELECT pg_sleep(20)")


def test_who_waits_longer_than_the_limit_for_a_lock_is_refused_it(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()

    with connection.transaction(), other.transaction():
        connection.execute("LOCK TABLE taskd.task")
        other.execute("SELECT taskd.limit_locks_v1(0.05)")
        with pytest.raises(pg.LockNotAvailable):
            other.execute("LOCK TABLE taskd.task")


@pytest.mark.parametrize(
    ("call", "names", "within"),
    [
        ("limit_statements_v1(2.5)", ("statement_timeout", "jit"), ["2500ms", "off"]),
        ("limit_locks_v1(0.25)", ("lock_timeout",), ["250ms"]),
        ("plan_by_index_v1()", ("enable_seqscan", "enable_bitmapscan", "jit"), ["off"] * 3),
    ],
)
def test_what_a_function_sets_ends_with_its_transaction(
    connection: Connection, call: str, names: tuple[str, ...], within: list[str]
) -> None:
    connection.execute("SET jit = on")
    before = settings(connection, *names)

    with connection.transaction():
        connection.execute(f"SELECT taskd.{call}".encode())
        assert settings(connection, *names) == within

    assert settings(connection, *names) == before != within


def test_one_moment_sees_nothing_that_came_later(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()

    with one_moment(connection):
        assert settings(connection, "transaction_isolation") == ["repeatable read"]
        add_jobs(other)
        assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (0,)

    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (1,)


def test_in_one_moment_nothing_is_written(connection: Connection) -> None:
    with pytest.raises(pg.ReadOnlySqlTransaction), one_moment(connection):
        add_jobs(connection)


def test_after_one_moment_the_connection_is_as_before(connection: Connection) -> None:
    before = settings(connection, *NAMES)

    with one_moment(connection):
        pass

    with connection.transaction():
        assert settings(connection, *NAMES) == before
        add_jobs(connection)


def test_after_one_moment_that_failed_the_connection_is_as_before(connection: Connection) -> None:
    before = settings(connection, *NAMES)

    with pytest.raises(pg.DivisionByZero), one_moment(connection):
        connection.execute("SELECT 1 / 0")

    with connection.transaction():
        assert settings(connection, *NAMES) == before
        add_jobs(connection)


def test_one_moment_is_none_within_another_transaction(connection: Connection) -> None:
    with connection.transaction():
        with pytest.raises(psycopg.ProgrammingError), one_moment(connection):
            pass
        add_jobs(connection)

    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (1,)
