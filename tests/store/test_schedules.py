"""Exactly one job a slot, whoever tries, and the newest wish of those who live."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest

from taskd.store import hosts, jobs, notify, retention, schedules
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry
from tests.crew import Crew
from tests.store.keepers import count
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.store.timetables import (
    HOUR,
    NEW,
    declare,
    end,
    fire,
    make_chore,
    make_due,
    nightly,
    row,
    settle,
    the_due,
)
from tests.waiting import eventually

ConnectAgain = Callable[[], Connection]

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.fixture
def host(connection: Connection) -> int:
    """A host that wants an hourly schedule `nightly`, which is settled."""
    found = declare(connection, nightly())
    settle(connection)
    return found


def queued(connection: Connection) -> int:
    return count(connection, "SELECT count(*) FROM taskd.queued")


# --- one job a slot -------------------------------------------------------------------------------


def test_of_many_hosts_that_try_at_once_one_enqueues_the_job_of_a_slot(
    connection: Connection, connect_again: ConnectAgain, host: int
) -> None:
    hosts_at_once, slots = 8, 12
    start = threading.Barrier(hosts_at_once + 1)

    def be_a_host(own: Connection) -> None:
        chore = make_chore(Crew())
        for _ in range(slots):
            start.wait(20)
            chore.run(own)
            start.wait(20)

    threads = [
        threading.Thread(target=be_a_host, args=(connect_again(),)) for _ in range(hosts_at_once)
    ]
    for thread in threads:
        thread.start()
    enqueued = []
    for _ in range(slots):
        connection.execute("DELETE FROM taskd.queued")
        make_due(connection)
        start.wait(20)
        start.wait(20)
        enqueued.append(queued(connection))
    for thread in threads:
        thread.join(20)

    assert enqueued == [1] * slots


def test_a_slot_that_another_host_is_just_firing_is_not_waited_for(
    connection: Connection, connect_again: ConnectAgain, host: int
) -> None:
    make_due(connection)
    due = the_due(connection)
    other = connect_again()
    other.execute("BEGIN")
    assert fire(other, due)

    meanwhile = fire(connection, due)
    other.execute("COMMIT")
    afterwards = fire(connection, due)

    assert (meanwhile, afterwards) == (None, None)
    assert queued(connection) == 1


def test_a_host_that_is_late_finds_the_slot_taken_though_the_next_is_due_as_well(
    connection: Connection, host: int
) -> None:
    make_due(connection, ago=600)
    due = the_due(connection)
    fire(connection, due, next_at=due.next_at + timedelta(seconds=300))

    assert fire(connection, due) is None
    assert queued(connection) == 1


def test_a_slot_is_given_back_with_the_transaction_that_fired_it(
    connection: Connection, connect_again: ConnectAgain, host: int
) -> None:
    make_due(connection)
    due = the_due(connection)
    other = connect_again()
    other.execute("BEGIN")
    fire(other, due)
    other.execute("ROLLBACK")

    assert fire(connection, due) is not None
    assert queued(connection) == 1


def test_what_is_due_is_said_by_the_clock_of_the_database_alone(
    connection: Connection, host: int
) -> None:
    make_due(connection)
    due = the_due(connection)
    make_due(connection, ago=-0.5)
    early = row(connection)

    fired = fire(connection, type(due)(**{**fields(due), "next_at": early.next_at}))

    assert fired is None
    assert schedules.due_schedules(connection) == []


def fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


def test_a_job_says_for_which_slot_it_is_and_the_schedule_which_job_was_the_last(
    connection: Connection, host: int
) -> None:
    make_due(connection)
    due = the_due(connection)

    fired = fire(connection, due)

    (job,) = fired or []
    found = connection.execute("SELECT id, run_at, extra FROM taskd.queued").fetchone()
    after = row(connection)
    assert found == (job, due.next_at, {"schedule": "nightly"})
    assert (after.last_job, after.last_at, after.last_state) == (job, due.next_at, "queued")
    assert after.next_at == due.next_at + HOUR


def test_missed_slots_get_a_job_each_in_their_order(connection: Connection, host: int) -> None:
    make_due(connection)
    due = the_due(connection)
    slots = tuple(due.next_at - n * HOUR for n in (3, 2, 1))

    fired = fire(connection, due, slots=slots)

    found = connection.execute("SELECT id, run_at FROM taskd.queued ORDER BY seq").fetchall()
    assert found == list(zip(fired or [], slots, strict=True))


def test_slots_that_are_let_go_leave_no_job(connection: Connection, host: int) -> None:
    before, _ = schedules.run_schedule(connection, "nightly", NEW, skip=True)
    make_due(connection)
    due = the_due(connection)

    fired = fire(connection, due, slots=(), skip=True)

    after = row(connection)
    assert fired == []
    assert queued(connection) == 1
    assert after.next_at == due.next_at + HOUR
    assert (after.last_job, after.last_at, after.skipped_at) == (before, None, None)


def test_a_schedule_whose_last_slot_has_come_has_no_next(connection: Connection, host: int) -> None:
    make_due(connection)

    fire(connection, the_due(connection), next_at=None)

    assert row(connection).next_at is None
    assert schedules.next_slot(connection) is None


# --- overlap --------------------------------------------------------------------------------------


@pytest.mark.one_server
@pytest.mark.parametrize(
    ("state", "fires"),
    [
        ("queued", False),
        ("running", False),
        ("waiting for its retry", False),
        ("succeeded", True),
        ("failed", True),
        ("cancelled", True),
        ("dropped with its history", True),
    ],
)
def test_with_skip_a_slot_has_no_job_while_the_last_one_has_not_ended(
    connection: Connection, host: int, state: str, fires: bool
) -> None:
    make_due(connection)
    (job,) = fire(connection, the_due(connection)) or []
    bring_into(connection, job, state)
    make_due(connection)
    due = the_due(connection)

    fired = fire(connection, due, skip=True)

    after = row(connection)
    assert fired is not None
    assert bool(fired) is fires
    assert (after.skipped_at is None) is fires
    assert after.next_at == due.next_at + HOUR


def bring_into(connection: Connection, job: int, state: str) -> None:
    if state == "queued":
        return
    if state == "cancelled":
        jobs.cancel_jobs(connection, [job])
        return
    worker = add_worker(connection)
    (claimed,) = claim(connection, worker)
    match state:
        case "running":
            return
        case "waiting for its retry":
            jobs.retry_jobs(connection, worker, [JobRetry(job, fence_of(claimed), 0.1, "r", 60.0)])
        case _:
            ended = JobEnd(job, fence_of(claimed), 0.1, "f" if state == "failed" else "s")
            jobs.complete_jobs(connection, worker, [ended])
    if state.startswith("dropped"):
        connection.execute("DELETE FROM taskd.history")


def test_with_queue_a_slot_has_its_job_whatever_the_last_one_does(
    connection: Connection, host: int
) -> None:
    for _ in range(2):
        make_due(connection)
        fire(connection, the_due(connection), skip=False)

    assert queued(connection) == 2


def test_whether_the_last_job_has_ended_is_seen_by_indexes_alone(
    connection: Connection, host: int
) -> None:
    add_jobs(connection, 5000)
    add_jobs(connection, 5000, delay=600)
    connection.execute("ANALYZE taskd.queued, taskd.scheduled")
    make_due(connection)
    fire(connection, the_due(connection))
    make_due(connection)

    with connection.transaction():
        fire(connection, the_due(connection), skip=True)
        scans = connection.execute(
            "SELECT pg_stat_get_xact_numscans('taskd.queued'::regclass), "
            "pg_stat_get_xact_numscans('taskd.scheduled'::regclass), "
            "pg_stat_get_xact_numscans('taskd.running'::regclass)"
        ).fetchone()

    assert scans == (0, 0, 0)


# --- run, pause, resume ---------------------------------------------------------------------------


def test_a_job_can_be_had_at_once_beside_the_slots(connection: Connection, host: int) -> None:
    before = row(connection)

    job, busy = schedules.run_schedule(connection, "nightly", NEW, skip=True)

    after = row(connection)
    assert busy is None
    assert after.last_job == job
    assert (after.next_at, after.last_at) == (before.next_at, None)


def test_with_skip_no_job_is_to_be_had_while_the_last_has_not_ended(
    connection: Connection, host: int
) -> None:
    first, _ = schedules.run_schedule(connection, "nightly", NEW, skip=True)

    assert schedules.run_schedule(connection, "nightly", NEW, skip=True) == (None, first)
    assert queued(connection) == 1


def test_a_paused_schedule_is_never_due_and_never_fired(connection: Connection, host: int) -> None:
    make_due(connection)
    due = the_due(connection)

    assert schedules.pause_schedule(connection, "nightly")

    assert schedules.due_schedules(connection) == []
    assert schedules.next_slot(connection) is None
    assert fire(connection, due) is None
    assert not schedules.pause_schedule(connection, "nightly")


def test_a_resumed_schedule_goes_on_with_the_slot_that_it_is_given(
    connection: Connection, host: int
) -> None:
    schedules.pause_schedule(connection, "nightly")
    seen = row(connection)
    assert seen.next_at is not None

    resumed = schedules.resume_schedule(connection, seen, seen.next_at + HOUR)

    assert resumed
    assert row(connection).next_at == seen.next_at + HOUR
    assert not schedules.resume_schedule(connection, seen, seen.next_at)


def test_a_pause_survives_deploys_and_restarts(connection: Connection, host: int) -> None:
    schedules.pause_schedule(connection, "nightly")

    new = declare(connection, nightly(args=[2]))
    end(connection, host)
    settle(connection)
    end(connection, new)
    declare(connection, nightly(args=[3]))
    settle(connection)

    assert row(connection).args == "[3]"
    assert row(connection).paused


@pytest.mark.one_server
@pytest.mark.parametrize("change", ["pause", "resume", "settle"])
def test_hosts_are_told_of_each_change(
    connection: Connection, connect_again: ConnectAgain, host: int, change: str
) -> None:
    if change == "resume":
        schedules.pause_schedule(connection, "nightly")
    listening = connect_again()
    notify.listen(listening)

    match change:
        case "pause":
            schedules.pause_schedule(connection, "nightly")
        case "resume":
            schedules.resume_schedule(connection, row(connection), row(connection).next_at)
        case _:
            declare(connection, nightly(args=[2]), host=host)
            settle(connection)

    assert next(listening.notifies(timeout=5)).payload == '"schedule"'


# --- what holds when hosts differ -----------------------------------------------------------------


def test_a_new_schedule_begins_with_its_first_slot_from_now_on(
    connection: Connection, host: int
) -> None:
    found = row(connection)

    assert found.next_at is not None
    assert timedelta(0) < found.next_at - found.now <= HOUR
    assert found.next_at.minute == found.next_at.second == 0


@pytest.fixture
def deploy(connection: Connection) -> tuple[int, int]:
    """An old and a new host that want `nightly` differently; the new one's wish holds."""
    old = declare(connection, nightly(args=["old"]))
    settle(connection)
    new = declare(connection, nightly(args=["new"]))
    settle(connection)
    assert row(connection).args == '["new"]'
    return old, new


