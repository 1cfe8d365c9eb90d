"""Reading for others to look at: one moment, nothing is written, and no statement takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import errors as pg

from taskd.errors import StatementTimedOut
from taskd.store.connect import Connection, translate_errors
from taskd.store.waits import one_moment

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


@contextmanager
def reading(pool: ConnectionPool[Connection], wait: float, most: float) -> Iterator[Connection]:
    """A connection in a transaction that only reads, of one moment.

    Waits at most `wait` seconds for a free connection, and gives each statement at most `most`.
    Raises DatabaseUnavailable, or StatementTimedOut for one that took longer.
    """
    with translate_errors():
        try:
            with pool.connection(timeout=wait) as connection, one_moment(connection):
                connection.execute("SELECT taskd.limit_statements_v1(%s)", (most,))
                yield connection
        except pg.QueryCanceled as late:
            raise StatementTimedOut(most) from late


def try_to_write(connection: Connection, write: Callable[[Connection], object]) -> bool:
    """Do what makes the next look a fresher one; False if this user, or this server, only reads.

    On a connection without a transaction, which a refusal would break.
    """
    try:
        write(connection)
    except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction):
        return False
    return True
