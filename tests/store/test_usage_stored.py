from __future__ import annotations

import pytest

from taskd.store import jobs, statistics
from taskd.store.connect import Connection
from taskd.store.look import fetch_attempts, fetch_job
from taskd.store.rows import JobEnd, JobRetry
from taskd.store.statistics import By
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of


def test_what_an_attempt_used_is_kept_with_it_and_summed_by_task(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 3, max_attempts=3)
    first, second, third = claim(connection, worker)

    done = JobEnd(first[0], fence_of(first), 0.5, "s", None, None, None, 250_000)
    jobs.complete_jobs(connection, worker, [done])
    end = JobEnd(second[0], fence_of(second), 0.5, "f", None, "boom", None, 1_500_000, 4096)
    jobs.complete_jobs(connection, worker, [end])
    again = JobRetry(third[0], fence_of(third), 0.5, "r", 60.0, "boom", None, False, 2_000, -4000)
    jobs.retry_jobs(connection, worker, [again])

    shown = [fetch_job(connection, job) for job in ids_of([first, second, third])]
    used = [(job.cpu_seconds, job.memory_growth) for job in shown if job is not None]
    assert used == [(0.25, None), (1.5, 4096), (None, None)]
    (attempt,) = fetch_attempts(connection, third[0])
    assert (attempt.cpu_seconds, attempt.memory_growth) == (pytest.approx(0.002), -4000)
    statistics.roll_up(connection)
    (task,) = statistics.summarize(connection, 3600.0, By.TASK)
    assert task.counts.cpu_seconds == pytest.approx(1.752)
    assert task.counts.memory_growth == 96


def test_what_succeeds_within_a_millisecond_is_charged_the_time_it_took(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 3)
    rows = claim(connection, worker)

    durations, cpus = [0.0004, 0.5, 0.5], [None, None, 250_000]
    fences = [fence_of(row) for row in rows]
    jobs.complete_succeeded(connection, worker, ids_of(rows), fences, durations, cpus)

    shown = [fetch_job(connection, row[0]) for row in rows]
    assert [job and job.cpu_seconds for job in shown] == [pytest.approx(0.0004), None, 0.25]
    statistics.roll_up(connection)
    (task,) = statistics.summarize(connection, 3600.0, By.TASK)
    assert task.counts.cpu_seconds == pytest.approx(0.2504)
