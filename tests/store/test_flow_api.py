"""Flows as users enqueue them, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from taskd import Job, chain, chord, configure, group
from taskd.errors import JobWasCancelled, OptionInvalid, ParentUnknown, ResultExpired
from taskd.store import bulk, jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry, State
from taskd.tasks.context import CurrentJob, JobAttempt
from tests.store.makers import add_worker, claim, fence_of
from tests.unit.tasks_project import user_code

pytestmark = pytest.mark.one_server

SHOP = """
from taskd import task

@task(retry=1)
def fetch(url): ...

@task
def total(): ...
"""


@pytest.fixture
def shop(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    configure(database=dsn)
    with user_code(tmp_path, monkeypatch) as code:
        yield code.module("shop", SHOP)
    configure()


@pytest.fixture
def worker(connection: Connection) -> int:
    return add_worker(connection)


def end(
    connection: Connection,
    worker: int,
    rows: list[list[Any]],
    state: str,
    result: str | None = None,
) -> None:
    ends = [JobEnd(row[0], fence_of(row), 0.1, state, result) for row in rows]
    jobs.complete_jobs(connection, worker, ends)


def test_a_finalizer_starts_when_all_are_done_for_good(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    flow = chord([shop.fetch.call("a"), shop.fetch.call("b")], shop.total.call()).enqueue()
    first, second = claim(connection, worker)
    end(connection, worker, [first], "s", "1")
    jobs.retry_jobs(connection, worker, [JobRetry(second[0], fence_of(second), 0.1, "r", 0.0)])

    assert flow.states() == {State.SUCCEEDED: 1, State.QUEUED: 1, State.BLOCKED: 1}

    end(connection, worker, claim(connection, worker), "s", "2")
    (last,) = claim(connection, worker)

    assert last[0] == flow.last.id
    attempt = CurrentJob(JobAttempt(last[0], 1, 1, 1, "shop.total", extra=last[10]))
    assert attempt.parent_results() == [1, 2]
    assert attempt.parents == list(flow.jobs[:2])


def test_a_failed_parent_cancels_all_that_come_after_it(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    flow = chain(*[shop.fetch.call(url) for url in "abc"], shop.total.call()).enqueue()
    end(connection, worker, claim(connection, worker), "f")

    assert flow.states() == {State.FAILED: 1, State.CANCELLED: 3}
    with pytest.raises(JobWasCancelled, match="a job that it came after did not succeed"):
        flow.result(timeout=5)


def test_a_child_may_run_all_the_same(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    parent = shop.fetch.enqueue("a")
    child = shop.total.options(after=[parent], on_parent_failure="run").enqueue()
    end(connection, worker, claim(connection, worker), "f")

    assert child.state is State.QUEUED


def test_after_a_job_that_has_ended_already_nothing_waits(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    parent = shop.fetch.enqueue("a")
    end(connection, worker, claim(connection, worker), "s")

    assert shop.total.options(after=[parent.id]).enqueue().state is State.QUEUED


def test_a_job_that_does_not_exist_is_refused_by_its_number(
    shop: ModuleType, connection: Connection
) -> None:
    known = shop.fetch.enqueue("a")

    with pytest.raises(ParentUnknown, match="no such job: 4711"):
        shop.total.options(after=[known, 4711]).enqueue()

    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (1,)


def test_a_job_that_was_purged_is_refused_by_its_number(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    parent = shop.fetch.enqueue("a")
    end(connection, worker, claim(connection, worker), "s")
    assert [n for _, n in bulk.purge_jobs(connection, 0.0, [State.SUCCEEDED]) if n] == [1]

    with pytest.raises(ParentUnknown, match=f"no such job: {parent.id}: .* gone from the history"):
        shop.total.options(after=[parent]).enqueue()

    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (0,)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [({"delay": -1}, "delay=-1 is not between 0"), ({"delay": -1e-9}, "delay=-1e-09 is not")],
)
def test_a_negative_delay_is_refused_and_nothing_is_stored(
    shop: ModuleType, connection: Connection, option: dict[str, float], complaint: str
) -> None:
    with pytest.raises(OptionInvalid, match=complaint):
        shop.total.options(**option).enqueue()

    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (0,)


def test_a_time_that_is_past_is_now(shop: ModuleType, connection: Connection, worker: int) -> None:
    past = datetime(2000, 1, 1, tzinfo=UTC)
    job = shop.total.options(run_at=past).enqueue()

    assert (job.state, job.refresh().run_at) == (State.QUEUED, past)
    assert [row[0] for row in claim(connection, worker)] == [job.id]


def test_a_job_from_after_the_snapshot_is_refused_with_the_reason(
    shop: ModuleType, dsn: str
) -> None:
    with psycopg.connect(dsn) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT 1")
        parent = shop.fetch.enqueue("a")

        with pytest.raises(ParentUnknown, match="was enqueued after your transaction began"):
            shop.total.options(after=[parent], connection=conn).enqueue()


@pytest.mark.parametrize("after", ["text", 7, [0], [-1], [True], ["x"], [None]])
def test_what_is_no_job_is_refused(shop: ModuleType, after: object) -> None:
    with pytest.raises(OptionInvalid, match="after="):
        shop.total.options(after=after)


def test_a_delay_counts_after_the_parents(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    parent = shop.fetch.enqueue("a")
    child = shop.total.options(after=[parent], delay=3600).enqueue()
    end(connection, worker, claim(connection, worker), "s")

    assert child.state is State.SCHEDULED


def test_a_flow_commits_or_vanishes_with_the_callers_transaction(
    shop: ModuleType, connection: Connection, dsn: str
) -> None:
    with psycopg.connect(dsn) as caller:
        flow = chain(shop.fetch.call("a"), shop.total.call())
        flow.enqueue(connection=caller)
        caller.rollback()
        kept = flow.enqueue(connection=caller)
        caller.commit()

    assert kept.states() == {State.QUEUED: 1, State.BLOCKED: 1}
    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (2,)


def test_a_flow_is_cancelled_whole(shop: ModuleType, connection: Connection, worker: int) -> None:
    flow = chain(group(shop.fetch.call(url) for url in "ab"), shop.total.call()).enqueue()
    (running,) = claim(connection, worker, 1)

    outcomes = flow.cancel()

    assert outcomes[Job(running[0])] == "cancelling"
    assert sorted(outcomes.values()) == ["cancelled", "cancelled", "cancelling"]
    assert flow.states() == {State.CANCELLING: 1, State.CANCELLED: 2}


def test_a_group_of_ten_thousand_is_one_round_trip(
    shop: ModuleType, connection: Connection
) -> None:
    flow = chord([shop.total.call() for _ in range(10_000)], shop.total.call()).enqueue()

    assert flow.states() == {State.QUEUED: 10_000, State.BLOCKED: 1}
    assert connection.execute("SELECT count(*) FROM taskd.dependency").fetchone() == (10_000,)


def test_a_requeued_job_still_knows_its_parents(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    flow = chain(shop.fetch.call("a"), shop.total.call()).enqueue()
    end(connection, worker, claim(connection, worker), "s", "7")
    end(connection, worker, claim(connection, worker), "f")

    again = flow.last.requeue()

    (row,) = claim(connection, worker)
    assert again is not None
    assert row[0] == again.id
    attempt = CurrentJob(JobAttempt(row[0], 1, 1, 1, "shop.total", extra=row[10]))
    assert attempt.parent_results() == [7]


def test_a_result_that_is_no_longer_kept_is_told_apart_from_none(
    shop: ModuleType, connection: Connection, worker: int
) -> None:
    seven, none = shop.fetch.enqueue("a"), shop.fetch.enqueue("b")
    first, second = claim(connection, worker)
    end(connection, worker, [first], "s", "7")
    end(connection, worker, [second], "s")
    connection.execute("DELETE FROM taskd.result")

    assert none.result(timeout=0) is None
    with pytest.raises(ResultExpired, match=r"raise retention\.results"):
        seven.result(timeout=0)
