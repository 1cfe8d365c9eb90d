"""What the tests of maintenance share: links that are closed, clocks that are turned by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from taskd.store.connect import Connection
from taskd.store.host_rows import Beat
from taskd.store.shared import SharedLink
from tests.crew import Crew

CALM = Beat(True, {}, None, None, 0, frozenset(), lanes=())
"""A beat that has found nothing waiting."""

MakeLink = Callable[[], SharedLink]


@pytest.fixture
def make_link(dsn: str) -> Iterator[MakeLink]:
    """Makes links to the test's database and closes them all."""
    made: list[SharedLink] = []

    def make() -> SharedLink:
        made.append(SharedLink(lambda: dsn, f"test {len(made)}", 10.0))
        return made[-1]

    yield make
    for link in made:
        link.close()


@pytest.fixture
def crew() -> Crew:
    return Crew()


class Clock:
    """A clock that goes only when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def count(connection: Connection, statement: str) -> int:
    """The one number that a statement answers."""
    row = psycopg.Cursor(connection).execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def cut(admin: Connection, name: str) -> None:
    """End the server's side of all connections of this name."""
    admin.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE application_name = %s AND datname = current_database()",
        (name,),
    )
