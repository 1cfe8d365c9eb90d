from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from taskd.board.layout import IDLE, IN_FLIGHT
from taskd.clock import monotonic
from taskd.errors import DatabaseUnavailable, StatementTimedOut
from taskd.maintenance import lease as lease_module
from taskd.maintenance.lease import Heard, Incarnation, Lease
from taskd.maintenance.rescue import DeadHost
from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.host_rows import Beat
from taskd.store.rows import WaitingLane
from taskd.store.shared import SharedLink
from tests.crew import Crew
from tests.store.keepers import Clock, MakeLink, count, crew, cut, make_link
from tests.store.makers import add_host, add_jobs, add_worker
from tests.waiting import eventually

__all__ = ["crew", "make_link"]

LEASE = 15.0
ME = Incarnation(id=UUID(int=7), name="here", pid=1, version="0")


class Ear:
    """Hears what the lease brings."""

    def __init__(self) -> None:
        self.beats: list[Heard] = []
        self.misses = 0
        self.is_broken = False

    def heard(self, heard: Heard) -> None:
        self.beats.append(heard)
        if self.is_broken:
            raise RuntimeError("no such luck")

    def missed(self) -> None:
        self.misses += 1

    @property
    def last(self) -> Heard:
        return self.beats[-1]


class Bench:
    """A lease whose steps the test takes itself."""

    def __init__(self, crew: Crew, make_link: MakeLink, connection: Connection) -> None:
        crew.board.host = ME.enter(connection)
        self.crew, self.connection = crew, connection
        self.ear = Ear()
        self.lease = Lease(crew.host, make_link(), ME, LEASE, self.ear)

    def beat(self) -> Heard:
        self.lease.hasten()
        self.lease.step()
        return self.ear.last

    def row(self, column: str) -> Any:
        """A column of the host's row."""
        (found,) = [r for r in hosts.list_hosts(self.connection) if r.id == self.crew.board.host]
        return getattr(found, column)


