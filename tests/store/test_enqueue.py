from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from taskd.store import hosts, jobs, look
from taskd.store.connect import Connection
from taskd.store.host_rows import Request
from taskd.store.rows import NewJobs, State
from tests.store.keepers import count
from tests.store.makers import (
    add_host,
    add_jobs,
    add_worker,
    claim,
    ids_of,
    notifications,
    places,
)


def test_an_enqueue_in_a_transaction_vanishes_with_it(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        (job,) = add_jobs(connection)

    assert places(connection, job) == []


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [("{oops", None), ("", None), ('{"a": 1}', None), ("1", None), ("[]", "[]"), ("[]", "{oops")],
)
def test_arguments_that_no_worker_can_decode_are_refused_before_they_are_stored(
    connection: Connection, args: str, kwargs: str | None, others: int
) -> None:
    complaint = r"invalid input syntax for type json|JSON array"
    with pytest.raises(psycopg.DatabaseError, match=complaint):
        jobs.enqueue_jobs(
            connection, NewJobs("a", ["[1]"] * others + [args], [None] * others + [kwargs])
        )

    assert count(connection, "SELECT count(*) FROM taskd.job") == 0


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_an_enqueue_commits_with_its_transaction_at_any_isolation_level(
    connection: Connection, level: str
) -> None:
    with connection.transaction():
        connection.execute(
            psycopg.sql.SQL("SET TRANSACTION ISOLATION LEVEL {}").format(psycopg.sql.SQL(level))
        )
        (job,) = add_jobs(connection)

    assert places(connection, job) == ["queued"]


def test_an_open_transaction_that_enqueues_holds_up_nobody(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    caller = connect_again()
    connection.execute("SET statement_timeout = '5s'")
    worker = add_worker(connection)

    with caller.transaction():
        add_jobs(caller, 3, queue="new")
        ids = add_jobs(connection, 2, queue="new")
        rows = claim(connection, worker, 10, ("new", 5, 0))

    assert ids_of(rows) == ids


def test_a_delayed_job_waits_and_is_promoted_when_due(connection: Connection) -> None:
    (job,) = add_jobs(connection, delay=3600)
    assert jobs.promote_jobs(connection, 10).promoted == 0
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")

    promoted = jobs.promote_jobs(connection, 10)

    assert promoted.promoted == 1
    ((queue, lane, count, seq),) = promoted.lanes
    assert (queue, lane, count) == ("default", 5, 1)
    assert seq > job
    assert places(connection, job) == ["queued"]


def test_a_time_in_the_past_means_now(connection: Connection) -> None:
    past = datetime.now(UTC) - timedelta(days=1)

    (job,) = add_jobs(connection, run_at=past)

    found = look.fetch_job(connection, job)
    assert found is not None
    assert (found.state, found.run_at) == (State.QUEUED, past)


def test_enqueue_notifies_only_when_a_host_is_idle(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    listener = connect_again()
    listener.execute("LISTEN taskd")
    host = add_host(connection)

    add_jobs(connection)
    silent = notifications(listener)
    hosts.beat_host(connection, host, True)
    ids = add_jobs(connection, 3)
    told = notifications(listener)

    assert silent == []
    assert told == [["default", 5, 3, ids[0]]]


def test_a_callers_own_transaction_always_notifies(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    listener = connect_again()
    listener.execute("LISTEN taskd")

    (job,) = add_jobs(connection, always_notify=True)

    assert notifications(listener) == [["default", 5, 1, job]]


def test_a_scheduled_job_tells_when_it_is_due(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    listener = connect_again()
    listener.execute("LISTEN taskd")

    add_jobs(connection, delay=30, always_notify=True)

    ((seconds,),) = notifications(listener)  # type: ignore[misc]
    assert 29 < seconds <= 30


def test_no_arguments_at_all_enqueue_nothing(connection: Connection) -> None:
    assert jobs.enqueue_jobs(connection, NewJobs("shop.sync", [], [])) == []


def test_a_requeued_job_is_a_new_job_and_the_old_one_stays_as_it_ended(
    connection: Connection,
) -> None:
    (job,) = add_jobs(connection, queue="mail", priority=2, max_attempts=4, timeout=7)
    jobs.cancel_jobs(connection, [job])

    again = jobs.requeue_jobs(connection, [job, 999_999])

    new = look.fetch_job(connection, again[job])
    old = look.fetch_job(connection, job)
    assert list(again) == [job]
    assert new is not None
    assert old is not None
    assert old.state is State.CANCELLED
    assert (new.state, new.queue, new.priority, new.max_attempts, new.timeout) == (
        State.QUEUED,
        "mail",
        2,
        4,
        7.0,
    )


def test_cancel_tells_of_each_job_what_became_of_it(connection: Connection) -> None:
    worker = add_worker(connection)
    running, queued = add_jobs(connection, 2)
    (scheduled,) = add_jobs(connection, delay=60)
    claim(connection, worker, 1)

    first = jobs.cancel_jobs(connection, [running, queued, scheduled, 999_999])
    second = jobs.cancel_jobs(connection, [queued])

    assert first == {
        running: "cancelling",
        queued: "cancelled",
        scheduled: "cancelled",
        999_999: "unknown",
    }
    assert second == {queued: "ended"}
    assert hosts.take_requests(connection, [worker]) == [Request("cancel", worker, running)]
    assert hosts.take_requests(connection, [worker]) == []


def test_a_callers_connection_may_have_a_row_factory_of_its_own(dsn: str) -> None:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as caller:
        (job,) = add_jobs(caller, always_notify=True)
    with psycopg.connect(dsn, autocommit=True) as reader:
        assert places(reader, job) == ["queued"]


def test_arguments_of_a_graph_are_checked_as_well(connection: Connection) -> None:
    jobs_of_graph = json.dumps([{"task": "a", "args": "{oops", "queue": "q", "priority": 5}])

    with pytest.raises(psycopg.DataError, match="invalid input syntax for type json"):
        connection.execute("SELECT taskd.enqueue_graph_v1(%s::json, false, NULL)", (jobs_of_graph,))
