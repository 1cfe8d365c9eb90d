"""Jobs that need resources and limits: what is stored, by whichever way they were enqueued."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from taskd import (
    Job,
    Middleware,
    chain,
    configure,
    enqueue,
    enqueue_many,
    exclusive,
    middleware,
    shared,
)
from taskd.store import hosts, schedules
from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from taskd.tasks.definition import definitions_of_code, job_of
from taskd.tasks.hooks.enqueueing import EnqueueCall
from taskd.tasks.publish import describe_tasks
from taskd.tasks.registry import registry
from taskd.testing import drain
from tests.commands import run_taskd
from tests.hook_lines import no_hooks
from tests.store.makers import add_host
from tests.store.timetables import declare, firing, make_due, row, settle, the_due
from tests.unit.tasks_project import user_code

pytestmark = pytest.mark.one_server

SHOP = """
from taskd import Every, Retry, Snooze, current_job, exclusive, limit, shared, task

@task(resources=[exclusive("repo:42"), shared("remote:7"), limit("stripe", rate="100/m")],
      concurrency=3, fair_by="tenant", on_retry="release", priority=0)
def sync(tenant): ...

@task(resources=lambda repo: [exclusive(f"repo:{repo}")], fair_by=lambda repo: f"of {repo}",
      schedule=Every(3600, args=[42], name="nightly", overlap="queue"))
def computed(repo): ...

@task(concurrency=1)
def limited(): ...

@task
def plain(tenant): ...

@task(resources=[exclusive("a")], retry=Retry(max=1, delay=60))
def holding():
    if current_job().attempt == 1:
        raise ValueError("again")

@task(resources=[exclusive("a")], on_retry="release")
def releasing():
    if RAN:
        return
    RAN.append(1)
    raise Snooze(60)

