"""Time limits, cancels and losses with a real master: each job ends, and only it is charged."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskd.store import jobs
from taskd.store.rows import NewJobs
from tests.conftest import TestServer
from tests.process.daemon import Project
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io:
    queues: [default]
    greenlets: 5
    hub_warn: 300ms
    hub_break: 1s
    hub_kill: 2s
    kill_grace: 500ms
    shutdown_timeout: 500ms
  patient:
    queues: [patient]
    greenlets: 5
    hub_warn: 300ms
    kill_grace: 500ms
    shutdown_timeout: 500ms
  cpu:
    queues: [cpu]
    kill_grace: 500ms
    shutdown_timeout: 500ms
max_crashes: 2
log: {level: debug}
"""
SHOP = """
import itertools
import time

from taskd import task


def nap(path, seconds):
    open(path, "w").close()
    time.sleep(seconds)


def spin(path, seconds=600.0):
    open(path, "w").close()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def spin_elsewhere(path):  # of its own, because a line is told of once a minute
    open(path, "w").close()
    end = time.thread_time() + 1.5
    while time.thread_time() < end:
        pass


def spin_in_c(path):
    open(path, "w").close()
    sum(itertools.repeat(1, 10**12))


def spin_elsewhere_in_c(path):
    spin_in_c(path)


def swallow(path):
    open(path, "w").close()
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass


def swallow_and_spin(path):
    open(path, "w").close()
    while True:
        try:
            while True:
                time.monotonic()
        except BaseException:
            pass


@task(on_interrupt="fail")
def careful(path):
    open(path, "w").close()
    time.sleep(600)


"""