def test_an_old_host_that_starts_again_in_a_deploy_does_not_bring_its_wish_back(
    connection: Connection, deploy: tuple[int, int]
) -> None:
    old, _ = deploy
    changed_at = row(connection).changed_at

    for _ in range(3):
        end(connection, old)
        old = declare(connection, nightly(args=["old"]))
        settle(connection)

    assert row(connection).args == '["new"]'
    assert row(connection).changed_at == changed_at


def test_a_wish_keeps_its_rank_though_for_a_while_nobody_has_it(
    connection: Connection, deploy: tuple[int, int]
) -> None:
    old, _ = deploy
    end(connection, old)
    retention.prune_records(connection, 3600)

    declare(connection, nightly(args=["old"]))
    settle(connection)

    assert row(connection).args == '["new"]'


def test_after_a_roll_back_the_old_wish_holds_as_soon_as_the_last_new_host_is_gone(
    connection: Connection, deploy: tuple[int, int]
) -> None:
    _, new = deploy

    end(connection, new)
    settle(connection)

    assert row(connection).args == '["old"]'


def test_what_one_living_host_has_goes_on_whatever_others_leave_out(
    connection: Connection, host: int
) -> None:
    declare(connection)
    settle(connection)

    assert row(connection).removed_at is None


def test_what_no_living_host_has_any_more_is_not_fired_even_before_that_is_settled(
    connection: Connection, host: int
) -> None:
    make_due(connection)
    due = the_due(connection)
    declare(connection)
    end(connection, host)

    before = fire(connection, due)
    settle(connection)

    assert before is None
    assert row(connection).removed_at is not None
    assert schedules.due_schedules(connection) == []
    assert schedules.next_slot(connection) is None


