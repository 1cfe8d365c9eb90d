"""What attempts used, with a real master: each is charged what it used, and not its neighbours'."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from taskd.store import jobs
from taskd.store.rows import NewJobs
from tests.conftest import TestServer
from tests.process.daemon import Project, project_on
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io: {queues: [default], greenlets: 5}
  cpu: {queues: [cpu]}
"""
SHOP = """
import time

import gevent

from taskd import RetryLater, current_job, task

KEPT = []


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def burn_in_turns(seconds):
    for _ in range(20):
        burn(seconds / 20)
        time.sleep(0.001)


def burn_in_child(seconds):
    gevent.spawn(burn, seconds).join()


def nap(seconds):
    time.sleep(seconds)


def keep(size):
    KEPT.append(bytearray(b"x" * size))


@task(retry=1)
def burn_and_retry(seconds):
    burn(seconds)
    if current_job().attempt == 1:
        raise RetryLater(0)
"""


@pytest.fixture(scope="module")
def project(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    with project_on(embedded_server, tmp_path_factory.mktemp("usage"), CONFIG, SHOP) as project:
        yield project


def ended(project: Project, *jobs: int) -> list[dict[str, Any]]:
    """The jobs as `jobs show --json` has them, once they have ended."""
    wanted = len(jobs)
    query = "SELECT count(*) FROM taskd.history WHERE id = ANY (%s)"
    eventually(lambda: project.query(query, list(jobs)) == [(wanted,)])
    return [json.loads(project.taskd("jobs", "show", str(job), "--json").stdout) for job in jobs]


def test_jobs_that_take_turns_are_charged_what_each_has_used(project: Project) -> None:
    (long,) = project.enqueue_many("shop.burn_in_turns", [(0.4,)])
    (short,) = project.enqueue_many("shop.burn_in_turns", [(0.1,)])
    (nap,) = project.enqueue_many("shop.nap", [(0.5,)])

    used = [job["cpu_seconds"] for job in ended(project, long, short, nap)]

    assert used[0] == pytest.approx(0.4, rel=0.25)
    assert used[1] == pytest.approx(0.1, rel=0.25)
    assert used[2] < 0.03


def test_what_a_job_has_spawned_is_charged_to_it(project: Project) -> None:
    (job,) = project.enqueue_many("shop.burn_in_child", [(0.3,)])

    (shown,) = ended(project, job)

    assert shown["cpu_seconds"] == pytest.approx(0.3, rel=0.25)
    assert shown["memory_growth"] is None


def test_a_process_is_charged_its_time_and_what_it_keeps(project: Project) -> None:
    (burn,) = project.enqueue_many("shop.burn", [(0.2,)], "cpu")
    (keep,) = project.enqueue_many("shop.keep", [(40_000_000,)], "cpu")

    burnt, kept = ended(project, burn, keep)

    assert burnt["cpu_seconds"] == pytest.approx(0.2, rel=0.25)
    assert kept["memory_growth"] == pytest.approx(40_000_000, rel=0.1)
    assert abs(burnt["memory_growth"]) < 4_000_000
    shown = project.taskd("jobs", "show", str(keep)).stdout
    told = re.search(r" of CPU, \+([0-9.]+) MB of memory", shown)
    assert told is not None, shown
    assert float(told[1]) * 1e6 == pytest.approx(kept["memory_growth"], rel=0.02)


def test_an_attempt_that_did_not_end_its_job_is_charged_too(project: Project) -> None:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        new = NewJobs("shop.burn_and_retry", ["[0.1]"], [None], max_attempts=2)
        (job,) = jobs.enqueue_jobs(connection, new)

    (shown,) = ended(project, job)

    (attempt,) = shown["attempts"]
    assert attempt["cpu_seconds"] == pytest.approx(0.1, rel=0.3)
    assert shown["cpu_seconds"] == pytest.approx(0.1, rel=0.3)


def test_the_hungriest_tasks_come_first(project: Project) -> None:
    (job,) = project.enqueue_many("shop.burn", [(1.5,)], "cpu")
    ended(project, job)

    told = json.loads(project.taskd("stats", "--hungriest", "--json").stdout)

    assert told[0]["name"] == "shop.burn"
    assert told[0]["cpu_seconds"] > 1.4
    assert "shop.burn" in project.taskd("stats", "--hungriest").stdout
