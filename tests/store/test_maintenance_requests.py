from __future__ import annotations

import json
from math import inf

import pytest

from taskd.board.layout import LOOK
from taskd.maintenance import requests as requests_module
from taskd.maintenance.requests import InterruptOrder, Requests
from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from tests.crew import Crew
from tests.store.keepers import Clock, count, crew
from tests.store.makers import add_host, add_jobs, add_worker, claim

__all__ = ["crew"]


class Bench:
    """The requests of a host with one worker in slot 2, which runs one job."""

    def __init__(self, crew: Crew, connection: Connection, clock: Clock) -> None:
        self.crew, self.connection, self.clock = crew, connection, clock
        self.interrupts: list[InterruptOrder] = []
        crew.board.host = add_host(connection)
        self.worker = add_worker(connection, crew.board.host)
        self.slot = crew.hire(2, worker=self.worker, pid=4711)
        (self.job,) = add_jobs(connection)
        claim(connection, self.worker)
        self.requests = Requests(
            crew.host, lambda: '[{"pid": 1}]', self.interrupts.append, lambda: None
        )

    def run(self) -> None:
        self.requests.run(self.connection)


@pytest.fixture
def bench(crew: Crew, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(requests_module, "monotonic", clock)
    return Bench(crew, connection, clock)


def test_a_cancel_is_shown_to_the_worker_and_left_for_it(bench: Bench) -> None:
    jobs.cancel_jobs(bench.connection, [bench.job])

    bench.run()

    assert bench.slot.words[LOOK] == bench.job
    assert bench.crew.take_wakeups() == [2]
    assert count(bench.connection, "SELECT count(*) FROM taskd.request") == 1


def test_once_the_worker_has_taken_it_nothing_is_shown_any_more(bench: Bench) -> None:
    jobs.cancel_jobs(bench.connection, [bench.job])
    bench.run()

    hosts.take_requests(bench.connection, [bench.worker])
    bench.run()

    assert bench.slot.words[LOOK] == 0
    assert bench.requests.due() == inf
    assert bench.interrupts == []


def test_a_cancel_that_was_taken_leaves_the_next_one_of_the_worker_shown(bench: Bench) -> None:
    jobs.cancel_jobs(bench.connection, [bench.job])
    bench.run()
    bench.slot.words[LOOK] = another = bench.job + 1

    hosts.take_requests(bench.connection, [bench.worker])
    bench.run()

    assert bench.slot.words[LOOK] == another


def test_a_worker_that_cannot_hear_is_interrupted_by_the_master(bench: Bench) -> None:
    jobs.cancel_jobs(bench.connection, [bench.job])
    times = []
    bench.run()

    for _ in range(40):
        before = len(bench.interrupts)
        bench.clock.now = bench.requests.due()
        bench.run()
        times += [round(bench.clock.now - 1000.0, 1)] * (len(bench.interrupts) - before)

    assert times == [0.3, 5.4, 10.5]
    first = bench.interrupts[0]
    assert (first.slot, first.pid, first.job) == (2, 4711, bench.job)
    assert first.waited == pytest.approx(0.3)


def test_cancels_for_workers_of_other_hosts_are_theirs(bench: Bench) -> None:
    elsewhere = add_worker(bench.connection)
    (job,) = add_jobs(bench.connection)
    claim(bench.connection, elsewhere)
    jobs.cancel_jobs(bench.connection, [job])

    bench.run()

    assert bench.crew.take_wakeups() == []
    assert bench.requests.due() == inf


def test_a_report_that_was_asked_for_is_written(bench: Bench) -> None:
    hosts.ask_reports(bench.connection)

    bench.run()

    (row,) = hosts.list_hosts(bench.connection)
    assert json.loads(row.processes) == [{"pid": 1}]
    assert row.reported_at is not None
    assert count(bench.connection, "SELECT count(*) FROM taskd.request") == 0


def test_a_beat_with_a_new_request_makes_it_look_and_an_old_one_does_not(bench: Bench) -> None:
    bench.requests.heard(0)
    none = bench.requests.due()
    bench.requests.heard(7)
    new = bench.requests.due()
    bench.run()
    bench.requests.heard(7)

    assert (none, new, bench.requests.due()) == (inf, -inf, inf)


def test_orders_that_could_not_be_read_are_still_due(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> object:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(hosts, "list_requests", fails)
    with pytest.raises(RuntimeError):
        bench.run()

    assert bench.requests.due() == -inf
