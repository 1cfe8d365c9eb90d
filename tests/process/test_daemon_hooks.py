"""Hooks under a real master."""

from __future__ import annotations

import re
import signal

from tests.process.daemon import Project

HOOKS = """
import os
from taskd import Middleware, on_worker_start, task

@on_worker_start
def connect(worker):
    if not os.path.exists("database"):
        raise ConnectionError("no database")

class Tracing(Middleware):
    def attempt(self, job, call_next):
        return ["traced", call_next()]

@task
def add(a, b):
    return a + b
"""
CONFIG = """
imports: [hooked]
middleware: [hooked.Tracing]
pools:
  io: {processes: 1, greenlets: 5}
log: {level: debug}
"""


def test_workers_whose_start_fails_come_ever_later_until_it_is_mended(project: Project) -> None:
    project.write("hooked.py", HOOKS)
    project.write("taskd.yaml", CONFIG)
    number = project.enqueue("hooked.add", 1, 2)
    daemon = project.start(ready=False)

    daemon.wait_for_log("the next start in 0.4 s")
    project.write("database", "")
    project.wait_for_states(succeeded=1)

    log = daemon.log()
    pauses = [float(found) for found in re.findall(r"the next start in ([\d.]+) s", log)]
    assert pauses == [0.1 * 2**n for n in range(len(pauses))]
    assert log.count("on_worker_start hook hooked.connect failed: hooked.py:8:") == len(pauses)
    [(result,)] = project.query("SELECT result FROM taskd.job WHERE id = %s", number)
    assert result == '["traced",3]'


def test_old_workers_go_on_while_those_of_new_code_do_not_start(project: Project) -> None:
    project.write("hooked.py", HOOKS)
    project.write("taskd.yaml", CONFIG)
    project.write("database", "")
    daemon = project.start()

    (project.folder / "database").unlink()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("does not start, because on_worker_start hook hooked.connect failed")

    project.enqueue("hooked.add", 1, 2)
    project.wait_for_states(succeeded=1)
