"""Two versions of the code at once: an old worker leaves a job it cannot run to a new one."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.process.daemon import Project, open_project
from tests.waiting import eventually

OLD = """
from taskd import task

@task(queue="sync")
def fetch():
    return "old"
"""
NEW = """
from taskd import task

@task(queue="sync", requires="v2")
def fetch():
    return "new"

@task(queue="sync")
def both():
    return "new"
"""
CONFIG = """
imports: [shop]
pools: {io: {queues: [sync], greenlets: 5}}
log: {level: debug}
"""


@contextmanager
def deployed(folder: Path, dsn: str, code: str) -> Iterator[Project]:
    """A machine with this code."""
    folder.mkdir()
    for project in open_project(folder, dsn):
        project.write("taskd.yaml", CONFIG)
        project.write("shop.py", code)
        yield project


@pytest.fixture
def machines(tmp_path: Path, dsn: str) -> Iterator[tuple[Project, Project]]:
    """One with the old code and one with the new, on one database."""
    with ExitStack() as stack:
        yield (
            stack.enter_context(deployed(tmp_path / "old", dsn, OLD)),
            stack.enter_context(deployed(tmp_path / "new", dsn, NEW)),
        )


def enqueue_as_new_code_does(project: Project, jobs: int) -> list[int]:
    """From a process that has the new code at hand, as a web app after its deploy."""
    (project.folder / "client.py").write_text(
        "import json, shop, taskd\n"
        f"print(json.dumps([job.id for job in taskd.enqueue_many(shop.fetch, [()] * {jobs})]))\n"
    )
    return [int(job) for job in json.loads(project.python("client.py"))]


def results(project: Project, ids: list[int]) -> set[str]:
    rows = project.query(
        "SELECT result FROM taskd.job WHERE id = ANY (%s) AND state = 'succeeded'", ids
    )
    return {json.loads(result) for (result,) in rows}


def longest_wait(project: Project, ids: list[int]) -> float:
    """Seconds from the enqueue of these jobs to their start."""
    ((seconds,),) = project.query(
        "SELECT max(extract(epoch FROM started_at - created_at))::float8 "
        "FROM taskd.history WHERE id = ANY (%s)",
        ids,
    )
    return float(seconds)


def is_idle(project: Project, hosts: int) -> bool:
    return project.query("SELECT idle FROM taskd.host WHERE ended_at IS NULL") == [(True,)] * hosts


def test_what_requires_new_code_waits_for_it_and_the_old_daemon_says_why(
    machines: tuple[Project, Project],
) -> None:
    old, new = machines
    old.start()
    waiting = enqueue_as_new_code_does(new, 12)
    old.enqueue_many("shop.fetch", [()] * 3, queue="sync")
    old.wait_for_states(succeeded=3, queued=12)

    said = old.taskd("queues").stderr
    tasks = old.taskd("tasks").stderr
    new.start()
    old.wait_for_states(succeeded=15)

    assert "12 jobs wait in sync for code v2, which no running worker offers" in said
    assert "Jobs wait in sync for code v2" in tasks
    assert results(new, waiting) == {"new"}
    assert "wait" not in new.taskd("queues").stderr


def test_with_both_running_and_idle_only_the_new_one_runs_it_and_at_once(
    machines: tuple[Project, Project],
) -> None:
    old, new = machines
    for machine in machines:
        machine.start()
    eventually(lambda: is_idle(old, 2))
    everything: list[int] = []

    for count in range(1, 6):
        ids = enqueue_as_new_code_does(new, 5)
        everything += ids
        old.wait_for_states(succeeded=5 * count)
        eventually(lambda: is_idle(old, 2))

    assert results(new, everything) == {"new"}
    assert longest_wait(new, everything) < 1.0
    by_name = old.taskd("enqueue", "shop.fetch", "--json")
    assert json.loads(by_name.stdout)["requires"] == "v2"


def test_after_a_reload_the_new_workers_are_woken_for_what_requires_their_code(
    tmp_path: Path, dsn: str
) -> None:
    with deployed(tmp_path / "only", dsn, OLD) as machine:
        daemon = machine.start("--processes", "2")
        machine.write("shop.py", NEW)
        waiting = enqueue_as_new_code_does(machine, 5)
        daemon.signal(signal.SIGHUP)
        machine.wait_for_states(succeeded=5)
        eventually(lambda: is_idle(machine, 1))
        again = enqueue_as_new_code_does(machine, 5)
        machine.wait_for_states(succeeded=10)

        assert results(machine, waiting + again) == {"new"}
        assert longest_wait(machine, again) < 1.0


def test_a_burst_leaves_what_it_cannot_run_and_runs_the_rest(tmp_path: Path, dsn: str) -> None:
    with deployed(tmp_path / "new", dsn, NEW) as machine:
        enqueue_as_new_code_does(machine, 3)
        machine.enqueue_many("shop.fetch", [()] * 2, queue="sync@v3")

        daemon = machine.start("--burst", ready=False)

        assert daemon.wait() == 0
        assert machine.states() == {"succeeded": 3, "queued": 2}
        said = "queue sync holds jobs for code v3, which is not offered here: 2 left"
        assert said in daemon.log()
