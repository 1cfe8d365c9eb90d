"""Every test of the store that names `server`, `dsn` or `connection` runs on both servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import TestServer
from tests.store.homes import made_home

_EMPTY = """
DO $$ DECLARE name regclass; BEGIN
    FOR name IN
        SELECT c.oid FROM pg_class c
        WHERE c.relnamespace = 'taskd'::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition AND c.relname <> 'schema_version'
    LOOP
        EXECUTE format('DELETE FROM %s', name);
    END LOOP;
END $$
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames and not metafunc.definition.get_closest_marker(
        "one_server"
    ):
        metafunc.parametrize(
            "server", ["embedded_server", "debian_server"], indirect=True, ids=["pg18", "pg15"]
        )


@pytest.fixture(scope="session")
def first_data() -> Iterator[Path]:
    """A data directory as the first start of an embedded server makes it."""
    with made_home() as home:
        home.start()
        home.stop()
        yield Path(home.folder.data)


@pytest.fixture(scope="session")
def shared_databases() -> dict[TestServer, str]:
    """One database a server, for tests that use it one after the other; it ends with the server."""
    return {}


@pytest.fixture
def emptied_dsn(server: TestServer, shared_databases: dict[TestServer, str]) -> str:
    """A database that others have used, with no row left: quicker than a fresh one."""
    if server not in shared_databases:
        shared_databases[server] = server.create()
    dsn = server.of(shared_databases[server])
    with psycopg.connect(dsn, autocommit=True) as connection:
        empty_tables(connection)
    return dsn


def empty_tables(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Forget everything but the schema; for a few rows quicker than TRUNCATE."""
    connection.execute(_EMPTY)
