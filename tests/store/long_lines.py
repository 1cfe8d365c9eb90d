"""Databases in which thousands wait, copied for each test that asks how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from taskd.store import connect
from taskd.store.connect import Connection
from tests.conftest import TestServer

Templates = dict[TestServer, str]
"""What is copied on each server; it ends with the server."""


@contextmanager
def copied(
    server: TestServer, templates: Templates, fill: Callable[[Connection], None], statistics: str
) -> Iterator[Connection]:
    """A copy of what `fill` makes once a server; `statistics`: "analyzed" or "never analyzed"."""
    if server not in templates:
        templates[server] = server.create()
        with closing(connect.connect(server.of(templates[server]))) as connection:
            keep_without_statistics(connection)
            fill(connection)
    name = server.create(template=templates[server])
    with closing(connect.connect(server.of(name))) as connection:
        if statistics == "analyzed":
            connection.execute("ANALYZE")
        yield connection
    server.drop(name)


def keep_without_statistics(connection: Connection) -> None:
    """Until they are analyzed, the planner knows nothing of the tables of what waits."""
    connection.execute(
        "ALTER TABLE taskd.line SET (autovacuum_enabled = off);"
        "ALTER TABLE taskd.blocked SET (autovacuum_enabled = off);"
        "ALTER TABLE taskd.resource SET (autovacuum_enabled = off)"
    )
