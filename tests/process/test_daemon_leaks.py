"""Real daemons with a task that leaks: the canary names it, its bytes and its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from time import monotonic

import pytest

from tests.process.daemon import Project
from tests.waiting import eventually

SHOP = """
import logging
import time

from taskd import task

kept = []
log = logging.getLogger("shop")


def fetch(n):
    return [bytes(1000) for _ in range(n)]


@task
def sync(n: int) -> None:
    kept.append(fetch(10))
    time.sleep(0.001)


@task
def cycles(n: int) -> None:
    ring = [bytes(20_000)]
    ring.append(ring)
    time.sleep(0.001)


@task
def talk(n: int) -> str:
    for number in range(5):
        log.warning("line %d of %d", number, n)
    return "x" * 3000
"""
TASKS = ("sync", "cycles", "talk")


def accounts(project: Project, pool: str) -> dict[str, tuple[float, float]]:
    rows = project.query(f"SELECT task, bytes, low FROM taskd.canary WHERE pool = '{pool}'")
    return {task.removeprefix("shop."): (size, low) for task, size, low in rows}


def test_a_canary_of_each_kind_tells_the_task_its_bytes_and_the_line(project: Project) -> None:
    project.write("shop.py", SHOP)
    pools = "pools: {io: {greenlets: 10}, cpu: {processes: 1, queues: [cpu]}}"
    project.write("taskd.yaml", f"imports: [shop]\n{pools}\n")
    daemon = project.start()

    hunt = project.taskd("leaks", "hunt", "--task", "shop.sync", "--json")
    assert [one["pool"] for one in json.loads(hunt.stdout)] == ["cpu", "io"], hunt.stderr
    eventually(lambda: daemon.log().count("a canary is started") == 2)
    eventually(
        lambda: [one["canary"] for one in daemon.tree() if one["slot"] is not None].count(True) == 2
    )
    line = 1 + SHOP.splitlines().index("    return [bytes(1000) for _ in range(n)]")
    named = rf"(\w+): shop.sync leaks [\d.]+ kB a job \(95 %: .*\), allocated at shop\.py:{line}$"
    until = monotonic() + 100
    while set(re.findall(f"pool {named}", daemon.log(), re.MULTILINE)) != {"io", "cpu"}:
        assert monotonic() < until, daemon.log()
        for task in TASKS:
            for queue in ("default", "cpu"):
                project.enqueue_many(f"shop.{task}", [(n,) for n in range(100)], queue=queue)
        eventually(lambda: project.states().keys() <= {"succeeded"}, 60)

    for pool in ("io", "cpu"):
        seen = accounts(project, pool)
        assert seen["sync"][0] == pytest.approx(10_330, rel=0.15)
        assert {task for task in TASKS if seen[task][1] >= 512} == {"sync"}, seen
    assert set(project.states()) == {"succeeded"}


def test_the_leaky_example_has_its_line_named_and_loses_no_job(project: Project) -> None:
    """The short form: the canary is asked for, where a newcomer waits until it comes by itself."""
    import examples.leaky.tasks as leaky

    config = Path(leaky.__file__).with_name("taskd.yaml").read_text()
    source = Path(leaky.__file__).read_text().splitlines()
    project.write("taskd.yaml", config.replace("150MB", "75MB"))
    daemon = project.start()
    names = ("send_receipt", "refresh_price", "sync_catalog", "resize_image")
    project.taskd("leaks", "hunt", "--task", "examples.leaky.tasks.sync_catalog")
    daemon.wait_for_log("a canary is started")

    enqueued = 0
    told = ("over its soft limit of 75 MB: it is replaced", ", allocated at ")
    while not all(words in daemon.log() for words in told):
        for name in names:
            calls = [(n,) for n in range(2000 if name == "sync_catalog" else 250)]
            project.enqueue_many(f"examples.leaky.tasks.{name}", calls, queue="leaky")
            enqueued += len(calls)
        project.wait_for_states(90, succeeded=enqueued)
    said = daemon.wait_for_log(", allocated at ")

    line = 1 + next(n for n, text in enumerate(source) if "json.loads(answer)" in text)
    assert f"allocated at {Path(leaky.__file__)}:{line}" in said
    assert "killed" not in daemon.log()
    assert project.query("SELECT DISTINCT attempt, losses FROM taskd.history") == [(1, 0)]


NATIVE = """
import ctypes

from taskd import task

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.malloc.argtypes = [ctypes.c_size_t]


@task
def decode(n: int) -> None:
    library.malloc(20_000)


@task
def tidy(n: int) -> None:
    pass
"""


def test_what_native_code_leaks_stays_named_though_no_canary_sees_it(project: Project) -> None:
    """The fit names it soon, as the mix of the jobs changes all the time."""
    project.write("native.py", NATIVE)
    project.write("taskd.yaml", "imports: [native]\npools: {io: {processes: 2, greenlets: 2}}\n")
    daemon = project.start()
    project.taskd("leaks", "hunt", "--task", "native.decode")
    daemon.wait_for_log("a canary is started")
    seen = "SELECT now(), bytes FROM taskd.canary WHERE task = 'native.decode' AND jobs >= 800"
    named = "SELECT source FROM taskd.leak WHERE task = 'native.decode' AND seen_at > %s"
    until = monotonic() + 100
    found: list[tuple[object, float]] = []
    while not (found and project.query(named, found[0][0])):
        assert monotonic() < until, daemon.log()
        found = found or project.query(seen)
        for decode, tidy in ((40, 200), (200, 40)):
            project.enqueue_many("native.decode", [(n,) for n in range(decode)])
            project.enqueue_many("native.tidy", [(n,) for n in range(tidy)])
            eventually(lambda: project.states().keys() <= {"succeeded"}, 60)

    assert found[0][1] == 0.0
    assert project.query("SELECT task, source FROM taskd.leak") == [("native.decode", "workers")]
    assert "pool io: native.decode leaks " in daemon.log()
