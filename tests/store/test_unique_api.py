"""Unique jobs as users enqueue them, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from taskd import Job, configure, enqueue_many
from taskd.errors import OptionInvalid
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from taskd.store.rows import JobEnd, JobRetry
from taskd.tasks.context import JobAttempt, running_attempt
from tests.store.makers import add_worker, claim, fence_of
from tests.unit.tasks_project import user_code

pytestmark = pytest.mark.one_server

SHOP = """
from taskd import task

@task(unique=True)
def sync(shop, full=False): ...

@task(unique=lambda shop: f"index-{shop}", unique_until="started", on_conflict="replace")
def index(shop): ...

@task(unique="mail", unique_until=3600)
def mail(): ...
"""

SPELLINGS = [((), {"shop": 7}), ((7, False), {}), ((7,), {"full": False})]


@pytest.fixture
def shop(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    configure(database=dsn)
    with user_code(tmp_path, monkeypatch) as code:
        yield code.module("shop", SHOP)
    configure()


def run_one(connection: Connection, state: str = "s") -> Job[object]:
    """Let a worker claim one job and end it."""
    worker = add_worker(connection)
    (row,) = claim(connection, worker, 1)
    jobs.complete_jobs(connection, worker, [JobEnd(row[0], fence_of(row), 0.1, state)])
    return Job(row[0])


def test_the_same_call_is_the_same_job_however_it_is_written(shop: ModuleType) -> None:
    first = shop.sync.enqueue(7)
    same = [
        shop.sync.enqueue(shop=7),
        shop.sync.enqueue(7, False),
        shop.sync.enqueue(7, full=False),
    ]
    other = shop.sync.enqueue(8)

    assert same == [first] * 3
    assert (first.is_new, same[0].is_new, other.is_new) == (True, False, True)
    assert other != first


@pytest.mark.parametrize("state", ["s", "f", "c"])
def test_a_job_that_has_ended_lets_go(shop: ModuleType, connection: Connection, state: str) -> None:
    first = shop.sync.enqueue(7)
    run_one(connection, state)

    assert shop.sync.enqueue(7) != first


def test_who_finds_its_key_held_leaves_no_dead_row_behind(
    shop: ModuleType, connection: Connection
) -> None:
    shop.sync.enqueue(7)
    for _ in range(3):
        shop.sync.enqueue(7)
        enqueue_many(shop.sync, [(8,), (7,), (9,)])

    places = "SELECT ctid::text FROM taskd.unique_key ORDER BY ctid"
    assert connection.execute(places).fetchall() == [("(0,1)",), ("(0,2)",), ("(0,3)",)]


def test_a_retry_keeps_the_key_and_a_cancel_lets_go(
    shop: ModuleType, connection: Connection
) -> None:
    first = shop.sync.options(retry=3).enqueue(7)
    worker = add_worker(connection)
    (row,) = claim(connection, worker)
    jobs.retry_jobs(connection, worker, [JobRetry(row[0], fence_of(row), 0.1, "r", 60.0)])

    assert shop.sync.enqueue(7) == first
    assert first.cancel() == "cancelled"
    assert shop.sync.enqueue(7) != first


def test_until_started_ends_with_the_claim_and_replaces_before_it(
    shop: ModuleType, connection: Connection
) -> None:
    first = shop.index.enqueue(7)
    second = shop.index.options(unique="index-7").enqueue(shop=7)
    row = fetch_job(connection, first.id)

    assert second == first
    assert row is not None
    assert (row.args, row.kwargs) == ([], {"shop": 7})

    claim(connection, add_worker(connection))

    assert shop.index.enqueue(7) != first


@pytest.mark.parametrize("delay", [None, 60])
def test_of_calls_that_share_a_new_key_the_last_gives_the_arguments(
    shop: ModuleType, connection: Connection, delay: float | None
) -> None:
    shops = [(1,), (2,), (3,)]
    handles = enqueue_many(shop.index, shops, unique="all", on_conflict="replace", delay=delay)

    row = fetch_job(connection, handles[0].id)
    assert [handle.is_new for handle in handles] == [True, False, False]
    assert len({handle.id for handle in handles}) == 1
    assert row is not None
    assert row.args == [3]


def test_a_window_outlasts_the_job(shop: ModuleType, connection: Connection) -> None:
    first = shop.mail.enqueue()
    run_one(connection)

    assert shop.mail.enqueue() == first

    connection.execute("UPDATE taskd.unique_key SET expires_at = now()")

    assert shop.mail.enqueue() != first


def test_an_earlier_call_moves_a_scheduled_job_forward(
    shop: ModuleType, connection: Connection
) -> None:
    later = shop.sync.options(delay=3600, on_conflict="earlier")
    first = later.enqueue(7)
    due = datetime.now(UTC) + timedelta(seconds=60)

    again = shop.sync.options(run_at=due, on_conflict="earlier").enqueue(7)
    never_later = later.enqueue(7)

    row = fetch_job(connection, first.id)
    assert again == never_later == first
    assert row is not None
    assert row.run_at == due


def test_a_job_enqueues_its_own_key_again(shop: ModuleType, connection: Connection) -> None:
    first = shop.sync.enqueue(7)
    claim(connection, add_worker(connection))
    token = running_attempt.set(JobAttempt(first.id, 1, 1, 1, "shop.sync"))
    try:
        heir = shop.sync.enqueue(7)
    finally:
        running_attempt.reset(token)

    assert heir != first
    assert shop.sync.enqueue(7) == heir


def test_many_are_told_apart_in_one_statement(shop: ModuleType) -> None:
    first = enqueue_many(shop.sync, [(1,), (2,), (1,)])
    second = enqueue_many(shop.sync, [(2,), (3,)])

    assert [job.is_new for job in first] == [True, True, False]
    assert first[0] == first[2]
    assert second[0] == first[1]
    assert second[1].is_new


def test_a_rolled_back_enqueue_leaves_the_key_free(shop: ModuleType, dsn: str) -> None:
    with psycopg.connect(dsn) as caller:
        gone = shop.sync.enqueue(7, connection=caller)
        caller.rollback()

    fresh = shop.sync.enqueue(7)

    assert fresh.is_new
    assert fresh != gone


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"unique": 7}, "unique=7 is not True, a text, or a function"),
        ({"unique": ""}, "is not a text of 1 to 200 characters"),
        ({"unique": "a\0b"}, "holds control characters"),
        ({"unique": lambda shop: shop}, "is what the function returned, and no text"),
        ({"unique": lambda: "x"}, "failed: TypeError"),
        ({"unique_until": "strated"}, "did you mean 'started'"),
        ({"unique_until": 0}, "would let go at once"),
        ({"unique_until": -1}, "is not between 0 and"),
        ({"on_conflict": "fight"}, "is not one of keep, replace, earlier"),
        ({"unique": None, "on_conflict": "keep"}, "add unique=True"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_stored(
    shop: ModuleType, connection: Connection, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(OptionInvalid, match=reason):
        shop.sync.options(**options).enqueue(7)

    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (0,)
