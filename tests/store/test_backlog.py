from __future__ import annotations

from typing import Any

import pytest

from taskd.store import queues
from taskd.store import statistics as stats
from taskd.store.connect import Connection
from tests.store.makers import add_host, add_jobs, add_worker, claim
from tests.store.test_plans import rows_read

FILL = """
INSERT INTO taskd.queued
    (seq, id, created_at, lane, priority, attempt, max_attempts, queue, task, args)
SELECT n, n, now(), 5, 5, 0, 1, 'bulk', 'shop.sync', '[]'
FROM (SELECT nextval('taskd.job_seq') AS n FROM generate_series(1, %s)) s
"""
SCHEDULE = """
INSERT INTO taskd.scheduled
    (run_at, id, created_at, priority, attempt, max_attempts, queue, task, args)
SELECT now() + n * interval '1 second', n, now(), 5, 0, 1, 'bulk', 'shop.sync', '[]'
FROM generate_series(1, %s) n
"""


def backlog(connection: Connection, queue: str = "default", requires: str | None = None) -> Any:
    (found,) = [
        each
        for each in stats.fetch_backlog(connection)
        if (each.queue, each.requires) == (queue, requires)
    ]
    return found


def test_the_backlog_is_told_by_state_with_its_age(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 1)
    claim(connection, worker)
    add_jobs(connection, 3)
    add_jobs(connection, 2, delay=3600.0)
    connection.execute("UPDATE taskd.queued SET created_at = now() - id % 3 * interval '1 hour'")

    found = backlog(connection)

    assert (found.queued, found.scheduled, found.running) == (3, 2, 1)
    assert found.is_exact
    assert found.queued_seconds == pytest.approx(7200.0, abs=30.0)
    assert found.overdue_seconds is None
    assert found.blocked_seconds is None


def test_what_a_paused_queue_holds_is_not_runnable(connection: Connection) -> None:
    add_jobs(connection, 3)
    add_jobs(connection, 2, delay=3600.0)
    assert backlog(connection).runnable == 3

    queues.pause_queue(connection, "default")

    assert backlog(connection).runnable == 0
    assert backlog(connection).queued == 3


def test_what_requires_code_that_nobody_runs_is_not_runnable(connection: Connection) -> None:
    add_jobs(connection, 2, queue="default@v2")
    host = add_host(connection)
    assert backlog(connection, requires="v2").runnable == 2  # a worker that starts may offer it

    add_worker(connection, host, pid=1, offers=["v1"])
    assert backlog(connection, requires="v2").runnable == 0

    add_worker(connection, host, pid=2, offers=["v2"])
    assert backlog(connection, requires="v2").runnable == 2


def test_a_queue_that_is_only_known_by_name_is_shown_empty(connection: Connection) -> None:
    queues.pause_queue(connection, "mail")

    found = backlog(connection, "mail")

    assert found.paused
    assert (found.queued, found.runnable, found.queued_seconds) == (0, 0, None)


def test_small_queues_are_exact_beside_one_that_is_estimated(connection: Connection) -> None:
    connection.execute(FILL, (20_000,))
    add_jobs(connection, 7)

    found = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT part, jobs, is_exact FROM taskd.backlog_v1(1000, 50) WHERE state = 'queued'"
        )
    }

    assert found["default"] == (7, True)
    jobs, is_exact = found["bulk"]
    assert not is_exact
    assert jobs == pytest.approx(20_000, rel=0.7)  # of 300 pages 50 were drawn


def test_what_is_read_for_the_backlog_is_bounded(connection: Connection) -> None:
    connection.execute(FILL, (30_000,))
    connection.execute(SCHEDULE, (30_000,))

    with connection.transaction():
        before = rows_read(connection, "queued") + rows_read(connection, "scheduled")
        connection.execute("SELECT * FROM taskd.backlog_v1(1000, 20)").fetchall()
        read = rows_read(connection, "queued") + rows_read(connection, "scheduled") - before

    assert read < 15_000


def test_the_backlog_of_a_minute_is_noted_once(connection: Connection) -> None:
    add_jobs(connection, 4)
    with connection.transaction():  # so that it is one minute
        assert stats.note_backlog(connection)
        assert not stats.note_backlog(connection)

    (point,) = stats.backlog_curve(connection, 900.0, 60.0)

    assert (point.queue, point.state, point.jobs, point.is_exact) == ("default", "queued", 4, True)


def test_of_the_backlog_of_an_hour_the_worst_is_kept(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO taskd.backlog SELECT date_trunc('hour', now() - interval '3 days', 'UTC') "
        "+ n * interval '1 minute', 'default', 'queued', n, n <> 7, n FROM generate_series(0, 30) n"
    )

    stats.thin_statistics(connection)

    (point,) = stats.backlog_curve(connection, 5 * stats.DAY, 3600.0)
    assert (point.jobs, point.is_exact, point.age) == (30, False, 30.0)