class Shop:
    """A daemon with three pools of a worker each."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.project = Project(folder, dsn)
        self.project.write("taskd.yaml", CONFIG)
        self.project.write("shop.py", SHOP)
        self.daemon = self.project.start()
        self._paths = 0

    def run(self, task: str, *more: Any, **options: Any) -> int:
        """Enqueue a job of the shop, and wait until it has begun."""
        self._paths += 1
        path = self.project.folder / f"path-{self._paths}"
        arguments = json.dumps([str(path), *more])
        with psycopg.connect(self.project.dsn, autocommit=True) as connection:
            new = NewJobs(f"shop.{task}", [arguments], [None], **options)
            (job,) = jobs.enqueue_jobs(connection, new)
        try:
            eventually(path.exists)
        except AssertionError as error:
            raise AssertionError(f"{self.job(job)}\n{self.daemon.log()}") from error
        return job

    def cancel(self, job: int) -> None:
        with psycopg.connect(self.project.dsn, autocommit=True) as connection:
            assert jobs.cancel_jobs(connection, [job]) == {job: "cancelling"}

    def pid(self, pool: str) -> int:
        """The worker of a pool."""
        found = self.daemon.pids("worker", pool)
        assert len(found) == 1
        return found[0]

    def job(self, job: int) -> dict[str, Any]:
        shown = self.project.query("SELECT to_json(j) FROM taskd.job j WHERE id = %s", job)
        found: dict[str, Any] = shown[0][0]
        return found

    def wait_for(self, job: int, state: str, seconds: float = 20.0) -> dict[str, Any]:
        try:
            eventually(lambda: self.job(job)["state"] == state, seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.job(job)}\n{self.daemon.log()}") from error
        return self.job(job)

    def attempts(self, job: int) -> list[dict[str, Any]]:
        """Those that did not end it."""
        rows = self.project.query(
            "SELECT to_json(a) FROM taskd.attempt a WHERE job = %s ORDER BY fence", job
        )
        return [row[0] for row in rows]

    def assert_unharmed(self, job: int, given_back: bool = False) -> None:
        """It succeeded, and was charged nothing."""
        found = self.wait_for(job, "succeeded")
        assert (found["losses"], found["crashes"], found["attempt"]) == (0, 0, 1)
        assert [one["outcome"] for one in self.attempts(job)] == ["g"] * given_back

    def clear(self) -> None:
        """Leave the next test nothing that would come back."""
        for table in ("scheduled", "queued"):
            self.project.query(f"DELETE FROM taskd.{table} RETURNING id")
        eventually(lambda: not self.project.query("SELECT FROM taskd.running"), 30)


@pytest.fixture(scope="module")
def open_shop(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """One daemon for all tests that let it live."""
    name = embedded_server.create()
    opened = Shop(tmp_path_factory.mktemp("shop"), embedded_server.of(name))
    yield opened
    opened.project.close()
    embedded_server.drop(name)


@pytest.fixture
def shop(open_shop: Shop) -> Iterator[Shop]:
    yield open_shop
    open_shop.clear()


@pytest.fixture
def own_shop(tmp_path: Path, dsn: str) -> Iterator[Shop]:
    """A daemon for one test."""
    opened = Shop(tmp_path, dsn)
    yield opened
    opened.project.close()


# -- what ends with an exception inside the job ---------------------------------------------------


def test_a_job_that_blocks_the_hub_in_python_is_told_of_and_broken(shop: Shop) -> None:
    pid = shop.pid("io")
    neighbour = shop.run("nap", 2)

    hog = shop.run("spin")

    assert "HubBlocked: let no other job" in shop.wait_for(hog, "failed")["error"]
    shop.assert_unharmed(neighbour)
    warning = shop.daemon.wait_for_log(f"job {hog} (shop.spin) has let no other job run")
    assert "shop.py:16 in spin: work that computes belongs into a process pool" in warning
    assert f"job {hog} (shop.spin) is to end" in shop.daemon.log()
    assert shop.pid("io") == pid


def test_a_block_that_ends_by_itself_is_told_of_and_breaks_nothing(shop: Shop) -> None:
    hog = shop.run("spin_elsewhere", queue="patient")

    shop.assert_unharmed(hog)
    shop.daemon.wait_for_log(f"job {hog} (shop.spin_elsewhere) has let no other job run")


def test_a_hog_over_its_own_timeout_is_broken_then_and_not_later(shop: Shop) -> None:
    neighbour = shop.run("nap", 1, queue="patient")
    began = time.monotonic()

    hog = shop.run("spin", queue="patient", timeout=1.0)

    assert shop.wait_for(hog, "failed")["error"].startswith("JobTimeout: ")
    assert time.monotonic() - began < 4.0
    shop.assert_unharmed(neighbour)


def test_a_process_job_over_its_timeout_ends_and_its_worker_lives(shop: Shop) -> None:
    pid = shop.pid("cpu")

    late = shop.run("spin", queue="cpu", timeout=0.5)

    assert shop.wait_for(late, "failed")["error"] == (
        "JobTimeout: still running after its timeout of 0.5 s"
    )
    assert shop.pid("cpu") == pid


def test_cancels_end_cooperative_code_within_a_second(shop: Shop) -> None:
    running = [shop.run("nap", 600), shop.run("spin", queue="cpu")]
    began = time.monotonic()

    for job in running:
        shop.cancel(job)

    for job in running:
        shop.wait_for(job, "cancelled")
    assert time.monotonic() - began < 1.0


# -- what ends with its worker --------------------------------------------------------------------


def test_a_job_that_blocks_the_hub_in_c_is_killed_and_charged_alone(shop: Shop) -> None:
    neighbours = [shop.run("nap", 3) for _ in range(2)]

    hog = shop.run("spin_elsewhere_in_c")

    found = shop.wait_for(hog, "scheduled")
    assert (found["crashes"], found["losses"], found["attempt"]) == (1, 0, 0)
    (attempt,) = shop.attempts(hog)
    assert (attempt["outcome"], attempt["error"]) == ("k", f"job {hog} let no other job run")
    assert "in spin_in_c" in attempt["traceback"]
    for neighbour in neighbours:
        shop.assert_unharmed(neighbour, given_back=True)
    warning = shop.daemon.wait_for_log(f"job {hog} (shop.spin_elsewhere_in_c) has let")
    assert "in spin_in_c: work that computes" in warning
    shop.daemon.wait_for_log(f"job {hog} stood here:")


def test_a_job_that_goes_on_taking_workers_down_fails_as_poisoned(shop: Shop) -> None:
    hog = shop.run("spin_in_c")
    shop.wait_for(hog, "scheduled")
    shop.project.query("UPDATE taskd.scheduled SET run_at = now() RETURNING id")

    found = shop.wait_for(hog, "failed")

    assert found["error"].startswith("poisoned: its worker had to be killed 2 times")
    assert "in spin_in_c" in found["traceback"]


def test_a_hog_in_c_over_its_own_timeout_is_killed_after_its_grace(shop: Shop) -> None:
    neighbour = shop.run("nap", 3, queue="patient")

    hog = shop.run("spin_in_c", queue="patient", timeout=1.0)

    found = shop.wait_for(hog, "failed")
    assert found["error"] == (
        f"JobTimeout: job {hog} ran over its timeout and did not end; its worker was killed"
    )
    assert (found["crashes"], found["losses"]) == (1, 0)
    shop.assert_unharmed(neighbour, given_back=True)


@pytest.mark.parametrize("task", ["swallow", "swallow_and_spin"])
def test_a_job_that_swallows_its_timeout_is_ended_with_its_worker(shop: Shop, task: str) -> None:
    neighbour = shop.run("nap", 3, queue="patient")

    stubborn = shop.run(task, queue="patient", timeout=0.5, max_attempts=2)

    found = shop.wait_for(stubborn, "scheduled")
    assert (found["attempt"], found["crashes"]) == (1, 1)
    (attempt,) = shop.attempts(stubborn)
    assert attempt["outcome"] == "h"
    assert attempt["error"] == f"job {stubborn} ran over its timeout and did not end"
    assert f"in {task}" in attempt["traceback"]
    shop.assert_unharmed(neighbour, given_back=True)


def test_a_process_job_in_c_over_its_timeout_is_killed_and_its_attempt_counts(shop: Shop) -> None:
    late = shop.run("spin_in_c", queue="cpu", timeout=0.5, max_attempts=2)

    assert shop.wait_for(late, "scheduled")["attempt"] == 1
    (attempt,) = shop.attempts(late)
    assert attempt["outcome"] == "h"
    assert "in spin_in_c" in attempt["traceback"]


@pytest.mark.parametrize(
    ("task", "queue"), [("spin_in_c", "cpu"), ("spin_in_c", "patient"), ("swallow", "patient")]
)
def test_a_cancelled_job_that_does_not_end_is_cancelled_with_its_worker(
    shop: Shop, task: str, queue: str
) -> None:
    neighbour = shop.run("nap", 2, queue="patient")
    stubborn = shop.run(task, queue=queue, max_attempts=3)

    shop.cancel(stubborn)

    found = shop.wait_for(stubborn, "cancelled")
    assert f"job {stubborn} was cancelled and did not end" in found["error"]
    assert found["crashes"] == 0
    shop.assert_unharmed(neighbour, given_back=queue == "patient")


# -- what is nobody's fault -----------------------------------------------------------------------


def test_a_stopped_worker_is_not_judged(shop: Shop) -> None:
    pid = shop.pid("io")
    nap, late = shop.run("nap", 1), shop.run("nap", 600, timeout=1.0)

    os.kill(pid, signal.SIGSTOP)
    stopped_until = time.monotonic() + 3.0  # longer than hub_kill, and the timeout with its grace
    eventually(lambda: time.monotonic() > stopped_until)
    os.kill(pid, signal.SIGCONT)

    shop.assert_unharmed(nap)
    assert shop.wait_for(late, "failed")["crashes"] == 0
    assert shop.pid("io") == pid


def test_a_stop_gives_jobs_back_unless_their_tasks_say_otherwise(own_shop: Shop) -> None:
    careful_too = '{"on_interrupt": "fail"}'
    usual, careful = own_shop.run("nap", 600), own_shop.run("careful")
    stubborn = own_shop.run("swallow", queue="patient")
    in_c = own_shop.run("spin_in_c", queue="cpu", extra=careful_too)

    assert own_shop.daemon.stop() == 0, own_shop.daemon.log()

    for job in map(own_shop.job, (usual, stubborn)):
        assert (job["state"], job["attempt"]) == ("queued", 0)
        assert (job["losses"], job["crashes"]) == (0, 0)
    for job in map(own_shop.job, (careful, in_c)):
        assert job["state"] == "failed"
        assert job["error"].startswith("interrupted: ")


def test_what_must_not_run_twice_fails_when_its_worker_is_lost(shop: Shop) -> None:
    pid = shop.pid("io")
    once = shop.run("nap", 600, extra='{"on_lost": "fail"}', max_attempts=3)
    neighbour = shop.run("nap", 2)

    os.kill(pid, signal.SIGKILL)

    found = shop.wait_for(once, "failed")
    assert found["error"].startswith("lost: its worker is gone (killed by SIGKILL")
    assert shop.wait_for(neighbour, "succeeded")["losses"] == 1
