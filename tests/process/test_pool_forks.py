"""A job that forks: the child is no second worker, whatever it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.daemon import Project

SHOP = """
import os
import signal
import subprocess
import threading
import time

import gevent

from taskd import task


def note(path, what):
    with open(path, "a") as file:
        file.write(f"{what}\\n")


@task
def neighbour(path):
    for number in range(6):
        note(path, f"neighbour {number}")
        time.sleep(0.2)


@task
def fork(path, how):
    child = os.fork()
    if child == 0:
        time.sleep(0.5)
        thread = threading.Thread(target=time.sleep, args=(0.01,))
        thread.start()
        thread.join()
        word = gevent.spawn(lambda: "greenlet").get()
        said = subprocess.run(["echo", "program"], capture_output=True, text=True).stdout.strip()
        note(path, f"child {word} {said}")
        if how == "raises":
            raise ValueError("in the child")
        if how == "exits":
            raise SystemExit(0)
        return None
    return wait(child)


def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


LOCK = threading.Lock()


@task
def hold():
    with LOCK:
        time.sleep(1.5)


@task(timeout=20)
def fork_and_wait_in_vain():
    while not LOCK.locked():
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        LOCK.acquire()
    return wait(child)


@task(timeout=20)
def fork_in_thread():
    statuses = []

    def fork():
        child = os.fork()
        if child:
            statuses.append(wait(child))

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    return statuses[0]


@task(timeout=20)
def fork_and_terminate():
    child = os.fork()
    if child == 0:
        time.sleep(60)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    return wait(child)
"""


@pytest.mark.parametrize("pool", ["{processes: 1, greenlets: 5}", "{processes: 2}"])
def test_the_child_of_a_job_runs_nothing_of_its_neighbours_and_ends_with_its_task(
    project: Project, tmp_path: Path, pool: str
) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", f"imports: [shop]\npools: {{one: {pool}}}\n")
    path = tmp_path / "notes"
    daemon = project.start()
    project.enqueue("shop.neighbour", str(path))

    forks = {
        how: project.enqueue("shop.fork", str(path), how) for how in ("returns", "raises", "exits")
    }
    project.wait_for_states(succeeded=4)

    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(
        [f"neighbour {number}" for number in range(6)] + ["child greenlet program"] * 3
    )
    results = dict(project.query("SELECT id, result FROM taskd.job WHERE task = 'shop.fork'"))
    assert {how: results[job] for how, job in forks.items()} == {
        "returns": "0",
        "raises": "1",
        "exits": "1",
    }
    assert daemon.stop() == 0, daemon.log()


@pytest.mark.parametrize(
    ("pool", "tasks"),
    [
        (
            "{processes: 1, greenlets: 5}",
            {"hold": "null", "fork_and_wait_in_vain": "1", "fork_in_thread": "0",
             "fork_and_terminate": "-15"},
        ),
        ("{processes: 2}", {"fork_in_thread": "0", "fork_and_terminate": "-15"}),
    ],
)  # fmt: skip
def test_a_child_that_is_over_runs_nothing_of_its_worker(
    project: Project, pool: str, tasks: dict[str, str]
) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", f"imports: [shop]\npools: {{one: {pool}}}\n")
    daemon = project.start()

    for name in tasks:
        project.enqueue(f"shop.{name}")
    project.wait_for_states(succeeded=len(tasks))

    found = dict(project.query("SELECT task, result FROM taskd.job"))
    assert {name: found[f"shop.{name}"] or "null" for name in tasks} == tasks
    assert daemon.stop() == 0, daemon.log()
    assert "in run_worker" not in daemon.log()
