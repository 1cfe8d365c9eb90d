"""Statements that are sent so often, one by one, that each microsecond counts.

To parse the statement of an enqueue and to make its plan takes the server longer than to carry it
out, and psycopg's cursor takes the client as long as all the rest. So on a connection of ours it is
handed to libpq itself, and from the third time on it is prepared.

Prepared statements belong to one of the server's processes, which a pooler may change with each
transaction. So they are used only where the process that answers is the one that the connection
began with: a pooler makes up what it says of that. One that does not would be found out by the
name, which stands for this text alone: the server knows the statement, or refuses it unread.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, LiteralString

import psycopg
from psycopg import errors as pg
from psycopg import generators
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from taskd.store.connect import Connection

UNPREPARED_CALLS = 2
"""Who calls no more often on a connection does not pay for what the others gain."""

_IS_DIRECT = b"SELECT pg_backend_pid()"
_UNKNOWN_STATEMENT = "26000"


class Prepared:
    """A statement with $1, $2, … that returns one value; `title` is for those who read logs."""

    def __init__(self, title: str, text: LiteralString) -> None:
        self.query = text
        self._text = text.encode()
        self.name = f"taskd.{title}.{sha256(self._text).hexdigest()[:16]}".encode()

    def value(
        self, connection: psycopg.Connection[Any], parameters: Sequence[str | None]
    ) -> str | None:
        """What it returns, as PostgreSQL writes it; blocks for a round trip.

        On a connection that is not ours, or in another encoding, by a cursor. Raises what psycopg
        raises.
        """
        if isinstance(connection, Connection) and _is_plain(connection):
            return self.call(connection, [_encoded(one) for one in parameters])
        with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(self.query, parameters)
            found = cursor.pgresult
            return _text(found) if found else None

    def call(self, connection: Connection, values: Sequence[bytes | None]) -> str | None:
        """The same on a connection of ours in UTF8, past the cursor."""
        with connection.lock:
            result = None
            if self._is_ready(connection):
                connection.pgconn.send_query_prepared(self.name, values)
                result = _result(connection)
                if _state(result) == _UNKNOWN_STATEMENT and _is_idle(connection):
                    connection.can_prepare, result = False, None
            if result is None:
                connection.pgconn.send_query_params(self._text, values)
                result = _result(connection)
        if result.status != ExecStatus.TUPLES_OK:
            raise pg.error_from_result(result)
        return _text(result)

    def _is_ready(self, connection: Connection) -> bool:
        """Whether the server has it prepared, which is seen to once it is worth it."""
        if connection.can_prepare is False:
            return False
        calls = connection.calls.get(self.name, 0)
        connection.calls[self.name] = calls + 1
        if calls == UNPREPARED_CALLS:
            connection.can_prepare = _is_idle(connection) and self._prepare(connection)
        return calls >= UNPREPARED_CALLS and connection.can_prepare is True

    def _prepare(self, connection: Connection) -> bool:
        connection.pgconn.send_query_params(_IS_DIRECT, None)
        if _text(_result(connection)) != str(connection.pgconn.backend_pid):
            return False
        connection.pgconn.send_prepare(self.name, self._text)
        return _result(connection).status == ExecStatus.COMMAND_OK


def _is_plain(connection: Connection) -> bool:
    encoding = connection.pgconn.parameter_status(b"client_encoding")
    return connection.autocommit and encoding == b"UTF8"


def _is_idle(connection: Connection) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def _encoded(value: str | None) -> bytes | None:
    if value is None:
        return None
    if "\0" in value:
        raise pg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _result(connection: Connection) -> PGresult:
    results: list[PGresult] = connection.wait(generators.execute(connection.pgconn))
    return results[-1]


def _state(result: PGresult) -> str | None:
    if result.status != ExecStatus.FATAL_ERROR:
        return None
    return pg.error_from_result(result).sqlstate


def _text(result: PGresult) -> str | None:
    value = result.get_value(0, 0) if result.ntuples else None
    return None if value is None else value.decode()
