"""Schedules under real daemons: several of them, reloaded, restarted."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from itertools import pairwise

from tests.process.daemon import Project
from tests.waiting import eventually

SHOP = """
from taskd import Every, task

@task(schedule=Every("1d", name="daily", args=["code"]))
def report(region):
    return region

@task
def tick():
    pass
"""
EVERY_SECOND = """
imports: [shop]
pools: {io: {processes: 1, greenlets: 5}}
schedules:
  often: {task: shop.tick, every: 1s, overlap: queue, catch_up: all}
"""


def slots(project: Project) -> list[datetime]:
    """The slots of all jobs of `often`, in order."""
    rows = project.query("SELECT run_at FROM taskd.job WHERE task = 'shop.tick' ORDER BY run_at")
    return [run_at for (run_at,) in rows]


def has_slots(project: Project, more: int) -> None:
    """Wait until so many more slots have come."""
    wanted = len(slots(project)) + more
    eventually(lambda: len(slots(project)) >= wanted, 20)


def test_two_daemons_enqueue_exactly_one_job_a_slot_also_when_one_is_killed(
    project: Project,
) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", EVERY_SECOND)
    first = project.start("--state-dir", str(project.folder / "one"))
    project.start("--state-dir", str(project.folder / "two"))
    has_slots(project, 4)

    os.kill(first.pid, signal.SIGKILL)
    has_slots(project, 4)

    found = slots(project)
    pauses = [later - earlier for earlier, later in pairwise(found)]
    assert pauses == [timedelta(seconds=1)] * (len(found) - 1)


def test_a_reload_brings_new_schedules_and_takes_old_ones_away(project: Project) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", EVERY_SECOND)
    daemon = project.start()
    has_slots(project, 1)

    project.write("shop.py", SHOP.replace('name="daily"', 'name="renamed"'))
    project.write("taskd.yaml", EVERY_SECOND.replace("often:", "nightly:").replace("1s", "1d"))
    daemon.signal(signal.SIGHUP)

    def there() -> dict[str, bool]:
        return dict(project.query("SELECT name, removed_at IS NULL FROM taskd.schedule"))

    wanted = {"often": False, "daily": False, "nightly": True, "renamed": True}
    eventually(lambda: there() == wanted, 20)


def test_what_a_daemon_missed_while_it_was_down_is_made_up_for_after_its_start(
    project: Project,
) -> None:
    project.write("shop.py", SHOP)
    daemon = project.start()
    eventually(lambda: project.query("SELECT name FROM taskd.schedule"))
    assert daemon.stop() == 0
    ((missed,),) = project.query(
        "UPDATE taskd.schedule SET next_at = next_at - interval '3 days' RETURNING next_at"
    )

    project.start()
    project.wait_for_states(succeeded=1)

    ((run_at, result),) = project.query("SELECT run_at, result FROM taskd.job")
    assert (run_at, result) == (missed + timedelta(days=2), '"code"')
    assert project.logs().count("schedule daily was due at") == 1
