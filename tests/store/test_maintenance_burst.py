from __future__ import annotations

from datetime import UTC, datetime
from math import inf

import pytest

from taskd.board import write_offers
from taskd.board.layout import IN_FLIGHT
from taskd.config.settings import PoolSettings
from taskd.maintenance.burst import Burst
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry
from tests.crew import Crew
from tests.store.makers import add_jobs, add_worker, claim, fence_of

pytestmark = pytest.mark.one_server

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


class Bench:
    """A burst of a host that serves the queues mail and sync."""

    def __init__(self, connection: Connection, since: datetime = LONG_AGO) -> None:
        self.crew = Crew({"io": PoolSettings(queues=("mail", "sync"), greenlets=25)})
        self.connection = connection
        self.told: list[tuple[int, tuple[str, ...]]] = []
        self.burst = Burst(
            self.crew.slots, lambda: since, lambda failed, left: self.told.append((failed, left))
        )

    def check(self) -> list[tuple[int, tuple[str, ...]]]:
        self.burst.run(self.connection)
        return self.told


@pytest.fixture
def bench(connection: Connection) -> Bench:
    return Bench(connection)


def end(connection: Connection, state: str, queue: str = "mail") -> None:
    """A job that has ended in this state."""
    worker = add_worker(connection)
    add_jobs(connection, queue=queue)
    (row,) = claim(connection, worker, 1, (queue, 5, 0))
    jobs.complete_jobs(connection, worker, [JobEnd(row[0], fence_of(row), 0.1, state)])


def test_with_nothing_to_do_it_is_done_at_once_and_tells_it_once(bench: Bench) -> None:
    assert bench.check() == [(0, ())]
    assert bench.burst.due() == inf


def test_a_queued_job_is_waited_for(bench: Bench) -> None:
    add_jobs(bench.connection, queue="mail")

    assert bench.check() == []


def test_a_running_job_is_waited_for(bench: Bench) -> None:
    worker = add_worker(bench.connection)
    add_jobs(bench.connection, queue="mail")
    claim(bench.connection, worker, 1, ("mail", 5, 0))

    assert bench.check() == []


def test_a_waiting_retry_is_waited_for_however_late_it_is(bench: Bench) -> None:
    worker = add_worker(bench.connection)
    add_jobs(bench.connection, queue="mail")
    (row,) = claim(bench.connection, worker, 1, ("mail", 5, 0))
    jobs.retry_jobs(bench.connection, worker, [JobRetry(row[0], fence_of(row), 0.1, "r", 3600.0)])

    assert bench.check() == []


def test_a_job_due_within_a_minute_is_waited_for(bench: Bench) -> None:
    add_jobs(bench.connection, queue="mail", delay=30.0)

    assert bench.check() == []


def test_jobs_in_the_hands_of_a_worker_are_waited_for_without_asking(bench: Bench) -> None:
    bench.crew.hire(0).words[IN_FLIGHT] = 1

    assert bench.check() == []


def test_what_lies_further_ahead_or_in_a_paused_queue_is_named_and_left(bench: Bench) -> None:
    add_jobs(bench.connection, 2, queue="mail", delay=90.0)
    add_jobs(bench.connection, 3, queue="sync")
    bench.connection.execute("INSERT INTO taskd.queue (name, paused) VALUES ('sync', true)")

    assert bench.check() == [
        (0, ("queue sync is paused: 3 left in it", "2 scheduled more than 60 s ahead"))
    ]


def test_what_requires_code_that_is_not_offered_here_is_named_and_left(bench: Bench) -> None:
    add_jobs(bench.connection, 2, queue="mail@v2")
    add_jobs(bench.connection, 1, queue="mail@v2", delay=30.0)
    add_jobs(bench.connection, 5, queue="other@v2")

    before_anybody_has_told_what_it_offers = list(bench.check())
    write_offers(bench.crew.hire(0), {"v1"})

    assert before_anybody_has_told_what_it_offers == []
    assert bench.check() == [
        (0, ("queue mail holds jobs for code v2, which is not offered here: 3 left",))
    ]


def test_what_requires_code_that_is_offered_here_is_waited_for(bench: Bench) -> None:
    add_jobs(bench.connection, queue="mail@v2")
    write_offers(bench.crew.hire(0), {"v1", "v2"})

    assert bench.check() == []


def test_a_paused_queue_is_left_with_what_requires_a_version_in_it(bench: Bench) -> None:
    write_offers(bench.crew.hire(0), {"v2"})
    add_jobs(bench.connection, 3, queue="sync")
    add_jobs(bench.connection, 2, queue="sync@v2")
    bench.connection.execute("INSERT INTO taskd.queue (name, paused) VALUES ('sync', true)")

    assert bench.check() == [(0, ("queue sync is paused: 5 left in it",))]


def test_failures_of_what_required_a_version_count(bench: Bench) -> None:
    end(bench.connection, "f", queue="mail@v2")

    assert bench.check() == [(1, ())]


def test_queues_that_it_does_not_serve_are_not_its_business(bench: Bench) -> None:
    add_jobs(bench.connection, queue="other")
    end(bench.connection, "f", queue="other")

    assert bench.check() == [(0, ())]


def test_failures_are_counted_and_other_ends_are_not(bench: Bench) -> None:
    for state in ("f", "s", "c", "f"):
        end(bench.connection, state)

    assert bench.check() == [(2, ())]


def test_failures_from_before_it_started_do_not_count(connection: Connection) -> None:
    end(connection, "f")
    row = connection.execute("SELECT now() + interval '1 millisecond'").fetchone()
    assert row is not None

    assert Bench(connection, since=row[0]).check() == [(0, ())]
