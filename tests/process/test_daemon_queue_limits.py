"""Limits of queues with a real daemon: exact, also when workers are killed, and evenly in time."""

from __future__ import annotations

import os
import signal
from datetime import datetime

import psycopg

from tests.process.daemon import Project
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools: {io: {processes: 2, greenlets: 25}}
queues:
  narrow: {concurrency: 2}
  paced: {rate: 10/s}
log: {level: debug}
"""
SHOP = """
import os

import psycopg

from taskd import current_job, task


@task
def pass_gate():
    with psycopg.connect(os.environ["TASKD_DATABASE"], autocommit=True) as connection:
        step = "INSERT INTO step (job, count) VALUES (%s, %s)"
        connection.execute(step, (current_job().id, 1))
        connection.execute("SELECT pg_advisory_lock_shared(7)")  # until the test opens the gate
        connection.execute(step, (current_job().id, -1))


@task
def pass_by():
    pass
"""
STEPS = """
CREATE TABLE step (job bigint, count integer, at timestamptz DEFAULT clock_timestamp())
"""
INSIDE = """
SELECT (SELECT count(*) FROM step WHERE count = 1), (SELECT count(*) FROM taskd.attempt)
"""
MOST_AT_ONCE = """
WITH moments AS (
    SELECT at, count FROM step
    UNION ALL SELECT ended_at, -1 FROM taskd.attempt   -- of those who were killed inside
)
SELECT max(n) FROM (SELECT sum(count) OVER (ORDER BY at, count) AS n FROM moments) counted
"""
WORKERS = "SELECT w.pid FROM taskd.running r JOIN taskd.worker w ON w.id = r.worker"
STARTS = """
SELECT ready_at, started_at FROM taskd.history WHERE queue = 'paced' ORDER BY ready_at
"""
READING = 0.05
"""Seconds that may pass between the moment a job is let on and the reading of the clock for it."""


def start(project: Project) -> None:
    project.write("taskd.yaml", CONFIG)
    project.write("shop.py", SHOP)
    project.execute(STEPS)
    project.start()


def inside(project: Project) -> tuple[int, int]:
    """How many have begun, and how many of them were killed."""
    ((begun, killed),) = project.query(INSIDE)
    return begun, killed


def test_no_more_run_at_once_than_the_file_says_whoever_is_killed(project: Project) -> None:
    start(project)
    (daemon,) = project.daemons
    with psycopg.connect(project.dsn, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(7)")
        project.enqueue_many("shop.pass_gate", [()] * 10, queue="narrow")
        project.wait_for_states(running=2, blocked=8)
        eventually(lambda: inside(project) == (2, 0))

        ((victim,), *_) = project.query(WORKERS)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: inside(project) in ((3, 1), (4, 2)))
        project.wait_for_states(running=2, blocked=8)
        ((before,),) = project.query(MOST_AT_ONCE)

        project.write("taskd.yaml", CONFIG.replace("concurrency: 2", "concurrency: 4"))
        daemon.signal(signal.SIGHUP)
        project.wait_for_states(running=4, blocked=6)
        eventually(lambda: inside(project)[0] - inside(project)[1] == 4)
        gate.execute("SELECT pg_advisory_unlock(7)")
    project.wait_for_states(succeeded=10)

    ((after,),) = project.query(MOST_AT_ONCE)
    assert (before, after) == (2, 4)


def test_jobs_of_a_queue_with_a_rate_begin_one_after_the_other(project: Project) -> None:
    start(project)

    ((before,),) = project.query("SELECT clock_timestamp()")
    project.enqueue_many("shop.pass_by", [()] * 20, queue="paced")
    project.wait_for_states(succeeded=20)

    admitted, began = zip(*project.query(STARTS), strict=True)
    assert len(admitted) == 20
    assert all(seconds(before, at) >= nth / 10 for nth, at in enumerate(admitted))
    assert all(seconds(*both) >= -READING for both in zip(admitted, began, strict=True))
    # One that was let on late may be followed by the next in time.
    assert all(
        seconds(admitted[first], admitted[last]) >= (last - first - 1) / 10 - READING
        for first in range(20)
        for last in range(first + 1, 20)
    )


def seconds(one: datetime, other: datetime) -> float:
    return (other - one).total_seconds()
