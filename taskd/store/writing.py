"""Writing for people: one transaction, whose statements do not take for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import errors as pg

from taskd.errors import DatabaseError, StatementTimedOut
from taskd.store.connect import Connection, translate_errors

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


@contextmanager
def writing(pool: ConnectionPool[Connection], wait: float, most: float) -> Iterator[Connection]:
    """A connection in a transaction that commits when the block ends well.

    Waits at most `wait` seconds for a free connection, and gives each statement at most `most`.
    Raises DatabaseUnavailable, or StatementTimedOut for one that took longer.
    """
    with translate_errors():
        try:
            with pool.connection(timeout=wait) as connection, connection.transaction():
                connection.execute("SELECT taskd.limit_statements_v1(%s)", (most,))
                yield connection
        except pg.QueryCanceled as late:
            raise StatementTimedOut(most) from late


def is_read_only(error: DatabaseError) -> bool:
    """Whether the cause is that this user, or this server, only reads."""
    return isinstance(error.__cause__, pg.InsufficientPrivilege | pg.ReadOnlySqlTransaction)
