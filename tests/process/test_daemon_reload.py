from __future__ import annotations

import signal

from tests.process.daemon import Project

OLD = """
import time
from taskd import task

@task
def version():
    time.sleep(0.05)
    return "old"
"""
NEW = OLD.replace('"old"', '"new"')
BROKEN = NEW.replace("def version():", "def version(:")


def results(project: Project) -> dict[str, int]:
    return dict(project.query("SELECT result, count(*) FROM taskd.job GROUP BY result"))


def test_hup_runs_new_code_and_drops_no_job(project: Project) -> None:
    project.write("shop.py", OLD)
    daemon = project.start()
    project.enqueue_many("shop.version", [()] * 1500)

    project.write("shop.py", NEW)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("generation 2")
    project.wait_for_states(succeeded=1500)
    daemon.wait_for_log("all workers are replaced")

    project.enqueue_many("shop.version", [()] * 10)
    project.wait_for_states(succeeded=1510)
    assert results(project)['"new"'] >= 10


def test_hup_with_a_syntax_error_keeps_the_old_code_and_says_where(project: Project) -> None:
    project.write("shop.py", OLD)
    daemon = project.start()
    workers = daemon.pids("worker")

    project.write("shop.py", BROKEN)
    daemon.signal(signal.SIGHUP)
    line = daemon.wait_for_log("SyntaxError")
    project.enqueue_many("shop.version", [()] * 10)
    project.wait_for_states(succeeded=10)

    assert "shop.py:6" in line
    assert results(project) == {'"old"': 10}
    assert daemon.pids("worker") == workers


def test_hup_with_a_broken_configuration_keeps_the_old_one_and_says_why(project: Project) -> None:
    daemon = project.start()

    project.write("taskd.yaml", "imports: [shop]\npools:\n  io: {greenlets: -3}\n")
    daemon.signal(signal.SIGHUP)

    daemon.wait_for_log("taskd.yaml:3: pools.io.greenlets: -3 is not between 1 and 10000")
    project.enqueue("shop.add", 1, 1)
    project.wait_for_states(succeeded=1)


def test_hup_can_change_the_number_of_workers(project: Project) -> None:
    daemon = project.start()

    project.write("taskd.yaml", "imports: [shop]\npools:\n  io: {processes: 3, greenlets: 5}\n")
    daemon.signal(signal.SIGHUP)

    from tests.waiting import eventually

    eventually(
        lambda: (
            len(daemon.pids("worker")) == 3
            and all(one["generation"] == 2 for one in daemon.tree() if one["role"] == "worker")
        ),
        seconds=30,
    )
