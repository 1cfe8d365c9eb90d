"""The calls of psycopg that wait for a server, and what each waits for: for those who time them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from taskd.store.prepared import Prepared

LONGEST = 200
"""Of a longer statement only the beginning is named, in characters."""

Name = Callable[..., tuple[str, str]]
"""Of a call with these arguments: for which server, and for what."""


def calls_that_wait() -> Iterator[tuple[Any, str, Name]]:
    """The owner of each, its name there, and how its calls are named."""
    yield psycopg.Cursor, "execute", _statement
    yield psycopg.Cursor, "executemany", _statement
    yield Prepared, "call", _prepared
    yield psycopg.Connection, "commit", lambda connection: (_server(connection), "COMMIT")
    yield psycopg.Connection, "rollback", lambda connection: (_server(connection), "ROLLBACK")
    yield psycopg.Connection, "connect", _to_connect
    yield psycopg, "connect", _to_connect


def _to_connect(*args: Any, **kwargs: Any) -> tuple[str, str]:
    return "PostgreSQL", "to connect"


def _server(connection: psycopg.Connection[Any]) -> str:
    info = connection.info
    return f"{info.host or 'PostgreSQL'}:{info.port}/{info.dbname}"


def _statement(
    cursor: psycopg.Cursor[Any], query: Any, *args: Any, **kwargs: Any
) -> tuple[str, str]:
    text = query.as_string(cursor) if hasattr(query, "as_string") else query
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return _server(cursor.connection), _shown(text)


def _prepared(
    statement: Prepared, connection: psycopg.Connection[Any], *args: Any, **kwargs: Any
) -> tuple[str, str]:
    return _server(connection), _shown(statement.query)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
