"""Queues in which nothing begins: found, with their reason, and told once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.maintenance import stalls as stalls_module
from taskd.maintenance.stalls import CALM_SECONDS, LOOK_SECONDS, Stalls
from taskd.store.connect import Connection
from taskd.store.queues import pause_queue
from taskd.store.rows import WaitingLane
from taskd.store.statistics import fetch_backlog
from taskd.tasks.stalls import STALL_SECONDS, Stall, find_stalls
from tests.crew import Crew
from tests.store.keepers import CALM, Clock, count, crew
from tests.store.makers import add_host, add_jobs, add_worker, claim
from tests.store.test_plans import FILL, rows_read
from tests.store.test_statistics import succeed
from tests.waiting import eventually

__all__ = ["crew"]


def let_time_pass(connection: Connection) -> None:
    """All that is there has been there for ten minutes."""
    for change in (
        "queued SET created_at = created_at - interval '10 min', "
        "ready_at = ready_at - interval '10 min'",
        "worker SET started_at = started_at - interval '10 min'",
        "running SET claimed_at = claimed_at - interval '10 min'",
    ):
        connection.execute(f"UPDATE taskd.{change}".encode())


@pytest.fixture
def worker(connection: Connection) -> int:
    """One with twelve slots, that has been there for long."""
    worker = add_worker(connection, queues=["default", "sync"])
    connection.execute("UPDATE taskd.worker SET greenlets = 12")
    let_time_pass(connection)
    return worker


def only_stall(connection: Connection) -> Stall:
    (stall,) = find_stalls(connection)
    return stall


def test_jobs_that_nobody_takes_though_slots_are_free_are_a_stall(
    connection: Connection, worker: int
) -> None:
    first, *_ = add_jobs(connection, 41, queue="sync")
    claim(connection, worker, 1, ("sync", 5, 0))
    let_time_pass(connection)

    stall = only_stall(connection)

    assert (stall.queue, stall.jobs, stall.free_slots, stall.first_job) == (
        "sync",
        40,
        11,
        first + 1,
    )
    assert stall.seconds == pytest.approx(600, abs=30)
    assert str(stall).startswith(
        "queue sync: 40 jobs could run, 11 slots are free, nothing started for 10 min"
    )
    assert stall.because == "its workers do not claim, for no reason that the database shows"


@pytest.mark.parametrize("late", ["fresh job", "fresh worker", "claimed now", "paused", "busy"])
def test_what_moves_or_could_not_move_is_none(
    connection: Connection, worker: int, late: str
) -> None:
    add_jobs(connection, 3)
    match late:
        case "claimed now":
            let_time_pass(connection)
            claim(connection, worker, 1)
        case "busy":
            connection.execute("UPDATE taskd.worker SET greenlets = 1")
            claim(connection, worker, 1)
            let_time_pass(connection)
        case "paused":
            let_time_pass(connection)
            pause_queue(connection, "default")
        case "fresh worker":
            let_time_pass(connection)
            connection.execute("UPDATE taskd.worker SET started_at = now()")

    assert find_stalls(connection) == []


@pytest.mark.parametrize("rolled_up", [False, True])
def test_a_job_that_began_and_ended_meanwhile_shows_that_the_queue_moves(
    connection: Connection, worker: int, rolled_up: bool
) -> None:
    add_jobs(connection, 3)
    let_time_pass(connection)
    succeed(connection, worker, claim(connection, worker, 1), took=0.1)
    assert count(connection, "SELECT count(*) FROM taskd.running") == 0
    if rolled_up:
        connection.execute("SELECT taskd.roll_up_v1(0, 100)")

    assert find_stalls(connection) == []


def test_begins_that_are_long_past_are_not_taken_for_new_ones(
    connection: Connection, worker: int
) -> None:
    add_jobs(connection, 3)
    succeed(connection, worker, claim(connection, worker, 1), took=0.1)
    connection.execute("SELECT taskd.roll_up_v1(0, 100)")
    connection.execute("UPDATE taskd.statistic SET at = at - interval '5 min' WHERE span = 'm'")
    let_time_pass(connection)

    assert 180 <= only_stall(connection).seconds <= 300


def test_jobs_that_no_pool_takes_are_a_stall_with_that_reason(
    connection: Connection, worker: int
) -> None:
    add_jobs(connection, 2, queue="mail")
    let_time_pass(connection)

    stall = only_stall(connection)

    assert str(stall).startswith("queue mail: 2 jobs wait, 12 slots are free, nothing started for")
    assert stall.because == "no living worker takes its queue mail (io on here: default, sync)"
    assert stall.is_hopeless


def test_jobs_for_code_that_nobody_runs_are_a_stall_beside_a_queue_that_moves(
    connection: Connection, worker: int
) -> None:
    add_jobs(connection, 1, queue="default@v2")
    add_jobs(connection, 1)
    let_time_pass(connection)
    claim(connection, worker)

    stall = only_stall(connection)

    assert (stall.queue, stall.requires, stall.jobs) == ("default", "v2", 1)
    assert stall.because.startswith("requires code v2, which no living worker")
    assert str(stall).startswith("queue default (v2): 1 job waits")


def test_without_a_daemon_the_remedy_is_to_start_one(connection: Connection) -> None:
    add_jobs(connection, 1)
    let_time_pass(connection)

    stall = only_stall(connection)

    assert (stall.because, stall.remedy) == ("no worker lives", "start a daemon")


def test_who_holds_the_lock_that_claims_wait_for_is_named(
    connection: Connection, connect_again: Callable[[], Connection], worker: int
) -> None:
    add_jobs(connection, 3)
    let_time_pass(connection)
    holder, claimer = connect_again(), connect_again()
    claimer.execute("SELECT set_config('application_name', 'taskd claims', false)")
    with holder.transaction():
        holder.execute("LOCK TABLE taskd.queued IN SHARE ROW EXCLUSIVE MODE")
        claiming = threading.Thread(target=claim, args=(claimer, worker))
        claiming.start()
        eventually(lambda: "lock" in only_stall(connection).because)
        stall = only_stall(connection)
    claiming.join()

    pid = holder.info.backend_pid
    assert stall.because.startswith(
        f"a statement of taskd waits for a lock that process {pid} of the database holds (taskd, "
        "idle in transaction, in a transaction for "
    )
    assert stall.remedy.endswith(f"SELECT pg_terminate_backend({pid})")


def test_a_host_that_is_late_with_its_beat_is_the_reason(
    connection: Connection, worker: int
) -> None:
    add_jobs(connection, 1)
    let_time_pass(connection)
    connection.execute("UPDATE taskd.host SET beat_at = now() - interval '30 s'")

    assert only_stall(connection).because.startswith("here last beat 3")


def test_a_job_that_is_to_run_alone_waits_for_an_empty_worker(
    connection: Connection, worker: int
) -> None:
    (job,) = add_jobs(connection, 1)
    connection.execute("UPDATE taskd.queued SET lane = 11, crashes = 1")
    let_time_pass(connection)

    assert only_stall(connection).because.startswith(f"job {job} is to run alone")


def test_scheduled_jobs_that_nobody_lets_in_are_a_stall(connection: Connection) -> None:
    (job,) = add_jobs(connection, 1, delay=600)
    connection.execute("UPDATE taskd.scheduled SET run_at = now() - interval '5 min'")

    stall = only_stall(connection)

    assert (stall.first_job, stall.is_overdue) == (job, True)
    assert str(stall).endswith("because no daemon runs that would let them in")
    add_host(connection)
    assert only_stall(connection).because == "no daemon lets them in"


def test_how_much_waits_is_told_as_it_is_known_already(connection: Connection, worker: int) -> None:
    add_jobs(connection, 41, queue="sync")
    let_time_pass(connection)
    known = [replace(one, queued=7) for one in fetch_backlog(connection)]

    (stall,) = find_stalls(connection, backlog=known)

    assert (only_stall(connection).jobs, stall.jobs) == (41, 7)


def test_a_look_reads_the_front_of_each_lane_alone(connection: Connection, worker: int) -> None:
    connection.execute(FILL, (20_000,))
    connection.execute("ANALYZE taskd.queued")

    with connection.transaction():
        before = rows_read(connection, "queued")
        assert find_stalls(connection) == []
        read = rows_read(connection, "queued") - before

    assert read <= 200


@pytest.mark.one_server
def test_a_stall_is_told_once_and_its_end_too(
    connection: Connection, worker: int, crew: Crew
) -> None:
    looker = Stalls(crew.host)
    add_jobs(connection, 3)
    let_time_pass(connection)

    looker.run(connection)
    assert crew.stories() == []  # once could be by chance
    looker.run(connection)
    looker.run(connection)
    (told,) = crew.stories()
    assert told.startswith("queue default: 3 jobs could run, 12 slots are free")
    assert told.endswith("where each worker stands")

    claim(connection, worker)
    for _ in range(3):
        looker.run(connection)
    (again,) = crew.stories()[1:]
    assert again.startswith("queue default stalls no more, after 10 min")


@pytest.mark.one_server
def test_looks_begin_after_a_minute_and_go_on_when_one_fails(
    connection: Connection, crew: Crew
) -> None:
    def fail(_: Any) -> list[Stall]:
        raise DatabaseError("gone")

    looker = Stalls(crew.host, fail)
    assert looker.due() - monotonic() == pytest.approx(STALL_SECONDS, abs=5)

    with pytest.raises(DatabaseError):
        looker.run(connection)

    assert looker.due() - monotonic() == pytest.approx(LOOK_SECONDS, abs=5)


@pytest.mark.one_server
def test_while_nothing_stalls_it_looks_once_a_minute(connection: Connection, crew: Crew) -> None:
    looker = Stalls(crew.host, lambda _: [])

    looker.run(connection)

    assert looker.due() - monotonic() == pytest.approx(CALM_SECONDS, abs=5)


@pytest.mark.one_server
def test_it_asks_nothing_as_long_as_beats_find_nothing_waiting(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(stalls_module, "monotonic", clock)
    looker = Stalls(crew.host, lambda _: [])
    clock.now += 100

    looker.see(CALM)
    calm = looker.due() > clock.now
    looker.see(replace(CALM, due=-1.0))
    overdue = looker.due() > clock.now
    looker.see(replace(CALM, lanes=(WaitingLane("mail", 5, 1),)))

    assert (calm, overdue, looker.due() > clock.now) == (True, False, False)
