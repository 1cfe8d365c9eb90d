"""Live stacks with a real master: of jobs that wait, that compute, that are in C, in both pools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskd.tasks.stacks import WorkerStacks, stacks_of_job, stacks_of_workers
from tests.conftest import TestServer
from tests.process.daemon import Project, project_on
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io: {queues: [default], greenlets: 5, hub_warn: 60s, shutdown_timeout: 500ms, kill_grace: 500ms}
  hog: {queues: [hog], greenlets: 5, hub_warn: 60s, shutdown_timeout: 500ms, kill_grace: 500ms}
  c: {queues: [c], greenlets: 5, hub_warn: 60s, shutdown_timeout: 500ms, kill_grace: 500ms}
  cpu: {queues: [cpu], shutdown_timeout: 500ms, kill_grace: 500ms}
"""
SHOP = """
import itertools
import time
import weakref

import gevent


class Gone:
    pass


dead = weakref.proxy(Gone())  # whoever asks it for its class is answered with an exception


def nap(path):
    dead = weakref.proxy(Gone())
    open(path, "w").close()
    time.sleep(600)


def nap_in_child(path):
    gevent.spawn(nap, path).join()


def spin(path):
    open(path, "w").close()
    while True:
        pass


def spin_in_c(path):
    open(path, "w").close()
    sum(itertools.repeat(1, 10**12))


def add(path):
    return 1
"""


@pytest.fixture(scope="module")
def project(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    with project_on(embedded_server, tmp_path_factory.mktemp("stacks"), CONFIG, SHOP) as project:
        yield project


def begin(project: Project, task: str, queue: str = "default") -> int:
    """Enqueue a job that does not end, and wait until it runs."""
    mark = project.folder / f"{task}-{len(list(project.folder.iterdir()))}"
    (job,) = project.enqueue_many(f"shop.{task}", [(str(mark),)], queue)
    eventually(mark.exists)
    return job


def ask(project: Project, job: int) -> WorkerStacks:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        found = stacks_of_job(connection, job)
    assert found is not None
    return found


def last_line(found: WorkerStacks, number: int = 0) -> str:
    """The code of the user's line where a job stands."""
    own = [frame for frame in found.stacks[number].frames if Path(frame.file).name == "shop.py"]
    return own[-1].code


def test_a_job_that_waits_stands_where_it_waits(project: Project) -> None:
    job = begin(project, "nap")

    found = ask(project, job)

    (stack,) = found.stacks
    assert (stack.task, stack.runs, last_line(found)) == ("shop.nap", False, "time.sleep(600)")
    assert stack.frames[0].function == "nap"  # and nothing of the worker before


def test_what_a_job_has_spawned_is_shown_with_it(project: Project) -> None:
    job = begin(project, "nap_in_child")

    found = ask(project, job)

    lines = {last_line(found, number) for number in range(len(found.stacks))}
    assert lines == {"gevent.spawn(nap, path).join()", "time.sleep(600)"}


def test_a_job_that_lets_no_other_run_is_seen_with_those_that_wait_for_it(
    project: Project,
) -> None:
    waiting = begin(project, "nap", "hog")
    hog = begin(project, "spin", "hog")

    found = ask(project, hog)
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        (whole,) = stacks_of_workers(connection, "hog")

    (stack,) = found.stacks
    assert (stack.runs, found.note) == (True, "")
    assert last_line(found) in ("while True:", "pass")
    assert last_line(whole.of_job(waiting)) == "time.sleep(600)"


def test_a_job_that_computes_in_c_is_seen_and_its_neighbours_are_named(project: Project) -> None:
    waiting = begin(project, "nap", "c")
    hog = begin(project, "spin_in_c", "c")

    found = ask(project, hog)
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        (whole,) = stacks_of_workers(connection, "c")

    assert last_line(found) == "sum(itertools.repeat(1, 10**12))"
    assert found.stacks[0].task == "shop.spin_in_c"
    assert "executes no Python" in found.note
    assert waiting in [stack.job for stack in whole.stacks]


def test_a_job_of_a_process_pool_stands_somewhere_too(project: Project) -> None:
    job = begin(project, "nap", "cpu")

    found = ask(project, job)

    assert last_line(found) == "time.sleep(600)"
    assert found.stacks[0].runs


def test_the_command_shows_a_job_and_leaves_nothing_behind(project: Project) -> None:
    job = begin(project, "nap")

    shown = project.taskd("stacks", str(job))
    told: list[dict[str, Any]] = json.loads(project.taskd("stacks", "io", "--json").stdout)

    assert f"job {job} shop.nap, running for" in shown.stdout
    assert "time.sleep(600)" in shown.stdout
    assert job in [stack["job"] for stack in told[0]["stacks"]]
    assert project.query("SELECT count(*) FROM taskd.request") == [(0,)]


def test_a_job_that_does_not_run_stands_nowhere(project: Project) -> None:
    (job,) = project.enqueue_many("shop.add", [("",)])
    eventually(lambda: project.query("SELECT 1 FROM taskd.history WHERE id = %s", job))

    shown = project.taskd("stacks", str(job))

    assert shown.returncode == 1
    assert f"job {job} is succeeded: only a job that runs stands somewhere" in shown.stderr
