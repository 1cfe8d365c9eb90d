from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from taskd.clock import monotonic
from taskd.maintenance import promote as promote_module
from taskd.maintenance.promote import Promote
from taskd.store.connect import Connection
from tests.crew import Crew
from tests.store.keepers import count, crew
from tests.store.makers import add_jobs

__all__ = ["crew"]


class Bench:
    def __init__(self, crew: Crew, connection: Connection) -> None:
        self.crew, self.connection = crew, connection
        self.asked: list[int] = []
        self.promote = Promote(crew.waker, lambda: None, lambda: self.asked.append(1))

    def schedule(self, jobs: int) -> None:
        """Jobs that are due already, though still scheduled."""
        add_jobs(self.connection, jobs, delay=60.0)
        self.connection.execute("UPDATE taskd.scheduled SET run_at = now()")

    def queued(self) -> int:
        return count(self.connection, "SELECT count(*) FROM taskd.queued")


@pytest.fixture
def bench(crew: Crew, connection: Connection) -> Bench:
    crew.hire(0, idle=25)
    return Bench(crew, connection)


def test_what_is_due_enters_its_queue_and_wakes_a_worker(bench: Bench) -> None:
    bench.schedule(1)

    bench.promote.run(bench.connection)

    assert bench.queued() == 1
    assert bench.crew.take_wakeups() == [0]


def test_batches_go_on_until_nothing_is_due(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promote_module, "BATCH", 10)
    bench.schedule(25)

    bench.promote.run(bench.connection)

    assert bench.queued() == 25


def test_what_is_not_due_stays(bench: Bench) -> None:
    add_jobs(bench.connection, 1, delay=60.0)

    bench.promote.run(bench.connection)

    assert bench.queued() == 0


def test_it_sleeps_until_the_earliest_time_it_heard_of(bench: Bench) -> None:
    before = bench.promote.due()
    bench.promote.due_in(30.0)
    bench.promote.due_in(10.0)
    bench.promote.due_in(20.0)

    assert before == inf
    assert 9.0 < bench.promote.due() - monotonic() <= 10.0


def test_after_a_round_it_asks_for_the_next_due_time(bench: Bench) -> None:
    bench.promote.due_in(0.0)

    bench.promote.run(bench.connection)

    assert bench.asked == [1]
    assert bench.promote.due() == inf


def test_jobs_that_another_host_promotes_just_now_are_not_fought_for(
    bench: Bench, connect_again: Callable[[], Connection]
) -> None:
    bench.schedule(1)
    other = connect_again()
    other.execute("BEGIN")
    other.execute("SELECT taskd.promote_jobs_v1(10)")

    bench.promote.run(bench.connection)
    bench.promote.due_in(-1.0)
    pause = bench.promote.due() - monotonic()
    other.execute("COMMIT")

    assert 0 < pause <= 0.05
    assert bench.queued() == 1
