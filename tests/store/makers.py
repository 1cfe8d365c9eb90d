"""Short ways to put a database into the state that a test starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import psycopg

from taskd.store import hosts, jobs
from taskd.store.literals import integer_array, text_array
from taskd.store.rows import NewJobs

AnyConnection = psycopg.Connection[Any]


def add_jobs(connection: AnyConnection, count: int = 1, **options: Any) -> list[int]:
    """Enqueue `count` jobs of shop.sync with the arguments 0, 1, 2, …"""
    arguments = [json.dumps([number]) for number in range(count)]
    return jobs.enqueue_jobs(connection, NewJobs("shop.sync", arguments, [None] * count, **options))


def add_worker(
    connection: AnyConnection,
    host: int | None = None,
    pid: int = 1,
    offers: Sequence[str] = (),
    queues: Sequence[str] = (),
) -> int:
    """Register a worker, on a host of its own unless one is given."""
    if host is None:
        host = add_host(connection)
    worker = hosts.register_worker(connection, host, pid, "io", 0, 1, offers, queues=queues)
    assert worker is not None
    return worker


def add_host(connection: AnyConnection) -> int:
    return hosts.register_host(connection, uuid4(), "here", 1, "0")


def lanes(*wanted: tuple[str, int, int]) -> tuple[str, str, str]:
    """(queue, lane, mark) … as claim_jobs takes them; if none, those that jobs of tests wait in."""
    chosen = wanted or (
        ("default", 11, 0),
        ("default", 10, 0),
        ("default", 5, 0),
        ("default", 25, 0),
    )
    queues, numbers, marks = zip(*chosen, strict=True)
    return text_array(queues), integer_array(numbers), integer_array(marks)


def claim(
    connection: AnyConnection, worker: int, count: int = 100, *wanted: Any, recoveries: int = 0
) -> list[list[Any]]:
    """Claim and insist that the worker is alive."""
    rows = jobs.claim_jobs(connection, worker, lanes(*wanted), count, recoveries=recoveries)
    assert rows is not None
    return rows


def ids_of(rows: Sequence[Sequence[Any]]) -> list[int]:
    return [row[0] for row in rows]


def fence_of(row: Sequence[Any]) -> int:
    return int(row[3])


def places(connection: AnyConnection, job: int) -> list[str]:
    """In which tables a job is: one, whatever happened."""
    found = []
    for table in ("queued", "scheduled", "blocked", "running", "history"):
        statement = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE id = %s").format(
            psycopg.sql.Identifier("taskd", table)
        )
        row = connection.execute(statement, (job,)).fetchone()
        assert row is not None
        found += [table] * row[0]
    return found


def notifications(connection: AnyConnection) -> list[object]:
    """What has been notified until now: our own marker is the last to arrive."""
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_notify('taskd', '\"end\"')")
    payloads: list[object] = []
    for notice in connection.notifies(timeout=10):
        if notice.payload == '"end"':
            return payloads
        payloads.append(json.loads(notice.payload))
    raise AssertionError("the marker did not arrive")
