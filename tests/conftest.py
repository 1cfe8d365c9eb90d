"""Real servers for every test that asks: a fresh database with the schema for each `dsn`."""

from __future__ import annotations

import compileall
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from taskd.store import connect, schema
from taskd.store.connect import Connection
from tests import servers

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_ROOT = Path(__file__).parents[1]
_STARTED = ("taskd", "tests/process/fakes")
_TEMPLATE = "taskd_template"
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Compile once what the processes of tests run: some thousand processes would, each for itself.

    PYTHONDONTWRITEBYTECODE does not speak of this; git ignores what it leaves.
    """
    if not hasattr(config, "workerinput"):
        for folder in _STARTED:
            compileall.compile_dir(_ROOT / folder, quiet=2)


class TestServer:
    """A server with a template database that holds the schema."""

    __test__ = False

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._admin = psycopg.connect(dsn, autocommit=True)
        self._admin.execute("ALTER SYSTEM SET fsync = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._create(_TEMPLATE, template="template0")
        with closing(connect.connect(self.of(_TEMPLATE))) as connection:
            schema.install_or_upgrade(connection)

    def of(self, database: str) -> str:
        """The DSN of one database."""
        return psycopg.conninfo.make_conninfo(self.dsn, dbname=database)

    def create(self, template: str = _TEMPLATE) -> str:
        """A new database; its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self._create(name, template)
        return name

    def _create(self, name: str, template: str) -> None:
        self._admin.execute(
            # Copied as files: through the log it would take seven times as long.
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )

    def drop(self, name: str) -> None:
        """End the database and whoever is still connected to it."""
        self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Leave the server."""
        self._admin.close()


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[TestServer]:
    """The embedded PostgreSQL, in a state directory of this test run."""
    from taskd.store.embedded import ensure_server, hold, wait_until_stopped

    state_dir = tempfile.mkdtemp(prefix="taskd-tests-", dir=servers.fast_disk())
    Path(state_dir).chmod(0o755)
    os.environ["TASKD_KEEPER_GRACE"] = "0.2"
    held = hold(state_dir)
    try:
        server = TestServer(ensure_server(state_dir, max_connections=200).dsn)
        yield server
        server.close()
    finally:
        held.release()
        wait_until_stopped(state_dir)
        shutil.rmtree(state_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def debian_server() -> Iterator[TestServer]:
    """Debian's PostgreSQL 15."""
    running = servers.start_debian_postgres()
    server = TestServer(running.dsn)
    yield server
    server.close()
    running.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> TestServer:
    """The server under a test: embedded, unless the test's folder asks for more."""
    name = getattr(request, "param", "embedded_server")
    found = request.getfixturevalue(name)
    assert isinstance(found, TestServer)
    return found


@pytest.fixture
def dsn(server: TestServer) -> Iterator[str]:
    """A fresh database with the schema, dropped afterwards."""
    name = server.create()
    yield server.of(name)
    server.drop(name)


@pytest.fixture
def empty_dsn(server: TestServer) -> Iterator[str]:
    """A fresh database with nothing in it, dropped afterwards."""
    name = server.create(template="template0")
    yield server.of(name)
    server.drop(name)


@pytest.fixture
def connect_again(dsn: str) -> Iterator[Callable[[], Connection]]:
    """Opens further connections to the test's database and closes them all."""
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(connect.connect(dsn))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect_again: Callable[[], Connection]) -> Connection:
    """A connection to the test's database."""
    return connect_again()
