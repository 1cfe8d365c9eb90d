"""Why a job waits that nobody takes, and one that only waits for its turn."""

from __future__ import annotations

import pytest

from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from taskd.store.queues import pause_queue
from taskd.tasks.reasons import ReasonKind
from tests.store.makers import add_host, add_jobs, add_worker, claim
from tests.store.reasons import only_reason, reasons


@pytest.fixture
def worker(connection: Connection) -> int:
    return add_worker(connection)


def test_all_reasons_that_hold_are_told(connection: Connection) -> None:
    add_worker(connection, queues=["sync", "urgent"])
    pause_queue(connection, "mail")
    (job,) = add_jobs(connection, delay=600, queue="mail")

    found = reasons(connection, job)

    assert [reason.kind for reason in found] == ["scheduled", "paused", "no_pool"]
    assert found[1].text == "its queue mail is paused: `taskd queues resume mail` opens it"
    assert found[2].text == ("no living worker takes its queue mail (io on here: sync, urgent)")


def test_without_workers_that_is_the_reason(connection: Connection) -> None:
    (job,) = add_jobs(connection)
    host = add_host(connection)
    add_worker(connection, host)
    connection.execute("UPDATE taskd.host SET beat_at = now() - interval '1 hour'")

    assert only_reason(connection, job).kind is ReasonKind.NO_WORKER


def test_code_that_nobody_in_its_queue_offers_is_the_reason(connection: Connection) -> None:
    add_worker(connection, offers=["v1"])
    add_worker(connection, offers=["v2"], queues=["other"])
    (job,) = add_jobs(connection, queue="mail@v2")

    reason = only_reason(connection, job)

    assert (reason.kind, reason.name) == (ReasonKind.NO_VERSION, "v2")


def test_a_task_that_no_worker_has_is_told_beside_its_turn(connection: Connection) -> None:
    host = add_host(connection)
    add_worker(connection, host)
    (job,) = add_jobs(connection)
    assert only_reason(connection, job).kind is ReasonKind.TURN  # nothing is published yet

    hosts.publish_tasks(connection, host, "io", [{"name": "shop.other"}])
    missing = reasons(connection, job)
    hosts.publish_tasks(connection, host, "io", [{"name": "shop.sync"}])

    assert [reason.kind for reason in missing] == [ReasonKind.NO_TASK, ReasonKind.TURN]
    assert missing[0].name == "shop.sync"
    assert only_reason(connection, job).kind is ReasonKind.TURN


def test_a_free_job_is_told_its_turn(connection: Connection, worker: int) -> None:
    late, busy = add_jobs(connection, 2)
    (urgent,) = add_jobs(connection, priority=9)
    claim(connection, worker, 1, ("default", 5, late))
    (job,) = add_jobs(connection)
    add_jobs(connection, priority=1)

    reason = only_reason(connection, job)

    assert (reason.before, reason.before_count) == ((urgent, late), 2)
    assert reason.text == (
        f"waits for nothing but its turn in default: 2 jobs are before it: {urgent}, {late}; "
        "1 worker takes it, 1 at once, with 1 job in hand"
    )
    assert fetch_job(connection, busy).state == "running"  # type: ignore[union-attr]
