"""One worker is drained or stopped by order: no job is lost, and another stands in its place."""

from __future__ import annotations

import json

import pytest

from tests.process.daemon import Project
from tests.waiting import eventually

SHOP = """
import time
from pathlib import Path

from taskd import task


@task
def wait_for(path):
    Path(path + ".begun").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    return "done"
"""


def test_a_worker_that_is_drained_ends_its_job_while_another_takes_the_next(
    project: Project,
) -> None:
    project.write("taskd.yaml", "imports: [shop]\npools: {io: {processes: 1, greenlets: 5}}\n")
    project.write("shop.py", SHOP)
    daemon = project.start()
    job = project.enqueue("shop.wait_for", str(project.folder / "gate"))
    eventually(lambda: project.query("SELECT 1 FROM taskd.running"))
    (old,) = daemon.pids("worker")

    said = project.taskd("workers", "drain", "io/0", "--json")
    (project.folder / "open").touch()
    eventually(lambda: "draining" in {one["state"] for one in daemon.tree()})
    other = project.enqueue("shop.wait_for", str(project.folder / "open"))

    assert json.loads(said.stdout).keys() == {"worker", "pool", "slot", "host"}, said.stderr
    eventually(lambda: project.query("SELECT 1 FROM taskd.history WHERE id = %s", other))
    (worker,) = project.query("SELECT worker FROM taskd.running WHERE id = %s", job)
    assert project.query("SELECT worker FROM taskd.history WHERE id = %s", other) != [worker]
    (project.folder / "gate").touch()
    eventually(
        lambda: daemon.pids("worker") not in ([], [old]) and old not in daemon.pids("worker")
    )
    project.wait_for_states(succeeded=2)
    assert project.query("SELECT attempt FROM taskd.job WHERE id = %s", job) == [(1,)]
    assert project.query("SELECT end_reason FROM taskd.worker WHERE pid = %s", old) == [
        ("it was ordered to",)
    ]
    again = project.taskd("workers", "drain", "io/7")
    assert (again.returncode, "no worker io/7 runs" in again.stderr) == (1, True)


@pytest.mark.parametrize("greenlets", [", greenlets: 5", ""])
def test_a_worker_that_is_stopped_gives_its_job_back_and_another_runs_it(
    project: Project, greenlets: str
) -> None:
    project.write("taskd.yaml", f"imports: [shop]\npools: {{io: {{processes: 1{greenlets}}}}}\n")
    project.write("shop.py", SHOP)
    daemon = project.start()
    job = project.enqueue("shop.wait_for", str(project.folder / "gate"))
    eventually((project.folder / "gate.begun").exists)
    (first,) = project.query("SELECT worker FROM taskd.running")

    said = project.taskd("workers", "stop", "io/0")

    assert "stops, and what it runs is given back" in said.stdout, said.stderr
    eventually(lambda: project.query("SELECT worker FROM taskd.running") not in ([], [first]))
    (project.folder / "gate").touch()
    project.wait_for_states(succeeded=1)
    assert project.query("SELECT attempt, losses FROM taskd.job WHERE id = %s", job) == [(1, 0)]
    assert project.query("SELECT end_reason FROM taskd.worker WHERE id = %s", *first) == [
        ("it was ordered to stop",)
    ]
    assert len(daemon.pids("worker")) == 1