@pytest.fixture
def bench(crew: Crew, make_link: MakeLink, connection: Connection) -> Bench:
    return Bench(crew, make_link, connection)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the lease judges others."""
    clock = Clock()
    monkeypatch.setattr(lease_module, "boottime", clock)
    return clock


def watch(bench: Bench, clock: Clock, seconds: int) -> set[DeadHost]:
    """Beat once a second; whom that finds dead."""
    dead: set[DeadHost] = set()
    for _ in range(seconds):
        clock.now += 1
        dead |= set(bench.beat().dead)
    return dead


def test_each_beat_counts_the_row_up(bench: Bench) -> None:
    before = bench.row("beat")

    bench.beat()
    bench.beat()

    assert bench.row("beat") == before + 2


def test_the_host_is_marked_idle_once_a_worker_waits(bench: Bench) -> None:
    bench.beat()
    assert bench.row("idle") is False
    bench.crew.hire(0, idle=25)

    marked_before = bench.lease.idle_again()
    bench.lease.step()

    assert not marked_before
    assert bench.ear.last.went_idle
    assert bench.row("idle") is True


def test_a_second_idle_worker_needs_no_beat(bench: Bench) -> None:
    bench.crew.hire(0, idle=25)
    bench.beat()
    beats = len(bench.ear.beats)

    marked_before = bench.lease.idle_again()
    bench.lease.step()

    assert marked_before
    assert len(bench.ear.beats) == beats


def test_no_longer_idle_is_written_with_the_next_beat(bench: Bench) -> None:
    words = bench.crew.hire(0, idle=25).words
    bench.beat()

    words[IDLE] = 0
    heard = bench.beat()

    assert not heard.is_idle
    assert bench.row("idle") is False


def test_a_worker_that_goes_idle_during_the_beat_that_denies_it_causes_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = bench.crew.hire(0, idle=25).words
    bench.beat()
    words[IDLE] = 0
    beat_host = hosts.beat_host

    def beat_while_it_goes_idle(*arguments: Any) -> Any:
        beat = beat_host(*arguments)
        words[IDLE] = 25
        return beat

    monkeypatch.setattr(hosts, "beat_host", beat_while_it_goes_idle)
    bench.lease.hasten()
    wait = bench.lease.step()
    bench.lease.step()

    assert wait <= 0
    assert bench.row("idle") is True
    assert bench.ear.last.went_idle


def test_an_idle_host_looks_for_jobs_with_its_beats(bench: Bench) -> None:
    bench.crew.hire(0, idle=25)
    first = bench.beat()
    (job,) = add_jobs(bench.connection, queue="mail", priority=7)

    second = bench.beat()

    assert (first.marks, first.beat.lanes) == (None, None)  # it was not idle before
    assert second.marks == {}
    assert second.beat.lanes == (WaitingLane("mail", 7, job),)


def test_a_look_that_took_long_is_left_to_others_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LONG_LOOK_SECONDS", 0.0)
    bench.crew.hire(0, idle=25)
    bench.beat()

    looked = [bench.beat().beat.lanes is not None for _ in range(2)]

    assert looked == [True, False]


class Lender:
    """Lends a connection, as the listener does."""

    def __init__(self, link: SharedLink) -> None:
        self._link = link
        self.lent = link.lent
        with link.connection() as connection:
            self.pid = connection.info.backend_pid

    @property
    def is_lendable(self) -> bool:
        return self._link.is_lendable


def connections(bench: Bench) -> int:
    """How many the server holds for the lease and its lender."""
    return count(
        bench.connection,
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name LIKE 'taskd test %' AND datname = current_database()",
    )


def test_beats_travel_on_the_connection_that_is_lent(bench: Bench, make_link: MakeLink) -> None:
    bench.beat()
    bench.lease.lender = Lender(make_link())

    bench.beat()

    eventually(lambda: connections(bench) == 1)  # its own was given back
    assert bench.row("beat") == 2


def test_a_look_that_does_not_come_back_is_not_tried_again_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.crew.hire(0, idle=25)
    bench.beat()
    asked: list[bool] = []
    beat_host = hosts.beat_host

    def beat_in_vain(
        connection: Connection, host: int, idle: bool | None, looks: bool = False
    ) -> Beat:
        asked.append(looks)
        if looks:
            raise StatementTimedOut(5.0)
        return beat_host(connection, host, idle, looks)

    monkeypatch.setattr(hosts, "beat_host", beat_in_vain)
    with pytest.raises(StatementTimedOut):
        bench.beat()
    for _ in range(3):
        bench.beat()

    assert asked == [True, False, False, False]


def test_a_host_with_jobs_does_not_look_with_its_beats(bench: Bench) -> None:
    bench.crew.hire(0, idle=20).words[IN_FLIGHT] = 5
    bench.beat()

    assert bench.beat().beat.lanes is None


def test_after_a_cut_in_mid_beat_the_host_says_again_whether_it_is_idle(
    bench: Bench, make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.lease.lender = Lender(make_link())
    bench.crew.hire(0, idle=25)
    bench.beat()
    bench.connection.execute("UPDATE taskd.host SET ended_at = now()")
    beat_host = hosts.beat_host

    def beat_and_lose(
        connection: Connection, host: int, idle: bool | None, looks: bool = False
    ) -> Beat:
        beat = beat_host(connection, host, idle, looks)
        if not beat.alive:
            cut(bench.connection, "taskd test 1")  # so the new row's first beat fails
        return beat

    monkeypatch.setattr(hosts, "beat_host", beat_and_lose)
    heard = bench.beat()

    assert (heard.is_new_host, heard.is_first, heard.went_idle) == (True, True, True)
    assert bench.row("idle") is True


def test_a_beat_survives_the_connection_that_was_lent(bench: Bench, make_link: MakeLink) -> None:
    bench.lease.lender = Lender(make_link())
    bench.beat()

    cut(bench.connection, "taskd test 1")
    bench.beat()

    assert bench.row("beat") == 2
    assert bench.ear.misses == 0
    assert not bench.lease.lender.is_lendable


def test_beats_are_slow_without_and_quick_with_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monotonic())
    monkeypatch.setattr(lease_module, "monotonic", clock)
    words = bench.crew.hire(0, idle=25).words
    bench.lease.step()
    clock.now += 60

    idle = bench.lease.step()
    words[IN_FLIGHT] = 1
    clock.now += 60
    busy = bench.lease.step()

    assert (idle, busy) == (5.0, 1.0)


def test_a_host_that_stands_still_is_found_dead_after_a_lease(bench: Bench, clock: Clock) -> None:
    other = add_host(bench.connection)

    early = watch(bench, clock, 15)
    late = watch(bench, clock, 1)

    assert early == set()
    assert late == {DeadHost(other, 0)}


def test_a_host_that_beats_is_not_found_dead(bench: Bench, clock: Clock) -> None:
    other = add_host(bench.connection)
    watch(bench, clock, 10)

    hosts.beat_host(bench.connection, other, None)

    assert watch(bench, clock, 14) == set()


def test_after_losing_the_database_nobody_is_found_dead_for_a_lease(
    bench: Bench, clock: Clock
) -> None:
    add_host(bench.connection)
    watch(bench, clock, 14)

    cut(bench.connection, "taskd test 0")
    with pytest.raises(DatabaseUnavailable):
        bench.beat()

    assert watch(bench, clock, 15) == set()
    assert len(watch(bench, clock, 1)) == 1


def test_an_outage_is_told_once_and_so_is_its_end(bench: Bench) -> None:
    bench.beat()

    cut(bench.connection, "taskd test 0")
    with pytest.raises(DatabaseUnavailable):
        bench.beat()
    bench.beat()
    bench.beat()

    first, second = bench.crew.stories()
    assert "lost the database" in first
    assert "the database is back after" in second
    assert bench.ear.misses == 1
    assert not bench.lease.is_cut_off


def test_the_first_beat_after_an_outage_says_so(bench: Bench) -> None:
    first, second = bench.beat().is_first, bench.beat().is_first

    cut(bench.connection, "taskd test 0")
    with pytest.raises(DatabaseUnavailable):
        bench.beat()

    assert (first, second, bench.beat().is_first) == (True, False, True)


def test_beats_go_on_when_whoever_hears_them_fails(bench: Bench) -> None:
    bench.ear.is_broken = True
    with pytest.raises(RuntimeError):
        bench.beat()

    wait = bench.lease.step()

    assert 0 < wait <= 5
    assert not bench.lease.is_cut_off


def test_a_host_that_was_taken_for_dead_goes_on_with_a_new_row(bench: Bench) -> None:
    old = bench.crew.board.host
    bench.beat()
    hosts.rescue_host(bench.connection, old, None, "so it seemed", True)

    heard = bench.beat()

    assert heard.is_new_host
    assert bench.crew.board.host != old
    assert hosts.find_host(bench.connection, ME.id) == bench.crew.board.host
    assert add_worker(bench.connection, bench.crew.board.host)
    assert f"took this host ({old}) for dead" in bench.crew.stories()[0]


def test_a_successor_goes_on_with_the_row_of_its_incarnation(connection: Connection) -> None:
    incarnation = Incarnation(id=uuid4(), name="here", pid=1, version="0")

    first = incarnation.enter(connection)

    assert incarnation.enter(connection) == first


def test_a_beat_tells_what_is_due_and_what_is_paused(bench: Bench) -> None:
    bench.connection.execute("INSERT INTO taskd.queue (name, paused) VALUES ('mail', true)")

    beat = bench.beat().beat

    assert beat.due is None
    assert beat.paused == {"mail"}