def test_nothing_is_taken_for_removed_before_a_living_host_has_spoken(
    connection: Connection, host: int
) -> None:
    end(connection, host)
    add_host(connection)
    make_due(connection, ago=600)
    missed = row(connection).next_at

    settle(connection)
    while_silent = row(connection).removed_at
    declare(connection, nightly())
    settle(connection)

    assert while_silent is None
    assert row(connection).removed_at is None
    assert row(connection).next_at == missed


def test_a_schedule_that_comes_back_soon_still_has_its_missed_slots(
    connection: Connection, host: int
) -> None:
    make_due(connection, ago=600)
    missed = row(connection).next_at
    end(connection, host)
    declare(connection)
    settle(connection)
    assert row(connection).removed_at is not None

    declare(connection, nightly())
    settle(connection)

    assert row(connection).removed_at is None
    assert row(connection).next_at == missed


def test_a_schedule_that_comes_back_after_days_begins_anew(
    connection: Connection, host: int
) -> None:
    make_due(connection, ago=600)
    declare(connection, host=host)
    settle(connection)
    connection.execute("UPDATE taskd.schedule SET removed_at = now() - interval '3 days'")

    declare(connection, nightly(), host=host)
    settle(connection)

    assert row(connection).removed_at is None
    assert schedules.due_schedules(connection) == []


