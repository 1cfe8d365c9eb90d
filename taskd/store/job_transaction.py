"""What a job writes with that ends in its own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import psycopg
from psycopg import Cursor
from psycopg.rows import RowFactory, TupleRow

from taskd.store.connect import Connection

if TYPE_CHECKING:
    from psycopg.abc import Params, Query, QueryNoTemplate

Row = TypeVar("Row")


class JobTransaction:
    """The transaction that a job ends in: write with it; `result` is what the job returns.

    `connection` is the psycopg connection to hand on, to what asks for one.
    """

    __slots__ = ("connection", "result")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.result: Any = None

    def execute(
        self, query: QueryNoTemplate, params: Params | None = None, *, binary: bool = False
    ) -> Cursor[TupleRow]:
        """Execute a statement; the cursor to fetch from. Raises psycopg's errors."""
        return self.connection.execute(query, params, binary=binary)

    def executemany(self, query: Query, params_seq: Iterable[Params]) -> None:
        """Execute a statement once for each of these parameters. Raises psycopg's errors."""
        with self.connection.cursor() as cursor:
            cursor.executemany(query, params_seq)

    @overload
    def cursor(self) -> Cursor[TupleRow]: ...
    @overload
    def cursor(self, *, row_factory: RowFactory[Row]) -> Cursor[Row]: ...
    def cursor(self, *, row_factory: RowFactory[Any] | None = None) -> Cursor[Any]:
        """A cursor of the connection; its rows are tuples unless a factory is given."""
        if row_factory is None:
            return self.connection.cursor()
        return self.connection.cursor(row_factory=row_factory)


CallersConnection: TypeAlias = psycopg.Connection[Any] | JobTransaction
"""What a caller enqueues with: a connection, or the transaction that its job ends in."""
