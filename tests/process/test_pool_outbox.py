"""Outcomes on their way into a real database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg.errors import LockNotAvailable

from taskd.events import Event, Events
from taskd.pool.outbox import GATHER_SECONDS, LARGE_BATCH, Outbox, pause_after
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.hosts import register_host, register_worker
from taskd.store.jobs import claim_jobs, enqueue_jobs
from taskd.store.look import fetch_job
from taskd.store.rows import JobEnd, JobRetry, NewJobs, State

pytestmark = pytest.mark.one_server


class Desk:
    """A registered worker with claimed jobs, and its outbox."""

    def __init__(self, connection: Connection, jobs: int) -> None:
        from uuid import uuid4

        self.connection = connection
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.outbox = Outbox("io/0", events)
        host = register_host(connection, uuid4(), "here", 1, "test")
        self.worker = register_worker(connection, host, 1, "io", 0, 1) or 0
        enqueue_jobs(connection, NewJobs("app.noop", ["[]"] * jobs, [None] * jobs))
        rows = claim_jobs(connection, self.worker, ("{default}", "{5}", "{0}"), jobs)
        assert rows is not None
        self.claimed = [(row[0], row[3]) for row in rows]

    def hand_off(self) -> HandOff:
        return HandOff(("{default}", "{5}", "{0}"), 1, None, 0)

    def flush(self) -> int:
        return self.outbox.flush(self.connection, self.worker)

    def succeed(self, job: int, fence: int) -> None:
        self.outbox.ids.append(job)
        self.outbox.fences.append(fence)
        self.outbox.durations.append(0.1)

    def state(self, job: int) -> State:
        found = fetch_job(self.connection, job)
        assert found is not None
        return found.state


def test_each_kind_of_outcome_reaches_its_jobs(connection: Connection) -> None:
    desk = Desk(connection, 4)
    (a, b, c, d) = desk.claimed
    desk.succeed(*a)
    desk.outbox.ends.append(JobEnd(*b, 0.1, "s", "5"))
    desk.outbox.ends.append(JobEnd(*c, 0.1, "f", None, "no"))
    desk.outbox.retries.append(JobRetry(*d, 0.1, "r", 60.0, "later"))

    stored = desk.flush()

    assert stored == 4
    assert len(desk.outbox) == 0
    states = [desk.state(job) for job, _ in desk.claimed]
    assert states == [State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.SCHEDULED]


def test_ends_are_stored_without_a_claim_that_fails(connection: Connection) -> None:
    desk = Desk(connection, 2)
    enqueue_jobs(connection, NewJobs("app.noop", ["[]"], [None]))
    connection.execute("""UPDATE taskd.queued SET extra = '{"expires": "no number"}'""")
    desk.outbox.ends += [JobEnd(*job, 0.1, "s", "5") for job in desk.claimed]
    hand_off = desk.hand_off()

    stored = desk.outbox.flush(connection, desk.worker, hand_off=hand_off)

    assert stored == 2
    assert {desk.state(job) for job, _ in desk.claimed} == {State.SUCCEEDED}
    assert desk.told == []
    assert not hand_off.is_over


def test_retries_are_stored_last_and_then_nothing_is_handed_off(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    desk = Desk(connection, 2)
    (ended, (job, fence)) = desk.claimed
    desk.succeed(*ended)
    desk.outbox.retries.append(JobRetry(job, fence, 0.1, "r", 60.0))
    hand_off = desk.hand_off()
    other = connect_again()
    other.execute("BEGIN")
    other.execute("SELECT FROM taskd.running WHERE id = %s FOR UPDATE", (job,))
    connection.execute("SET lock_timeout = '50ms'")

    with pytest.raises(LockNotAvailable):
        desk.outbox.flush(connection, desk.worker, hand_off=hand_off)

    assert desk.state(ended[0]) is State.SUCCEEDED
    assert not hand_off.is_over


def test_more_than_a_statement_takes_goes_in_several(connection: Connection) -> None:
    desk = Desk(connection, 1500)
    for job in desk.claimed:
        desk.succeed(*job)

    assert [desk.flush(), desk.flush(), desk.flush()] == [1000, 500, 0]


def test_what_succeeded_jobs_have_used_goes_with_them_and_no_others(
    connection: Connection,
) -> None:
    desk = Desk(connection, 2)
    for job, fence in desk.claimed:
        desk.succeed(job, fence)
    (short, _), (long, fence) = desk.claimed
    desk.outbox.cpus[fence] = 250_000

    desk.flush()

    shown = [fetch_job(connection, job) for job in (short, long)]
    assert [job and job.cpu_seconds for job in shown] == [None, 0.25]
    assert desk.outbox.cpus == {}


def test_what_cannot_be_stored_stays_until_the_database_is_back(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    desk = Desk(connection, 1)
    desk.succeed(*desk.claimed[0])
    connection.close()

    with pytest.raises(Exception, match="closed"):
        desk.flush()

    assert len(desk.outbox) == 1
    desk.connection = connect_again()
    assert desk.flush() == 1


def test_an_outcome_that_was_stored_before_is_not_lost(connection: Connection) -> None:
    desk = Desk(connection, 1)
    desk.succeed(*desk.claimed[0])
    desk.flush()

    desk.succeed(*desk.claimed[0])
    desk.flush()

    assert desk.outbox.lost == 0
    assert desk.told == []


def test_an_outcome_of_nobodys_job_is_counted_as_lost(connection: Connection) -> None:
    desk = Desk(connection, 1)
    ((job, fence),) = desk.claimed
    desk.succeed(job, fence + 1)

    desk.flush()

    assert desk.outbox.lost == 1
    assert [str(event) for event in desk.told] == [
        f"worker io/0 lost job {job}: given back meanwhile, so the outcome is dropped"
    ]


def test_an_outcome_that_the_database_refuses_fails_its_own_job_only(
    connection: Connection,
) -> None:
    desk = Desk(connection, 3)
    (a, bad, c) = desk.claimed
    desk.outbox.ends += [
        JobEnd(*a, 0.1, "s", "1"),
        JobEnd(*bad, 0.1, "f", None, "a NUL: \0"),
        JobEnd(*c, 0.1, "s", "3"),
    ]

    desk.flush()

    assert [desk.state(job) for job, _ in desk.claimed] == [
        State.SUCCEEDED,
        State.FAILED,
        State.SUCCEEDED,
    ]
    found = fetch_job(connection, bad[0])
    assert found is not None
    assert "cannot be stored" in (found.error or "")


def test_a_retry_that_the_database_refuses_fails_its_job(connection: Connection) -> None:
    desk = Desk(connection, 1)
    desk.outbox.retries.append(JobRetry(*desk.claimed[0], 0.1, "r", 0.0, "half a pair: \ud800"))

    desk.flush()

    assert desk.state(desk.claimed[0][0]) is State.FAILED


def test_after_a_large_batch_more_outcomes_gather() -> None:
    assert pause_after(LARGE_BATCH, others_wait=False) == GATHER_SECONDS
    assert pause_after(LARGE_BATCH - 1, others_wait=False) == 0.0


def test_after_a_hand_off_no_outcome_waits_for_others() -> None:
    assert pause_after(LARGE_BATCH, others_wait=True) == 0.0
