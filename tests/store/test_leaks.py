"""What workers and canaries store, what maintenance makes of it, and what `taskd leaks` shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskd.board.layout import CANARY, SUCCEEDED, SUSPECT
from taskd.maintenance import leaks as chore_module
from taskd.maintenance.leaks import Leaks
from taskd.maintenance.requests import Requests
from taskd.maintenance.tree import TreeProcess
from taskd.store import hosts, leaks
from taskd.store.connect import Connection
from taskd.store.leaks import Account, Level, Source
from tests.commands import run_taskd, taskd_json
from tests.crew import Crew
from tests.store.keepers import count, crew
from tests.store.makers import add_host
from tests.unit.test_attribution import TASKS, lives

__all__ = ["crew"]

SYNC = Account(task="shop.sync", jobs=900, bytes=10_300.0, low=9_800.0, high=10_900.0)
OTHER = Account(task="price", jobs=900, bytes=10_300.0, low=9_800.0, high=10_900.0)
LINE = "shop/catalog.py:88"


@pytest.fixture
def chore(crew: Crew) -> Leaks:
    """Maintenance of a host with one worker, which is suspected."""
    crew.hire(0).words[SUSPECT] = 2000
    chore = Leaks(crew.host)
    chore._code_since -= 3600
    chore.take_tree([TreeProcess(os.getpid(), "worker", "io", 0, 1)])
    return chore


def store_lives(connection: Connection, seed: int = 1) -> None:
    for level in lives(seed, jobs=6000, workers=3):
        leaks.write_level(connection, "io", level)


def end_a_job(crew: Crew) -> None:
    crew.slots[0].words[SUCCEEDED] += 1


def test_levels_come_back_by_worker_in_order_of_time(connection: Connection) -> None:
    for level in (Level(7, 100, {"a": 1.5}, 2), Level(8, 5, {"b": 1}), Level(7, 200, {"a": 3})):
        leaks.write_level(connection, "io", level)
    leaks.write_level(connection, "cpu", Level(9, 1, {"c": 1}))

    assert leaks.levels_of(connection, "io") == [
        Level(7, 100, {"a": 1.5}, 2),
        Level(7, 200, {"a": 3}),
        Level(8, 5, {"b": 1}),
    ]


def test_of_several_canaries_the_one_with_most_jobs_counts(connection: Connection) -> None:
    leaks.write_accounts(connection, "io", 1, [SYNC])
    few = Account(task="shop.sync", jobs=5, bytes=1.0, low=0.0, high=9e9)
    leaks.write_accounts(connection, "io", 2, [few])

    assert leaks.accounts_of(connection, "io") == [SYNC]


def test_a_line_that_is_known_is_not_forgotten_by_a_later_account(connection: Connection) -> None:
    with_line = Account(task="shop.sync", jobs=900, bytes=1.0, low=1.0, high=1.0, line=LINE)
    leaks.write_accounts(connection, "io", 1, [with_line])
    leaks.write_accounts(connection, "io", 1, [SYNC])

    (found,) = leaks.accounts_of(connection, "io")
    assert (found.line, found.bytes) == (LINE, SYNC.bytes)


def test_a_suspected_pool_without_a_canary_has_its_task_named(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    store_lives(connection)

    chore.run(connection)

    (leak,) = leaks.list_leaks(connection)
    assert (leak.pool, leak.task, leak.source) == ("io", "sync", Source.WORKERS)
    (said,) = crew.stories()
    assert said.startswith("pool io: sync leaks ")
    assert " kB a job (95 %: " in said


def test_a_pool_that_nobody_suspects_is_left_alone(crew: Crew, connection: Connection) -> None:
    crew.hire(0)
    chore = Leaks(crew.host)
    chore._code_since -= 3600
    chore.take_tree([TreeProcess(os.getpid(), "worker", "io", 0, 1)])
    store_lives(connection)

    chore.run(connection)

    assert leaks.list_leaks(connection) == []


def test_the_sentence_has_task_bytes_interval_line_and_recycled_workers(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    account = Account(
        task="shop.sync", jobs=900, bytes=10_300.0, low=9_800.0, high=10_900.0, line=LINE
    )
    leaks.write_accounts(connection, "io", 1, [account])
    for _ in range(14):
        chore.take_recycled("io")

    chore.run(connection)

    assert crew.stories() == [
        "pool io: shop.sync leaks 10.3 kB a job (95 %: 9.8 kB to 10.9 kB), allocated at "
        "shop/catalog.py:88; 14 workers replaced today because of what they held"
    ]


def test_it_is_said_once_and_again_when_the_line_is_known(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    leaks.write_accounts(connection, "io", 1, [SYNC])
    for _ in range(3):
        chore.run(connection)
    assert len(crew.told) == 1

    with_line = Account(task="shop.sync", jobs=950, bytes=10_300, low=9_800, high=9e4, line=LINE)
    leaks.write_accounts(connection, "io", 1, [with_line])
    for _ in range(3):
        end_a_job(crew)
        chore.run(connection)

    assert len(crew.told) == 2


def acquittal_of_sync(
    chore: Leaks, crew: Crew, connection: Connection, *seen: Account
) -> tuple[list[str], list[str]]:
    """Who is named by the fit, and then when a canary has seen so much."""
    chore.run(connection)
    by_the_fit = [leak.task for leak in leaks.list_leaks(connection)]
    leaks.write_accounts(connection, "io", 1, seen)
    end_a_job(crew)
    chore.run(connection)
    return by_the_fit, sorted(leak.task for leak in leaks.list_leaks(connection))


def test_a_canary_acquits_whom_the_fit_had_named(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    store_lives(connection)
    innocent = Account(task="sync", jobs=900, bytes=120.0, low=80.0, high=160.0)

    named = acquittal_of_sync(chore, crew, connection, innocent, OTHER)

    assert named == (["sync"], ["price"])


def test_what_native_code_leaks_no_canary_sees_and_the_fit_is_believed(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    store_lives(connection)
    unseen = [Account(task=task, jobs=2000, bytes=0.0, low=0.0, high=0.0) for task in TASKS]

    named = acquittal_of_sync(chore, crew, connection, *unseen)

    assert named == (["sync"], ["sync"])


@pytest.mark.parametrize(
    ("size", "named"), [(2500.0, ["price", "sync"]), (3500.0, ["price"])], ids=["little", "much"]
)
def test_a_leak_acquits_others_if_it_explains_a_third_of_what_all_workers_hold(
    size: float, named: list[str], chore: Leaks, crew: Crew, connection: Connection
) -> None:
    """They hold 10 kB more after each job of a fifth; this one's are a fourth of the jobs."""
    store_lives(connection)
    unseen = Account(task="sync", jobs=900, bytes=0.0, low=0.0, high=0.0)
    seen = Account(task="price", jobs=900, bytes=size, low=size, high=size)

    assert acquittal_of_sync(chore, crew, connection, unseen, seen) == (["sync"], named)


