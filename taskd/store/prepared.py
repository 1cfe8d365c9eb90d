"""Statements that are sent so often, one by one, that each microsecond counts.

To parse the statement of an enqueue and to make its plan takes the server longer than to carry it
out, and psycopg's cursor takes the client as long as all the rest. So on a connection of ours it is
handed to libpq itself, and from the third time on it is prepared.

Prepared statements belong to one of the server's processes, which a pooler may change with each
transaction. So they are used only outside of transactions, and where the process that answers is
the one that the connection was told of when it began: most poolers make up what they say there. Of
one that does not, another process may be asked, which knows the statement by its name, which
stands for this text alone, or refuses it unread. Then it is sent as it is, from then on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, LiteralString

import psycopg
from psycopg import errors as pg
from psycopg import generators
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from taskd.errors import StatementTimedOut
from taskd.store.connect import Connection

UNPREPARED_CALLS = 2
"""Who calls no more often on a connection does not pay for what the others gain."""

_IS_DIRECT = b"SELECT pg_backend_pid()"
_UNKNOWN_STATEMENT = "26000"


Texts = tuple[str | None, ...]


class Prepared:
    """A statement with $1, $2, … that returns one row of texts at most.

    `title` is for those who read logs.
    """

    def __init__(self, title: str, text: LiteralString) -> None:
        self.query = text
        self._text = text.encode()
        self.name = f"taskd.{title}.{sha256(self._text).hexdigest()[:16]}".encode()

    def value(
        self, connection: psycopg.Connection[Any], parameters: Sequence[str | None]
    ) -> str | None:
        """The first of the texts that it returns; as `row`."""
        row = self.row(connection, parameters)
        return row[0] if row else None

    def row(
        self, connection: psycopg.Connection[Any], parameters: Sequence[str | None]
    ) -> Texts | None:
        """What it returns; blocks for a round trip.

        On a connection that is not ours, or in another encoding, by a cursor. Raises what psycopg
        raises.
        """
        if isinstance(connection, Connection) and _is_plain(connection):
            return self.call(connection, [_encoded(one) for one in parameters])
        with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
            row = cursor.execute(self.query, parameters).fetchone()
        return None if row is None else tuple(map(_decoded, row))

    def call(self, connection: Connection, values: Sequence[bytes | None]) -> Texts | None:
        """The same on a connection of ours in UTF8, past the cursor."""
        with connection.lock:
            result = None
            if self._is_ready(connection):
                connection.pgconn.send_query_prepared(self.name, values)
                result = _result(connection)
                if _state(result) == _UNKNOWN_STATEMENT:
                    connection.can_prepare, result = False, None
            if result is None:
                connection.pgconn.send_query_params(self._text, values)
                result = _result(connection)
        return _row(result)

    def values(
        self, connection: psycopg.Connection[Any], calls: Iterable[Sequence[str | None]]
    ) -> Generator[str | None]:
        """The first text that it returns for the parameters of each call, within a transaction.

        The next ones are asked for, and what the last ones gave is handed out, while the server
        carries out others. Raises what `calls` or psycopg raises.
        """
        if not (isinstance(connection, Connection) and _is_plain(connection)):
            yield from (self.value(connection, parameters) for parameters in calls)
            return
        is_under_way = False
        try:
            for parameters in calls:
                encoded = [_encoded(one) for one in parameters]
                was_under_way, is_under_way = is_under_way, False
                value = self._receive(connection) if was_under_way else None
                self._send(connection, encoded)
                is_under_way = True
                if was_under_way:
                    yield value
            if is_under_way:
                is_under_way = False
                yield self._receive(connection)
        finally:
            if is_under_way:  # or the transaction could not be rolled back
                with suppress(psycopg.Error, StatementTimedOut):
                    self._receive(connection)

    def _send(self, connection: Connection, values: Sequence[bytes | None]) -> None:
        with connection.lock:
            connection.pgconn.send_query_params(self._text, values)
            connection.wait(generators.send(connection.pgconn))

    def _receive(self, connection: Connection) -> str | None:
        with connection.lock:
            row = _row(_last(connection.wait(generators.fetch_many(connection.pgconn))))
        return row[0] if row else None

    def _is_ready(self, connection: Connection) -> bool:
        """Whether the server has it prepared, which is seen to once it is worth it."""
        if connection.can_prepare is False or not _is_idle(connection):
            return False
        calls = connection.calls.get(self.name, 0)
        connection.calls[self.name] = calls + 1
        if calls == UNPREPARED_CALLS:
            connection.can_prepare = False  # also if this is cut short
            connection.can_prepare = self._prepare(connection)
        return calls >= UNPREPARED_CALLS and connection.can_prepare is True

    def _prepare(self, connection: Connection) -> bool:
        connection.pgconn.send_query_params(_IS_DIRECT, None)
        if _texts(_result(connection)) != (str(connection.pgconn.backend_pid),):
            return False
        connection.pgconn.send_prepare(self.name, self._text)
        return _result(connection).status == ExecStatus.COMMAND_OK


def _is_plain(connection: Connection) -> bool:
    pgconn = connection.pgconn
    is_utf8 = pgconn.parameter_status(b"client_encoding") == b"UTF8"
    return is_utf8 and connection.autocommit and pgconn.pipeline_status == PipelineStatus.OFF


def _is_idle(connection: Connection) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def _encoded(value: str | None) -> bytes | None:
    if value is None:
        return None
    if "\0" in value:
        raise pg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _result(connection: Connection) -> PGresult:
    return _last(connection.wait(generators.execute(connection.pgconn)))


def _last(results: list[PGresult]) -> PGresult:
    if not results:
        raise pg.OperationalError("the server has answered nothing")
    return results[-1]


def _row(result: PGresult) -> Texts | None:
    if result.status != ExecStatus.TUPLES_OK:
        raise pg.error_from_result(result)
    return _texts(result)


def _state(result: PGresult) -> str | None:
    if result.status != ExecStatus.FATAL_ERROR:
        return None
    return pg.error_from_result(result).sqlstate


def _texts(result: PGresult) -> Texts | None:
    if not result.ntuples:
        return None
    return tuple([_decoded(result.get_value(0, column)) for column in range(result.nfields)])


def _decoded(value: str | bytes | None) -> str | None:
    """As text; a cursor gives bytes, too, of SQL_ASCII."""
    return value.decode() if isinstance(value, bytes) else value
