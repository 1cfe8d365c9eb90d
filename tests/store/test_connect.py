from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from taskd.errors import DatabaseRefused, DatabaseUnavailable, StatementTimedOut
from taskd.store import connect
from taskd.store.connect import Connection, check_connection, connection_pool, translate_errors


def test_a_statement_without_an_answer_ends_at_its_deadline(connection: Connection) -> None:
    connection.deadline = 0.2

    with pytest.raises(StatementTimedOut, match=r"within 0\.2 s"):
        connection.execute("SELECT pg_sleep(60)")

    assert connection.closed


def test_a_missing_database_is_named_with_the_remedy(dsn: str) -> None:
    wrong = psycopg.conninfo.make_conninfo(dsn, dbname="nowhere")

    with pytest.raises(DatabaseRefused, match=r"nowhere.*does not exist: create it"):
        connect.connect(wrong)


def test_an_unknown_user_is_told(dsn: str) -> None:
    wrong = psycopg.conninfo.make_conninfo(dsn, user="stranger")

    with pytest.raises(DatabaseRefused, match="check the user name"):
        connect.connect(wrong)


def test_a_password_that_is_missing_is_not_called_wrong() -> None:
    error = psycopg.OperationalError("connection failed: fe_sendauth: no password supplied")

    refused = connect._connect_error("host=db dbname=shop", error)

    assert isinstance(refused, DatabaseRefused)
    assert "asks for a password, and none is given" in str(refused)


def test_a_privilege_that_is_missing_is_a_refusal_with_the_way_out(
    dsn: str, connection: Connection
) -> None:
    connection.execute("DROP ROLE IF EXISTS onlooker")
    connection.execute("CREATE ROLE onlooker LOGIN")
    onlooker = psycopg.conninfo.make_conninfo(dsn, user="onlooker")

    with (
        closing(connect.connect(onlooker)) as poor,
        pytest.raises(DatabaseRefused, match=r"permission denied .*`taskd check` names the GRANT"),
        translate_errors(),
    ):
        poor.execute("SELECT * FROM taskd.queued")


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(DatabaseUnavailable):
        connect.connect("host=/nonexistent dbname=x")


def test_a_password_is_never_shown() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        connect.connect("postgresql://me:secret@127.0.0.1:1/x")

    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_terminated_backend_is_unavailable_not_a_crash(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    victim = connect_again()
    connection.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))

    with pytest.raises(DatabaseUnavailable), translate_errors():
        victim.execute("SELECT 1")


def test_an_idle_connection_that_died_is_noticed_without_a_round_trip(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    from tests.waiting import eventually

    victim = connect_again()
    check_connection(victim)
    connection.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))

    def noticed() -> bool:
        try:
            check_connection(victim)
        except psycopg.OperationalError:
            return True
        return False

    eventually(noticed)


def test_a_pool_replaces_a_connection_that_died(dsn: str, connection: Connection) -> None:
    with closing(connection_pool(dsn, 2)) as pool:
        with pool.connection() as first:
            victim = first.info.backend_pid
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (victim,))

        with pool.connection() as second:
            assert second.execute("SELECT 1").fetchone() == (1,)
            assert second.info.backend_pid != victim


def test_transactions_must_be_read_committed_by_default(dsn: str, connection: Connection) -> None:
    connect.check_isolation(connection)
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname} "
        "SET default_transaction_isolation = 'repeatable read'".encode()
    )

    with (
        closing(connect.connect(dsn)) as other,
        pytest.raises(DatabaseRefused, match="ALTER ROLE taskd SET default_transaction_isolation"),
    ):
        connect.check_isolation(other)
