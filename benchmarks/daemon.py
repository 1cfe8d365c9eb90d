"""A real daemon on a database of its own, as a user would start it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from taskd.store import connect, schema
from taskd.store.embedded import Server, ensure_server, hold, wait_until_stopped

PATIENCE = 120.0


@contextmanager
def embedded_server(max_connections: int = 100) -> Iterator[Server]:
    """The embedded PostgreSQL with its default durability (fsync on), in a temporary folder."""
    state_dir = tempfile.mkdtemp(prefix="taskd-bench-")
    Path(state_dir).chmod(0o755)
    os.environ.setdefault("TASKD_KEEPER_GRACE", "0.2")  # nobody comes back to it
    held = hold(state_dir)
    try:
        yield ensure_server(state_dir, max_connections)
    finally:
        held.release()
        wait_until_stopped(state_dir)
        shutil.rmtree(state_dir, ignore_errors=True)


def fresh_database(server: Server, name: str) -> str:
    """A new database with the schema; its DSN."""
    drop_database(server, name)
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    dsn = psycopg.conninfo.make_conninfo(server.dsn, dbname=name)
    with connect.connect(dsn) as connection:
        schema.install_or_upgrade(connection)
    return dsn


def drop_database(server: Server, name: str) -> None:
    """So that no vacuum of it falls into what is measured next."""
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextmanager
def running_daemon(
    dsn: str, *flags: str, statuses: Sequence[int] = (0,)
) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon until the block ends; its log goes to a temporary file shown on failure.

    It must end with one of `statuses`: with 1, too, where jobs are to fail.
    """
    with tempfile.TemporaryDirectory(prefix="taskd-bench-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "taskd", "--database", dsn, "--state-dir", folder, *flags]
        environment = {**os.environ, "TASKD_DATABASE": dsn}
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            status = process.wait(PATIENCE)
        if status not in statuses:
            raise SystemExit(f"the daemon ended with status {status}:\n{log.read_text()[-3000:]}")


def processes_of(dsn: str) -> list[dict[str, object]]:
    """The process tree, as `taskd workers --json` tells it."""
    command = [sys.executable, "-m", "taskd", "--database", dsn, "workers", "--json"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    found: list[dict[str, object]] = json.loads(shown.stdout)
    return found


def wait_for_workers(dsn: str, count: int) -> list[dict[str, object]]:
    """The process tree, once `count` workers of it are ready and the seeds have ended."""
    deadline = time.monotonic() + PATIENCE
    while True:
        tree = processes_of(dsn)
        ready = [
            one for one in tree if one["role"] == "worker" and one["state"] in ("idle", "ready")
        ]
        if len(ready) >= count and not any(one["role"] == "seed" for one in tree):
            return tree
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(ready)} of {count} workers were ready after {PATIENCE} s")
        time.sleep(0.2)


def wait_for_count(connection: psycopg.Connection[Any], table: str, count: int) -> None:
    """Return once a table of taskd has so many rows; on a connection that is open already."""
    statement = f"SELECT count(*) FROM taskd.{table}".encode()
    deadline = time.monotonic() + PATIENCE
    while (found := (connection.execute(statement).fetchone() or (0,))[0]) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{found} of {count} jobs were in {table} after {PATIENCE} s")
        time.sleep(0.05)