@pytest.mark.one_server
@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        ({"args": [2]}, True),
        ({"options": {"catch_up": "none", "catch_up_limit": 1, "overlap": "queue"}}, True),
        ({"spec": {"every": 1800.0}}, False),
        ({"spec": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}}, False),
    ],
)
def test_only_other_times_make_another_next_slot(
    connection: Connection, host: int, change: dict[str, object], keeps: bool
) -> None:
    make_due(connection, ago=600)
    before = row(connection).next_at

    declare(connection, nightly(**change), host=host)
    settle(connection)

    assert (row(connection).next_at == before) is keeps
    assert keeps or schedules.due_schedules(connection) == []


def test_a_settling_that_comes_late_does_not_bring_a_fired_slot_back(
    connection: Connection, host: int
) -> None:
    declare(connection, nightly(spec={"every": 1800.0}), host=host)
    (unsettled,) = schedules.unsettled_schedules(connection)
    declare(connection, nightly(), host=host)
    make_due(connection)
    due = the_due(connection)
    fire(connection, due)
    declare(connection, nightly(spec={"every": 1800.0}), host=host)

    late = schedules.settle_schedule(connection, unsettled, keep=False, next_at=due.next_at)
    settle(connection)

    assert not late
    assert schedules.due_schedules(connection) == []


def test_a_settling_by_somebody_who_saw_less_changes_nothing(
    connection: Connection, host: int
) -> None:
    declare(connection, host=host)
    (unsettled,) = schedules.unsettled_schedules(connection)
    declare(connection, nightly(), host=host)

    assert not schedules.settle_schedule(connection, unsettled, keep=True, next_at=None)
    assert row(connection).removed_at is None


def test_hosts_that_speak_at_once_end_up_with_one_definition_each(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    names = [f"s{number}" for number in range(20)]
    start = threading.Barrier(4)

    def speak(own: Connection) -> None:
        host = add_host(own)
        start.wait(20)
        declare(own, *map(nightly, names), host=host)
        settle(own)

    in_threads(*[partial(speak, connect_again()) for _ in range(4)])

    assert [one.name for one in schedules.list_schedules(connection)] == sorted(names)
    assert count(connection, "SELECT count(*) FROM taskd.schedule_definition") == 20


def test_hosts_that_speak_in_different_orders_do_not_block_each_other(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    one, other, three = connect_again(), connect_again(), add_host(connection)
    one.execute("BEGIN")
    declare(one, nightly("a"))

    def speak_first() -> None:
        eventually(lambda: count(connection, WAITING))
        declare(one, nightly("a"), nightly("b"), host=three)
        one.execute("COMMIT")

    in_threads(speak_first, partial(declare, other, nightly("b"), nightly("a")))

    assert count(connection, "SELECT count(*) FROM taskd.schedule_definition") == 2


def in_threads(*actions: Callable[[], object]) -> None:
    """Do all at once; what one of them raises is raised here."""
    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(action) for action in actions]:
            done.result(30)


# --- the beat, retention --------------------------------------------------------------------------


def test_a_beat_tells_when_the_first_slot_is_due(connection: Connection, host: int) -> None:
    declare(connection, nightly(), nightly("second"), nightly("paused"), host=host)
    settle(connection)
    make_due(connection, ago=-30)
    make_due(connection, "second", ago=-90)
    make_due(connection, "paused", ago=600)
    schedules.pause_schedule(connection, "paused")

    slot = hosts.beat_host(connection, host, None).slot

    assert slot is not None
    assert 25 < slot <= 30
    assert abs((schedules.next_slot(connection) or 0) - slot) < 5


def test_a_beat_without_schedules_tells_none(connection: Connection) -> None:
    assert hosts.beat_host(connection, add_host(connection), None).slot is None


def test_what_nobody_has_had_for_long_is_forgotten(connection: Connection, host: int) -> None:
    declare(connection, nightly("kept"), host=host)
    settle(connection)
    connection.execute(
        "UPDATE taskd.schedule SET removed_at = now() - interval '8 days' WHERE name = 'nightly'"
    )
    declare(connection, nightly("kept", args=[2]), host=host)
    settle(connection)

    pruned = schedules.prune_schedules(connection, 7 * 86400.0)

    assert pruned == 1
    assert [one.name for one in schedules.list_schedules(connection)] == ["kept"]
    assert count(connection, "SELECT count(*) FROM taskd.schedule_definition") == 1
