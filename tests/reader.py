"""Questions that a test asks a database again and again while it waits."""

from __future__ import annotations

from typing import Any

import psycopg


class Reader:
    """One connection for all questions: a new one each time costs both sides more than the answer.

    Each question is a transaction of its own. If the server has ended the connection, the next
    question opens another.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        connection = self._open()
        try:
            return connection.execute(statement.encode(), parameters).fetchall()
        except psycopg.OperationalError:
            if not connection.closed:
                raise
        return self._open().execute(statement.encode(), parameters).fetchall()

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True)
        return self._connection

    def close(self) -> None:
        """Close it; harmless when nothing was asked."""
        if self._connection is not None:
            self._connection.close()
