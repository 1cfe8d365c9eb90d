from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest

from taskd.clock import monotonic
from taskd.maintenance import tally as tally_module
from taskd.maintenance.tally import BUSY_SECONDS, CALM_SECONDS, IDLE_SECONDS, Tally
from taskd.store import statistics as stats
from taskd.store.connect import Connection
from taskd.store.rows import WaitingLane
from tests.crew import Crew
from tests.store.keepers import CALM, count, crew
from tests.store.makers import add_jobs, add_worker, claim
from tests.store.test_statistics import counts, succeed

__all__ = ["crew"]


@pytest.fixture
def tally(crew: Crew) -> Tally:
    crew.hire(0, idle=25)
    return Tally(crew.host)


def end_jobs(connection: Connection, number: int) -> None:
    worker = add_worker(connection)
    add_jobs(connection, number)
    for row in claim(connection, worker, number):
        succeed(connection, worker, [row])


def test_all_that_has_ended_is_rolled_up_in_batches(
    tally: Tally, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally_module, "BATCH", 3)
    end_jobs(connection, 7)

    left = []
    while tally.due() <= monotonic():  # other chores have their turn in between
        tally.run(connection)
        left.append(count(connection, "SELECT count(*) FROM taskd.tally"))

    assert left == [4, 1, 0]
    assert [each.counts.succeeded for each in stats.totals(connection)] == [7]


def test_it_comes_even_less_often_while_nothing_waits_anywhere(
    tally: Tally, connection: Connection
) -> None:
    tally.run(connection)

    tally.see(CALM)
    calm = tally.due() - monotonic()
    tally.see(replace(CALM, lanes=(WaitingLane("mail", 5, 1),)))
    waiting = tally.due() - monotonic()

    assert calm == pytest.approx(CALM_SECONDS, abs=5.0)
    assert waiting == pytest.approx(IDLE_SECONDS, abs=5.0)


def test_it_comes_soon_after_it_has_found_something_and_seldom_otherwise(
    tally: Tally, connection: Connection
) -> None:
    assert tally.due() == -inf
    tally.run(connection)
    assert tally.due() - monotonic() == pytest.approx(IDLE_SECONDS, abs=5.0)

    end_jobs(connection, 1)
    tally.run(connection)

    assert tally.due() - monotonic() == pytest.approx(BUSY_SECONDS, abs=5.0)


def test_a_late_commit_behind_the_mark_is_found_within_a_minute(
    tally: Tally,
    connection: Connection,
    connect_again: Callable[[], Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 2)
    first, second = claim(connection, worker)
    late = connect_again()
    with late.transaction():
        succeed(late, worker, [first])
        succeed(connection, worker, [second])
        tally.run(connection)
    tally.run(connection)
    assert count(connection, "SELECT count(*) FROM taskd.tally") == 1

    monkeypatch.setattr(tally_module, "monotonic", lambda: monotonic() + 120.0)
    tally.run(connection)

    assert counts(connection).succeeded == 2


def test_the_backlog_is_noted_once_a_minute(tally: Tally, connection: Connection) -> None:
    add_jobs(connection, 3)

    tally.run(connection)
    connection.execute("DELETE FROM taskd.backlog")
    tally.run(connection)

    assert count(connection, "SELECT count(*) FROM taskd.backlog") == 0
