"""Waiting for the end of a job by notification, and without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing

import psycopg
import pytest

from taskd.store import jobs
from taskd.store.connect import Connection, connect
from taskd.store.waiters import wait_for_end
from tests.conftest import TestServer
from tests.servers import RunningServer, start_pgbouncer
from tests.store.makers import add_jobs, add_worker, claim, fence_of
from tests.waiting import eventually


@pytest.fixture
def waiting() -> Iterator[list[threading.Thread]]:
    """Threads that end with the test."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(20)


def another(dsn: str) -> Callable[[], AbstractContextManager[Connection]]:
    return lambda: closing(connect(dsn))


def wait_in_a_thread(dsn: str, job: int, waiting: list[threading.Thread]) -> threading.Thread:
    thread = threading.Thread(target=wait_for_end, args=(dsn, job, 20.0, another(dsn)))
    waiting.append(thread)
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["succeeded", "cancelled", "poisoned"])
def test_whoever_waits_hears_of_every_kind_of_end(
    connection: Connection, dsn: str, waiting: list[threading.Thread], end: str
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    thread = wait_in_a_thread(dsn, job, waiting)
    waiters = "SELECT count(*) FROM taskd.waiter"
    eventually(lambda: connection.execute(waiters).fetchone() == (1,))

    if end == "cancelled":
        jobs.cancel_jobs(connection, [job])
    else:
        (row,) = claim(connection, worker)
        if end == "succeeded":
            jobs.complete_succeeded(connection, worker, [job], [fence_of(row)], [0.1])
        else:
            connection.execute(
                "SELECT taskd.rescue_workers_v1(ARRAY[%s::bigint], 'gone', true, 1)", (worker,)
            )

    thread.join(3)  # the next look by itself would come after 5 s
    assert not thread.is_alive()
    assert connection.execute(waiters).fetchone() == (0,)


def test_a_job_that_has_ended_is_not_waited_for(connection: Connection, dsn: str) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    (row,) = claim(connection, worker)
    jobs.complete_succeeded(connection, worker, [job], [fence_of(row)], [0.1])

    began = time.monotonic()

    assert wait_for_end(dsn, job, 20.0, another(dsn))
    assert time.monotonic() - began < 5


@pytest.mark.one_server
def test_behind_a_pooler_it_is_found_that_no_notification_arrives(
    debian_server: TestServer,
) -> None:
    bouncer: RunningServer = start_pgbouncer(debian_server.dsn)
    name = debian_server.create()
    try:
        dsn = psycopg.conninfo.make_conninfo(bouncer.dsn, dbname=name)

        assert not wait_for_end(dsn, 1, 20.0, another(dsn))
    finally:
        bouncer.stop()
        debian_server.drop(name)
