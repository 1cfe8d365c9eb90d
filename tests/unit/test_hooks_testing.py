"""Hooks in users' tests, with jobs in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskd import EnqueueCall, FailedJob, Job, Middleware, middleware, on_failure
from taskd.testing import collect
from taskd.testing.memory import NeedsDatabase
from tests.hook_lines import no_hooks
from tests.unit.tasks_project import user_code

SHOP = """
from taskd import current_job, task

HANDLED = []

@task
def headers():
    HANDLED.append(current_job().headers)

@task
def clean(why): ...

@task(retry=1, on_failure=lambda job: HANDLED.append((job.args, job.attempts, job.error)))
def fail(why):
    raise ValueError(why)
"""
Next = Callable[[EnqueueCall], list[Job[Any]]]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with no_hooks(), user_code(tmp_path, monkeypatch) as code:
        yield code.module("tshop", SHOP)


def test_headers_travel_in_memory_too(shop: ModuleType) -> None:
    @middleware
    class Tracing(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            return call_next(call.with_headers(trace="a1"))

    with collect() as jobs:
        shop.headers.enqueue()
        jobs.run()

    assert shop.HANDLED == [{"trace": "a1"}]


def test_what_middleware_refuses_late_was_never_enqueued(shop: ModuleType) -> None:
    @middleware
    class Refusing(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            call_next(call)
            raise PermissionError

    with collect() as jobs:
        with pytest.raises(PermissionError):
            shop.headers.enqueue()

        jobs.assert_nothing_enqueued()


def test_middleware_that_writes_needs_a_database(shop: ModuleType) -> None:
    @middleware
    class Writing(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            call.connection.execute("INSERT …")
            return call_next(call)

    with collect(), pytest.raises(NeedsDatabase, match="taskd_database"):
        shop.headers.enqueue()


def test_failure_handlers_are_called_after_the_last_attempt(shop: ModuleType) -> None:
    @on_failure(ValueError)
    def tidy_up(job: FailedJob) -> None:
        shop.clean.enqueue(job.error)

    with collect() as jobs:
        shop.fail.enqueue("no")
        jobs.run(raise_errors=False)

        jobs.assert_enqueued(shop.clean, "ValueError: no", times=1)
    assert shop.HANDLED == [(["no"], 2, "ValueError: no")]


def test_a_handler_that_raises_is_a_warning(shop: ModuleType) -> None:
    @on_failure
    def breaks(job: FailedJob) -> None:
        raise OSError("broken")

    with collect() as jobs:
        job = shop.fail.enqueue("no")
        with pytest.warns(UserWarning, match="on_failure hook .*breaks failed for job 1"):
            jobs.run(raise_errors=False)

        assert job.error == "ValueError: no"
