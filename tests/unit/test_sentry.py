"""Errors with the real SDK, sent to a server on loopback, jobs in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sentry_sdk

from taskd import WorkerLost, sentry
from taskd.tasks.hooks.failures import FailedJob, handlers_of
from taskd.testing import collect
from tests.hook_lines import no_hooks
from tests.sentry_server import Inbox
from tests.sentry_server import sentry as sentry_server
from tests.unit.tasks_project import user_code

SHOP = """
import sentry_sdk
from taskd import Cancel, Retry, Snooze, task

@task(queue="sync")
def fail(number):
    sentry_sdk.set_tag("number", number)
    sentry_sdk.add_breadcrumb(message=f"step {number}")
    raise ValueError(f"{number} is odd")

@task
def fine(number):
    sentry_sdk.set_tag("number", number)

@task(retry=Retry(max=1, delay=0))
def again():
    raise ValueError("again")

@task
def cancel():
    raise Cancel("no more")
"""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with sentry_server() as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    with no_hooks(), user_code(tmp_path, monkeypatch) as code:
        yield code.module("eshop", SHOP)


@pytest.fixture
def begin(inbox: Inbox) -> Iterator[Any]:
    """Sets the SDK up, and takes it down in the end."""

    def start(rate: float = 0.0, **wanted: bool) -> None:
        sentry_sdk.init(
            dsn=inbox.dsn, default_integrations=False, release="1", traces_sample_rate=rate
        )
        sentry.install(**wanted)

    yield start
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.init(default_integrations=False)


def test_a_failed_job_is_one_event_with_what_its_attempt_noted(
    shop: ModuleType, inbox: Inbox, begin: Any
) -> None:
    begin()

    with collect() as jobs:
        shop.fine.enqueue(1)
        job = shop.fail.enqueue(2)
        shop.fine.enqueue(3)
        jobs.run(raise_errors=False)
    sentry_sdk.flush()

    (event,) = inbox.events
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("ValueError", "2 is odd")
    assert error["mechanism"] == {"type": "taskd", "handled": False}
    assert error["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["transaction"] == "eshop.fail"
    assert event["tags"] == {"number": 2, "taskd.task": "eshop.fail", "taskd.queue": "sync"}
    assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == ["step 2"]
    assert event["contexts"]["job"]["id"] == job.id
    assert event["contexts"]["job"]["attempt"] == 1
    assert "arguments" not in event["contexts"]


@pytest.mark.parametrize(("retried", "events"), [(False, 1), (True, 2)])
def test_attempts_that_are_followed_by_others_are_told_if_wanted(
    shop: ModuleType, inbox: Inbox, begin: Any, retried: bool, events: int
) -> None:
    begin(retried=retried)

    with collect() as jobs:
        shop.again.enqueue()
        shop.cancel.enqueue()
        jobs.run(raise_errors=False)
    sentry_sdk.flush()

    attempts = [event["contexts"]["job"]["attempt"] for event in inbox.events]
    assert attempts == [1, 2][-events:]


def test_arguments_are_told_only_if_that_is_wanted(
    shop: ModuleType, inbox: Inbox, begin: Any
) -> None:
    begin(arguments=True)

    with collect() as jobs:
        shop.fail.enqueue(2)
        jobs.run(raise_errors=False)
    sentry_sdk.flush()

    assert inbox.events[0]["contexts"]["arguments"] == {"args": [2], "kwargs": {}}


def test_transactions_continue_the_trace_of_the_enqueue(
    shop: ModuleType, inbox: Inbox, begin: Any
) -> None:
    begin(rate=1.0)

    with collect() as jobs:
        with sentry_sdk.start_transaction(name="request"):
            shop.fine.enqueue(1)
        jobs.run(raise_errors=False)
    sentry_sdk.flush()

    request, attempt = inbox.transactions
    publish = next(span for span in request["spans"] if span["op"] == "queue.publish")
    trace = attempt["contexts"]["trace"]
    assert attempt["transaction"] == "eshop.fine"
    assert trace["op"] == "queue.task"
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == publish["span_id"]


def test_a_job_that_nobody_saw_fail_is_told_as_well(
    shop: ModuleType, inbox: Inbox, begin: Any
) -> None:
    begin()
    lost = FailedJob(
        id=7, task="eshop.fail", queue="sync", args=(), kwargs={}, headers={}, attempts=5,
        max_attempts=1, error="poisoned", traceback=None, exception=WorkerLost("poisoned"),
    )  # fmt: skip

    for handler in handlers_of(None, lost.exception):
        handler(lost)
    sentry_sdk.flush()

    (event,) = inbox.events
    assert event["exception"]["values"][0]["type"] == "WorkerLost"
    assert event["contexts"]["job"]["id"] == 7
