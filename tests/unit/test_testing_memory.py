from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from taskd import JobFailed, chain, chord
from taskd.store.rows import State
from taskd.testing import collect, inline
from taskd.testing.memory import NeedsDatabase, NeverEnds
from tests.unit.tasks_project import user_code

SHOP = """
from taskd import Cancel, Snooze, current_job, exclusive, task

SEEN = []

@task(queue="sync", retry=2)
def fetch(url, page=1):
    SEEN.append((url, page, current_job().attempt))
    if url == "flaky" and current_job().attempt < 3:
        raise ValueError("again")
    if url == "broken":
        raise ValueError("for good")
    return page * 10

@task(queue="sync", requires="v2")
def where():
    return current_job().queue

@task
def total():
    return sum(current_job().parent_results())

@task(unique=True)
def sync(shop):
    fetch.enqueue(shop)

@task(unique=lambda *_: "index", unique_until="started", on_conflict="replace")
def index(shop): ...

@task(unique="mail", unique_until=3600)
def mail(): ...

@task(unique=True)
def again(left):
    if left:
        again.options(unique="again(0)").enqueue(left - 1)

@task
def ping():
    ping.enqueue()

@task
def book():
    with current_job().transaction():
        pass

@task(resources=lambda repo: [exclusive(f"repo:{repo}")], concurrency=1, rate="1/h", fair_by="repo")
def locked(repo):
    return repo

@task
def no():
    raise Cancel("not today")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with user_code(tmp_path, monkeypatch) as code:
        yield code.module("shop", SHOP)


def test_what_was_enqueued_is_there_to_be_looked_at(shop: ModuleType) -> None:
    with collect() as jobs:
        shop.fetch.enqueue("a", page=2)
        shop.fetch.options(queue="other").enqueue("b")

        jobs.assert_enqueued(shop.fetch, "a", page=2, queue="sync", times=1)
        assert [(job.args, job.queue) for job in jobs.of("shop.fetch")] == [
            (["a"], "sync"),
            (["b"], "other"),
        ]
        jobs.assert_nothing_enqueued(shop.total)

    assert shop.SEEN == []


def test_a_missing_job_is_told_with_what_there_is_instead(shop: ModuleType) -> None:
    with collect() as jobs:
        shop.fetch.enqueue("a")

        with pytest.raises(
            AssertionError, match=r"shop\.fetch\('b'\): no such job enqueued"
        ) as told:
            jobs.assert_enqueued(shop.fetch, "b")
        with pytest.raises(AssertionError, match="1 such jobs enqueued, wanted 2"):
            jobs.assert_enqueued(shop.fetch, "a", times=2)
        with pytest.raises(AssertionError, match="wanted no job"):
            jobs.assert_nothing_enqueued()

    assert "shop.fetch('a') in queue sync: queued" in str(told.value)


def test_jobs_run_when_the_test_says_so_with_what_they_enqueue(shop: ModuleType) -> None:
    with collect() as jobs:
        first = shop.sync.enqueue("x")
        assert first.state is State.QUEUED

        ran = jobs.run()

        assert [job.task for job in ran] == ["shop.sync", "shop.fetch"]
        assert first.state is State.SUCCEEDED
        assert first.result() is None


def test_retries_follow_at_once(shop: ModuleType) -> None:
    with collect() as jobs:
        job = shop.fetch.enqueue("flaky")
        jobs.run()

        assert job.result() == 10
        assert [attempt for _, _, attempt in shop.SEEN] == [1, 2, 3]


def test_a_job_that_fails_for_good_raises_or_is_kept(shop: ModuleType) -> None:
    with collect() as jobs:
        job = shop.fetch.enqueue("broken")
        with pytest.raises(JobFailed, match="for good"):
            jobs.run()

        assert job.state is State.FAILED

    with collect() as jobs:
        cancelled = shop.no.enqueue()
        jobs.run(raise_errors=False)

        assert (cancelled.state, cancelled.error) == (State.CANCELLED, "not today")


def test_inline_runs_where_the_job_is_enqueued(shop: ModuleType) -> None:
    with inline():
        assert shop.fetch.enqueue("a", 3).result() == 30
        with pytest.raises(JobFailed):
            shop.fetch.enqueue("broken")


def test_flows_run_in_their_order(shop: ModuleType) -> None:
    with collect() as jobs:
        flow = chord(
            [shop.fetch.call("a", 1), shop.fetch.call("b", 2)], shop.total.call()
        ).enqueue()
        assert flow.result(timeout=1) == 30

        doomed = chain(shop.fetch.call("broken"), shop.total.call()).enqueue()
        jobs.run(raise_errors=False)
        assert doomed.last.state is State.CANCELLED


def test_a_unique_job_is_there_once(shop: ModuleType) -> None:
    with collect() as jobs:
        first, second = shop.sync.enqueue("x"), shop.sync.enqueue("x")
        assert first == second
        assert not second.is_new
        jobs.run()

        assert shop.sync.enqueue("x") != first


def test_jobs_are_cancelled_and_requeued(shop: ModuleType) -> None:
    with collect() as jobs:
        job = shop.fetch.enqueue("a")
        assert job.cancel() == "cancelled"
        assert job.cancel() == "ended"
        again = job.requeue()
        jobs.run()

        assert again is not None
        assert again.result() == 10


def test_what_never_ends_is_told(shop: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskd.testing.memory.MOST_ATTEMPTS", 100)

    with collect() as jobs:
        shop.ping.enqueue()
        with pytest.raises(NeverEnds, match="goes on and on"):
            jobs.run()


def test_what_needs_a_database_says_so(shop: ModuleType) -> None:
    with collect() as jobs:
        job = shop.book.enqueue()
        jobs.run(raise_errors=False)

        assert NeedsDatabase.__name__ in str(job.error)


def test_what_requires_a_version_is_a_job_of_its_queue(shop: ModuleType) -> None:
    with collect() as jobs:
        shop.where.enqueue()
        (job,) = jobs.assert_enqueued(shop.where, queue="sync")
        jobs.run()

    assert (job.queue, job.requires, job.result) == ("sync", "v2", "sync")


def test_a_second_enqueue_replaces_what_has_not_begun(shop: ModuleType) -> None:
    with collect() as jobs:
        assert shop.index.enqueue(1) == shop.index.enqueue(2)
        assert [job.args for job in jobs.enqueued] == [[2]]
        jobs.run()

        assert shop.index.enqueue(3).is_new


def test_a_window_outlasts_its_job(shop: ModuleType) -> None:
    with collect() as jobs:
        first = shop.mail.enqueue()
        jobs.run()

        assert shop.mail.enqueue() == first


def test_a_job_hands_its_own_key_on(shop: ModuleType) -> None:
    with collect() as jobs:
        shop.again.options(unique="again(0)").enqueue(2)
        jobs.run()

        assert [job.args for job in jobs.enqueued] == [[2], [1], [0]]


def test_jobs_with_resources_and_limits_run_as_others_do(shop: ModuleType) -> None:
    with collect() as jobs:
        handles = [shop.locked.enqueue(7), shop.locked.enqueue(7)]
        handles[0].cancel()
        again = handles[0].requeue()
        jobs.run()

    assert [job.new.res for job in jobs.enqueued] == [("repo:7", "@task shop.locked")] * 3
    assert [handle.id for handle in (*handles, again)] == [1, 2, 3]
    assert [job.state for job in jobs.enqueued] == ["cancelled", "succeeded", "succeeded"]
