"""Fixtures for pytest: `pytest_plugins = ["taskd.testing.fixtures"]` in your conftest.py."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from taskd.store import connect, schema
from taskd.tasks.client import configure
from taskd.testing.memory import MemoryJobs, collect, inline

SERVER_VARIABLE = "TASKD_TEST_DATABASE"


@pytest.fixture
def taskd_jobs() -> Iterator[MemoryJobs]:
    """Jobs in memory: see what was enqueued, and run it when you like."""
    with collect() as jobs:
        yield jobs


@pytest.fixture
def taskd_inline() -> Iterator[MemoryJobs]:
    """Each job runs at once, where it is enqueued."""
    with inline() as jobs:
        yield jobs


@pytest.fixture(scope="session")
def taskd_server() -> Iterator[str]:
    """The connection string of a server to make databases on.

    That of TASKD_TEST_DATABASE, whose role must be allowed to make them; else the embedded
    PostgreSQL, in a folder of its own that goes with the test run.
    """
    given = os.environ.get(SERVER_VARIABLE)
    if given:
        yield given
        return
    with _embedded() as dsn:
        yield dsn


@pytest.fixture
def taskd_database(taskd_server: str) -> Iterator[str]:
    """An empty database with taskd's schema, which this process enqueues into; its DSN."""
    name = f"taskd_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(taskd_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = psycopg.conninfo.make_conninfo(taskd_server, dbname=name)
        with closing(connect.connect(dsn)) as connection:
            schema.install_or_upgrade(connection)
        configure(database=dsn)
        try:
            yield dsn
        finally:
            configure()
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _embedded() -> Iterator[str]:
    from taskd.store.embedded import ensure_server, hold, wait_until_stopped

    with tempfile.TemporaryDirectory(prefix="taskd-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server runs as another user than root
        held = hold(folder)
        try:
            yield ensure_server(folder).dsn
        finally:
            held.release()
            wait_until_stopped(folder)