@pytest.mark.parametrize(
    ("jobs", "likely", "others", "is_acquitted"),
    [
        (799, (0, 0, 0), [], False),
        (800, (0, 0, 0), [], True),
        (900, (0, 0, 1023), [], True),
        (900, (0, 0, 1024), [], False),
        (60, (0, 0, 0), [SYNC], True),
        (900, (0, 0, 3000), [SYNC], False),
        (900, (600, 300, 1700), [SYNC], True),
        (900, (600, 300, 3000), [SYNC], False),
        (400, (600, 600, 600), [SYNC], False),
    ],
    ids=[
        "too few jobs, and nobody else it could be",
        "so many that a leak of a few would be seen",
        "not sure, but little at most",
        "not sure whether it is little",
        "few jobs, but another one does it",
        "another one does it, not sure whether alone",
        "a small share at most",
        "not sure whether it is a small share",
        "a small share, but it leaks for certain",
    ],
)
def test_a_canary_acquits_whom_it_is_sure_of(
    jobs: int,
    likely: tuple[float, float, float],
    others: list[Account],
    is_acquitted: bool,
    chore: Leaks,
    crew: Crew,
    connection: Connection,
) -> None:
    """The fit has named it once, and does so no more."""
    store_lives(connection)
    chore.run(connection)
    connection.execute("DELETE FROM taskd.memory_level")
    value, low, high = likely
    seen = Account(task="sync", jobs=jobs, bytes=value, low=low, high=high)

    before, after = acquittal_of_sync(chore, crew, connection, seen, *others)

    assert "sync" in before
    assert ("sync" not in after) is is_acquitted


