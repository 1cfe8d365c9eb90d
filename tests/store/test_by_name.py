"""Jobs of tasks that are known by what a daemon has published of them: by name, and by the CLI."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskd import Job, configure, enqueue, enqueue_many
from taskd.errors import ArgumentsMismatch, OptionInvalid
from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from taskd.tasks.publish import describe_tasks
from taskd.tasks.registry import registry
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host
from tests.unit.tasks_project import user_code

pytestmark = pytest.mark.one_server

SHOP = """
from taskd import Retry, task

@task(name="shop.all", queue="sync", priority=7, timeout=60, retry=Retry(max=3), expires=60,
      unique=True, unique_until="started", on_conflict="replace", requires="v2",
      on_interrupt="fail", on_lost="fail")
def everything(shop, full=False, *, since=None): ...

@task(unique=True)
def sync(shop, full=False, mark=object(), *more, since=(1, 2), **rest): ...

@task(unique=lambda shop: f"index-{shop}", unique_until=3600)
def index(shop): ...

@task
def plain(shop): ...
"""

Store = Callable[[str], Job[Any]]


@pytest.fixture
def shop(
    dsn: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """A module that a daemon has published."""
    monkeypatch.chdir(tmp_path)
    configure(database=dsn)
    with user_code(tmp_path, monkeypatch) as code:
        module = code.module("shop", SHOP)
        hosts.publish_tasks(connection, add_host(connection), "io", describe_tasks(["shop"]))
        yield module
    configure()


def forget() -> None:
    """From here on nothing is known of it but its names, as in another program."""
    del sys.modules["shop"]
    registry._tasks.clear()


def stored(connection: Connection, job: Job[Any]) -> dict[str, Any]:
    """What is stored of a job that is new, and of its key; then it is cancelled."""
    row = fetch_job(connection, job.id)
    assert row is not None
    fields = {name: value for name, value in asdict(row).items() if not name.endswith("_at")}
    seconds = row.extra["expires"] - row.created_at.timestamp()
    keys = connection.execute(
        "SELECT key, expires_at IS NULL FROM taskd.unique_key WHERE job = %s", (job.id,)
    ).fetchall()
    job.cancel()
    return fields | {
        "id": None,
        "extra": row.extra | {"expires": round(seconds)},
        "keys": [tuple(one) for one in keys],
    }


@pytest.fixture
def by_cli(dsn: str) -> Store:
    def store(task: str, *words: str) -> Job[Any]:
        result = run_taskd("--database", dsn, "enqueue", task, "[7]", *words)
        assert result.exit_code == 0, result.output
        return Job(int(result.stdout))

    return store


def test_a_task_with_every_option_makes_the_same_job_by_whatever_way(
    shop: ModuleType, connection: Connection, by_cli: Store
) -> None:
    by_task = stored(connection, shop.everything.enqueue(7))
    forget()

    assert by_task["extra"].keys() >= {"on_lost", "on_interrupt"}
    assert len(by_task["keys"]) == 1
    assert stored(connection, enqueue("shop.all", 7)) == by_task
    assert stored(connection, enqueue_many("shop.all", [(7,)])[0]) == by_task
    assert stored(connection, by_cli("shop.all")) == by_task


def test_the_same_call_by_name_and_by_task_has_the_same_key(
    shop: ModuleType, dsn: str, by_cli: Store
) -> None:
    first = shop.sync.enqueue(shop=7)
    rest = shop.sync.enqueue(7, True, 3, 4, 5, z=1)
    forget()

    assert enqueue("shop.sync", 7) == first
    assert enqueue("shop.sync", full=False, since=[1, 2], shop=7) == first
    assert enqueue("shop.sync", 8) != first
    assert enqueue("shop.sync", 7, True, 3, 4, 5, z=1) == rest
    assert by_cli("shop.sync") == first
    assert taskd_json("--database", dsn, "enqueue", "shop.sync", "[7]", "--json")["is_new"] is False


def test_a_key_by_arguments_wants_arguments_that_fit(shop: ModuleType, dsn: str) -> None:
    forget()

    with pytest.raises(ArgumentsMismatch, match="missing a required argument: 'shop'"):
        enqueue("shop.sync")
    refused = run_taskd("--database", dsn, "enqueue", "shop.sync")

    assert refused.exit_code == 2
    assert "'shop'" in refused.stderr
    assert enqueue_many("shop.sync", [()], unique=None)[0].is_new


def test_a_key_that_a_function_makes_must_be_given_by_who_has_the_name_alone(
    shop: ModuleType, dsn: str, connection: Connection, by_cli: Callable[..., Job[Any]]
) -> None:
    known = shop.index.enqueue(7)
    forget()

    with pytest.raises(OptionInvalid, match="import the task"):
        enqueue("shop.index", 7)
    refused = run_taskd("--database", dsn, "enqueue", "shop.index", "[7]")
    assert refused.exit_code == 2
    assert "import the task" in refused.stderr
    assert by_cli("shop.index", "--unique", "index-7") == known
    assert enqueue_many("shop.index", [(7,)], unique="index-7") == [known]


def test_options_of_the_command_are_those_of_the_function(
    shop: ModuleType, connection: Connection, by_cli: Callable[..., Job[Any]]
) -> None:
    parents = [shop.sync.enqueue(n) for n in (1, 2)]
    options: dict[str, Any] = {"expires": 5, "unique": True, "after": parents}
    expected = stored(connection, shop.plain.options(**options).enqueue(7))
    forget()
    after = [word for one in parents for word in ("--after", str(one.id))]

    assert expected["keys"] == [('shop.plain({"shop":7})', True)]
    made = by_cli("shop.plain", "--expires", "5s", "--unique", "true", *after)

    assert stored(connection, made) == expected
    assert (expected["state"], len(expected["extra"]["parents"])) == ("blocked", 2)


def test_a_parent_that_is_unknown_is_named(shop: ModuleType, dsn: str) -> None:
    result = run_taskd("--database", dsn, "enqueue", "shop.sync", "[7]", "--after", "4711")

    assert result.exit_code == 1
    assert "4711" in result.stderr
