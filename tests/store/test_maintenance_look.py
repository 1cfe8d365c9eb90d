from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf

import psycopg
import pytest

from taskd.board import LaneTable
from taskd.board.layout import IDLE, IN_FLIGHT
from taskd.maintenance import look as look_module
from taskd.maintenance.look import Look
from taskd.store import jobs
from taskd.store.connect import Connection
from tests.crew import Crew
from tests.store.keepers import Clock, crew
from tests.store.makers import add_jobs, add_worker, claim

__all__ = ["crew"]


class Bench:
    """A look whose clock and steps the test moves itself."""

    def __init__(self, crew: Crew, connection: Connection, clock: Clock) -> None:
        self.crew, self.connection, self.clock = crew, connection, clock
        self.is_hearing = True
        self.hurries: list[int] = []
        self.look = Look(crew.host, lambda: self.is_hearing, lambda: self.hurries.append(1))
        self.table = LaneTable(crew.board)

    def due_in(self) -> float:
        return round(self.look.due() - self.clock.now, 6)

    def run(self) -> list[int]:
        """Look once; whom that woke."""
        self.look.run(self.connection)
        return self.crew.take_wakeups()


@pytest.fixture
def bench(crew: Crew, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(look_module, "monotonic", clock)
    return Bench(crew, connection, clock)


def test_a_look_finds_jobs_in_lanes_that_nobody_told_of(bench: Bench) -> None:
    bench.crew.hire(0, idle=25)
    add_jobs(bench.connection, queue="mail", priority=7)

    woken = bench.run()

    assert woken == [0]
    assert [(lane.queue, lane.number) for lane in bench.table] == [("mail", 7)]


def test_a_look_that_finds_nothing_wakes_nobody(bench: Bench) -> None:
    bench.crew.hire(0, idle=25)

    assert bench.run() == []


def test_after_going_idle_it_looks_four_times_ever_later(bench: Bench) -> None:
    bench.look.after_idle()
    times = []
    while bench.look.due() < inf:
        times.append(bench.due_in())
        bench.clock.now = bench.look.due()
        bench.run()

    assert times == [0.005, 0.02, 0.1, 0.5]
    assert bench.hurries


def test_a_commit_that_came_after_the_host_went_idle_is_found(
    bench: Bench, connect_again: Callable[[], Connection]
) -> None:
    bench.crew.hire(0, idle=25)
    client = connect_again()
    client.execute("BEGIN")
    add_jobs(client, queue="mail")
    bench.look.after_idle()
    bench.clock.now = bench.look.due()
    before = bench.run()

    client.execute("COMMIT")
    bench.clock.now = bench.look.due()

    assert before == []
    assert bench.run() == [0]


def test_a_commit_behind_the_marks_lowers_the_floor(
    bench: Bench, connect_again: Callable[[], Connection]
) -> None:
    slot = bench.crew.hire(0, idle=25)
    worker = add_worker(bench.connection)
    client = connect_again()
    client.execute("BEGIN")
    (late,) = add_jobs(client)
    (early,) = add_jobs(bench.connection)
    bench.run()
    claim(bench.connection, worker)
    slot.marks[0] = early

    client.execute("COMMIT")
    woken = bench.run()

    assert woken == [0]
    assert bench.table.read(0).floor == late < early


def test_a_rescan_pauses_for_twenty_times_as_long_as_it_took(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_lanes = jobs.all_lanes
    rescans: list[float] = []

    def slowly(connection: Connection) -> object:
        rescans.append(bench.clock.now)
        bench.clock.now += 0.5
        return all_lanes(connection)

    monkeypatch.setattr(jobs, "all_lanes", slowly)
    for _ in range(30):
        bench.look.soon()
        bench.run()
        bench.clock.now += 1.0

    gaps = [after - before for before, after in pairwise(rescans)]
    assert len(gaps) >= 2
    assert all(gap >= 0.5 + 20 * 0.5 for gap in gaps)


def test_between_rescans_it_still_finds_what_lies_above_the_marks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.crew.hire(0, idle=25)
    add_jobs(bench.connection)
    bench.run()
    monkeypatch.setattr(bench.look, "_rescan_from", inf)

    assert bench.run() == [0]


def test_a_look_that_could_not_rescan_plans_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.look, "_rescan_from", bench.clock.now + 3.0)

    bench.run()

    assert bench.due_in() == 3.0


def test_where_news_was_missed_a_rescan_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.crew.hire(0, idle=25)
    add_jobs(bench.connection, queue="mail")
    monkeypatch.setattr(bench.look, "_rescan_from", inf)
    before = bench.run()

    bench.look.anew()

    assert (before, bench.due_in()) == ([], 0.0)
    assert bench.run() == [0]


@pytest.mark.parametrize("is_missed", [True, False])
def test_a_look_that_fails_leads_to_a_rescan_only_where_news_was_missed(
    bench: Bench,
    connect_again: Callable[[], Connection],
    monkeypatch: pytest.MonkeyPatch,
    is_missed: bool,
) -> None:
    bench.crew.hire(0, idle=25)
    add_jobs(bench.connection)
    bench.run()
    add_jobs(bench.connection, queue="mail")
    monkeypatch.setattr(bench.look, "_rescan_from", bench.clock.now + 3.0)
    broken = connect_again()
    broken.close()
    if is_missed:
        bench.look.anew()

    with pytest.raises(psycopg.OperationalError):
        bench.look.run(broken)

    assert bench.due_in() == 0.0
    bench.run()
    assert ("mail" in [lane.queue for lane in bench.table]) == is_missed


def test_a_busy_host_rescans_once_a_second(bench: Bench) -> None:
    bench.crew.hire(0).words[IN_FLIGHT] = 5
    bench.run()

    assert bench.due_in() == 1.0


def test_an_idle_host_that_hears_does_not_look_by_itself(bench: Bench) -> None:
    bench.crew.hire(0, idle=25)
    bench.run()

    assert bench.look.due() == inf


def test_an_idle_host_that_does_not_hear_polls_twice_a_second(bench: Bench) -> None:
    words = bench.crew.hire(0, idle=25).words
    bench.is_hearing = False
    bench.run()
    idle = bench.due_in()

    words[IDLE] = 0

    assert idle == 0.5
    assert bench.look.due() == inf


def test_a_look_that_failed_is_still_due(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: Connection) -> object:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(jobs, "all_lanes", fails)
    bench.look.soon()
    with pytest.raises(RuntimeError):
        bench.run()

    assert bench.due_in() <= 0