def test_a_canary_acquits_soon_whom_one_had_accused(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    leaks.write_accounts(connection, "io", 1, [SYNC])
    chore.run(connection)
    named = [leak.task for leak in leaks.list_leaks(connection)]
    chore.forget()  # its mended code
    connection.execute("DELETE FROM taskd.canary")
    mended = Account(task=SYNC.task, jobs=60, bytes=0.0, low=0.0, high=0.0)
    leaks.write_accounts(connection, "io", 2, [mended])
    end_a_job(crew)
    chore._code_since -= 3600

    chore.run(connection)

    assert (named, leaks.list_leaks(connection)) == ([SYNC.task], [])


def test_a_cache_that_fills_beside_a_leak_is_not_named(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    cache = Account(task="shop.price", jobs=900, bytes=640.0, low=540.0, high=740.0)
    leaks.write_accounts(connection, "io", 1, [cache, SYNC])

    chore.run(connection)

    assert [leak.task for leak in leaks.list_leaks(connection)] == ["shop.sync"]


def test_a_canary_is_looked_at_though_nobody_is_suspected(
    crew: Crew, connection: Connection
) -> None:
    crew.hire(0).words[CANARY] = 1
    chore = Leaks(crew.host)
    chore.take_tree([TreeProcess(os.getpid(), "worker", "io", 0, 1)])
    leaks.write_accounts(connection, "io", 1, [SYNC])

    chore.run(connection)

    assert len(crew.told) == 1


def test_what_was_seen_of_old_code_says_nothing_of_the_new(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    store_lives(connection)
    leaks.write_accounts(connection, "io", 1, [SYNC])
    chore.forget()

    chore.run(connection)

    assert leaks.list_leaks(connection) == []
    assert crew.told == []


def test_a_hunt_is_asked_of_one_host_a_pool_and_taken_once(
    crew: Crew, connection: Connection
) -> None:
    first, second = add_host(connection), add_host(connection)
    for host in (first, second):
        hosts.publish_tasks(connection, host, "io", [{"name": "shop.sync"}])
    hosts.publish_tasks(connection, second, "cpu", [{"name": "shop.sync"}])
    hunted: list[str] = []
    crew.board.host = first
    requests = Requests(crew.host, lambda: "[]", lambda order: None, lambda: None)
    requests.on_hunt = hunted.append

    asked = leaks.ask_hunt(connection, "shop.sync")
    for _ in range(2):
        requests.run(connection)

    assert [pool for pool, _ in asked] == ["cpu", "io"]
    assert hunted == ["io"]
    assert count(connection, "SELECT count(*) FROM taskd.request WHERE kind = 'hunt'") == 1


def test_nobody_is_asked_to_hunt_a_task_that_nobody_offers(connection: Connection) -> None:
    assert leaks.ask_hunt(connection, "shop.sync") == []
    assert count(connection, "SELECT count(*) FROM taskd.request") == 0


def test_levels_go_after_a_day_and_leaks_when_they_were_not_seen_for_long(
    chore: Leaks, connection: Connection
) -> None:
    leaks.write_level(connection, "io", Level(7, 100, {"a": 1}))
    leaks.write_accounts(connection, "io", 1, [SYNC])
    chore.run(connection)
    leaks.prune_leaks(connection, 10 * 86400.0)
    assert len(leaks.levels_of(connection, "io")) == 1

    for table, column in (("memory_level", "at"), ("canary", "at"), ("leak", "seen_at")):
        connection.execute(
            f"UPDATE taskd.{table} SET {column} = {column} - interval '25 hours'".encode()
        )
    leaks.prune_leaks(connection, 10 * 86400.0)
    assert count(connection, "SELECT count(*) FROM taskd.memory_level") == 0
    assert len(leaks.list_leaks(connection)) == 1

    leaks.prune_leaks(connection, 86400.0)
    assert leaks.list_leaks(connection) == []
    assert count(connection, "SELECT count(*) FROM taskd.canary") == 0


def test_a_look_that_took_long_is_not_repeated_soon(
    chore: Leaks, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [5000.0]

    def slow(levels: object) -> list[Account]:
        now[0] += 1.0
        return []

    monkeypatch.setattr(chore_module, "monotonic", lambda: now[0])
    monkeypatch.setattr(chore_module, "attribute", slow)
    chore._code_since = 0.0

    chore.run(connection)

    assert chore.due() == 5000.0 + chore_module.COST


@pytest.fixture
def shown(chore: Leaks, connection: Connection, tmp_path: Path) -> None:
    account = Account(
        task="shop.sync", jobs=900, bytes=10_300.0, low=9_800.0, high=10_900.0, line=LINE
    )
    leaks.write_accounts(connection, "io", 1, [account])
    chore.take_recycled("io")
    chore.run(connection)


@pytest.mark.one_server
@pytest.mark.usefixtures("shown")
def test_the_table_tells_what_leaks_where(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    title, row = run_taskd("--database", dsn, "leaks").stdout.splitlines()

    assert title.split()[:2] == ["TASK", "POOL"]
    assert row.split() == [
        "shop.sync", "io", "10.3", "kB", "9.8", "kB", "-", "10.9", "kB", "900", "canary", LINE,
        "1", "just", "now",
    ]  # fmt: skip


@pytest.mark.one_server
@pytest.mark.usefixtures("shown")
def test_programs_get_all_of_it(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    (leak,) = taskd_json("--database", dsn, "leaks", "--json")

    assert {"first_at", "seen_at"} <= leak.keys()
    assert {**leak, "first_at": 0, "seen_at": 0} == {
        "task": "shop.sync",
        "jobs": 900,
        "bytes": 10_300.0,
        "low": 9_800.0,
        "high": 10_900.0,
        "line": LINE,
        "pool": "io",
        "source": "canary",
        "first_at": 0,
        "seen_at": 0,
        "recycled": 1,
    }


@pytest.mark.one_server
def test_nothing_known_and_nobody_to_ask_are_said(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    nothing = run_taskd("--database", dsn, "leaks")
    hunt = run_taskd("--database", dsn, "leaks", "hunt", "--task", "shop.sync")

    assert "No task is known to leak." in nothing.stderr
    assert hunt.exit_code == 1
    assert "no running daemon offers shop.sync" in hunt.stderr


def test_a_pool_that_does_nothing_is_looked_into_once_a_minute(
    chore: Leaks, crew: Crew, connection: Connection
) -> None:
    chore.run(connection)
    leaks.write_accounts(connection, "io", 1, [SYNC])

    chore.run(connection)
    assert leaks.list_leaks(connection) == []
    end_a_job(crew)
    chore.run(connection)
    assert len(leaks.list_leaks(connection)) == 1