RAN = []
"""

NEED = {"repo:42": 2147483647, "remote:7": 1, "@key stripe": 1, "@task shop.sync": 1}
EXTRA = {"fair": "acme", "on_retry": "release"}


@pytest.fixture
def shop(
    dsn: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """A module that a daemon has published."""
    monkeypatch.chdir(tmp_path)
    configure(database=dsn)
    with user_code(tmp_path, monkeypatch) as code, no_hooks():
        module = code.module("shop", SHOP)
        hosts.publish_tasks(connection, add_host(connection), "io", describe_tasks(["shop"]))
        yield module
    configure()


def stored(connection: psycopg.Connection[Any], job: Job[Any]) -> tuple[dict[str, int], Any]:
    """What a job needs, as it is stored, and its extra, but for who enqueued it."""
    found = connection.execute(
        "SELECT res, need, extra FROM taskd.blocked WHERE id = %(id)s UNION ALL "
        "SELECT res, need, extra FROM taskd.queued WHERE id = %(id)s UNION ALL "
        "SELECT res, need, extra FROM taskd.scheduled WHERE id = %(id)s UNION ALL "
        "SELECT res, need, extra FROM taskd.history WHERE id = %(id)s",
        {"id": job.id},
    ).fetchone()
    assert found is not None
    res, need, extra = found
    told = {name: value for name, value in (extra or {}).items() if name in ("fair", "on_retry")}
    named = {
        name: units
        for name, units in zip(res, need, strict=True)
        if not name.startswith("@queue ")  # which the store puts before a queue with shares
    }
    return named, told


WAYS: dict[str, Callable[[ModuleType], Job[Any]]] = {
    "task": lambda shop: shop.sync.enqueue("acme"),
    "a delay": lambda shop: shop.sync.options(delay=60).enqueue("acme"),
    "many": lambda shop: enqueue_many(shop.sync, [("other",), ("acme",)])[1],
    "a flow": lambda shop: chain(shop.plain.call("x"), shop.sync.call("acme")).enqueue().last,
    "after": lambda shop: shop.sync.options(after=[shop.plain.enqueue("x")]).enqueue("acme"),
    "a requeue": lambda shop: cancelled(shop.sync.enqueue("acme")).requeue(),
}


def cancelled(job: Job[Any]) -> Job[Any]:
    assert job.cancel() == "cancelled"
    return job


@pytest.mark.parametrize("way", WAYS)
def test_what_a_task_needs_is_stored_by_whichever_way(
    shop: ModuleType, connection: Connection, way: str
) -> None:
    assert stored(connection, WAYS[way](shop)) == (NEED, EXTRA)


def test_what_a_task_needs_is_stored_by_its_name_alone(
    shop: ModuleType, connection: Connection, dsn: str
) -> None:
    del sys.modules["shop"]
    registry._tasks.clear()

    by_cli = run_taskd("--database", dsn, "enqueue", "shop.sync", '["acme"]')

    assert by_cli.exit_code == 0, by_cli.output
    for job in (
        enqueue("shop.sync", "acme"),
        enqueue_many("shop.sync", [{"tenant": "acme"}])[0],
        Job[Any](int(by_cli.stdout)),
    ):
        assert stored(connection, job) == (NEED, EXTRA)
        assert job.state in ("queued", "blocked")


def test_the_command_line_says_resources_instead_of_the_tasks(
    shop: ModuleType, connection: Connection, dsn: str
) -> None:
    words = ("--exclusive", "a", "--exclusive", "b", "--shared", "c", "--limit", "d")
    made = run_taskd("--database", dsn, "enqueue", "shop.computed", "[1]", *words)
    refused = run_taskd("--database", dsn, "enqueue", "shop.computed", "[1]", "--shared", "@a")

    assert made.exit_code == 2  # its fair key is made by a function
    assert "fair_by" in made.stderr
    made = run_taskd("--database", dsn, "enqueue", "shop.plain", "[1]", *words)
    needed, _ = stored(connection, Job(int(made.stdout)))
    assert needed == {"a": 2147483647, "b": 2147483647, "c": 1, "@key d": 1}
    assert refused.exit_code == 2
    assert "shared='@a' is no name" in refused.stderr


def test_middleware_can_say_what_jobs_need(shop: ModuleType, connection: Connection) -> None:
    @middleware
    class Locking(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Any) -> Any:
            return call_next(
                call.each(lambda one: one.with_options(resources=[shared(f"by:{one.args[0]}")]))
            )

    jobs = enqueue_many(shop.plain, [(1,), (2,)])

    assert [stored(connection, job)[0] for job in jobs] == [{"by:1": 1}, {"by:2": 1}]


def test_a_schedule_enqueues_jobs_with_what_they_need(
    shop: ModuleType, connection: Connection
) -> None:
    declare(connection, *definitions_of_code(describe_tasks(["shop"])))
    settle(connection)
    make_due(connection)
    due = the_due(connection)

    fired = schedules.fire_schedule(connection, due, job_of(due, None), firing(due))
    asked, _ = schedules.run_schedule(
        connection, "nightly", job_of(row(connection), None), skip=False
    )

    assert fired is not None
    assert asked is not None
    assert asked > fired[0] > 0
    for job in (fired[0], asked):
        assert stored(connection, Job(job)) == ({"repo:42": 2147483647}, {"fair": "of 42"})
    first = fetch_job(connection, fired[0])
    assert first is not None
    assert first.run_at == due.next_at


def test_a_priority_of_zero_is_one(shop: ModuleType, connection: Connection) -> None:
    job = fetch_job(connection, shop.sync.enqueue("acme").id)

    assert job is not None
    assert job.priority == 0


def test_the_second_of_two_that_exclude_each_other_waits_for_the_first(
    shop: ModuleType, connection: Connection
) -> None:
    first, second = shop.computed.enqueue(1), shop.computed.enqueue(1)
    other = shop.plain.options(resources=[exclusive("repo:2")]).enqueue("x")

    assert [job.state for job in (first, second, other)] == ["queued", "blocked", "queued"]
    assert drain().succeeded == 3
    assert second.state == "succeeded"


@pytest.mark.parametrize(("name", "other"), [("holding", "blocked"), ("releasing", "succeeded")])
def test_in_the_pause_before_a_retry_a_job_holds_what_it_has_unless_it_is_told_to_release(
    shop: ModuleType, name: str, other: str
) -> None:
    paused = getattr(shop, name).enqueue()
    waiting = shop.plain.options(resources=[exclusive("a")]).enqueue("x")

    drain()

    assert (paused.state, waiting.state) == ("scheduled", other)
    drain(scheduled=True)
    assert (paused.state, waiting.state) == ("succeeded", "succeeded")
