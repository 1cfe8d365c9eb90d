"""The plan, rule by rule: what is wanted, what is there, and what is to be done."""

from __future__ import annotations

from dataclasses import replace

from taskd.board import WorkerState
from taskd.config.memory import MemorySettings
from taskd.supervisor.actions import Drain, Interrupt, Kill, Note, Start
from taskd.supervisor.plan import Urgency
from tests.unit.planning import NOW, plan, pool, worker


def test_a_full_pool_needs_nothing() -> None:
    assert plan(pool(2), worker(0), worker(1)) == []


def test_missing_workers_are_started() -> None:
    assert plan(pool(3), worker(0)) == [Start("io"), Start("io")]


def test_nothing_starts_before_a_forkserver_is_ready() -> None:
    assert plan(pool(2, generation=None)) == []


def test_nothing_starts_while_back_off_lasts() -> None:
    pools = {"io": replace(pool(2)["io"], may_start=False)}

    assert plan(pools) == []


def test_a_worker_that_drains_is_replaced_at_once() -> None:
    assert plan(pool(1), worker(0, drained_at=NOW - 1)) == [Start("io")]


def test_a_worker_that_drains_by_itself_is_noted_and_replaced_at_once() -> None:
    leaving = worker(0, state=WorkerState.DRAINING)

    assert plan(pool(1), leaving) == [Note(0), Start("io")]
    assert plan(pool(1), leaving, urgency=Urgency.DRAIN) == [Note(0)]
    assert plan(pool(1), replace(leaving, drained_at=NOW - 30), worker(1)) == [Interrupt(0)]


def test_no_more_than_twice_the_workers_of_a_pool_stand_however_many_leave() -> None:
    leaving = [worker(slot, drained_at=NOW) for slot in range(4)]

    assert plan(pool(2), *leaving[:2]) == [Start("io"), Start("io")]
    assert plan(pool(2), *leaving[:3]) == [Start("io")]
    assert plan(pool(2), *leaving[:2], worker(5)) == [Start("io")]
    assert plan(pool(2), *leaving) == []


def test_of_too_many_the_youngest_goes() -> None:
    assert plan(pool(1), worker(0), worker(1)) == [Drain(1, "one worker less is wanted")]


def test_of_too_many_old_code_goes_before_new() -> None:
    workers = worker(0, generation=1), worker(1, generation=2)

    assert plan(pool(1, generation=2), *workers) == [Drain(0, "one worker less is wanted")]


def test_old_code_is_replaced_one_worker_at_a_time() -> None:
    workers = [worker(slot) for slot in range(4)]

    assert plan(pool(4, generation=2), *workers) == [Start("io", replaces=0)]


def test_a_tenth_of_a_large_pool_is_replaced_at_once() -> None:
    workers = [worker(slot) for slot in range(30)]

    assert len(plan(pool(30, generation=2), *workers)) == 3


def test_the_old_worker_goes_on_until_its_replacement_is_ready() -> None:
    new = worker(2, generation=2, replaces=0, state=WorkerState.STARTING, started_at=NOW - 1)

    assert plan(pool(2, generation=2), worker(0), worker(1), new) == []


def test_the_old_worker_drains_when_its_replacement_is_ready() -> None:
    new = worker(2, generation=2, replaces=0)

    assert plan(pool(2, generation=2), worker(0), worker(1), new) == [Drain(0, "replaced")]


def test_the_next_replacement_waits_until_the_last_one_has_left() -> None:
    leaving = worker(0, drained_at=NOW - 1)

    assert plan(pool(2, generation=2), leaving, worker(1), worker(2, generation=2)) == []


def test_a_replacement_must_be_at_work_before_the_old_worker_drains() -> None:
    old = worker(0, in_flight=25)
    new = worker(1, generation=2, replaces=0, ready_at=NOW - 0.5)
    pools = pool(1, generation=2)

    assert plan(pools, old, replace(new, in_flight=22)) == []
    assert plan(pools, old, replace(new, in_flight=23)) == [Drain(0, "replaced")]
    assert plan(pools, old, replace(new, ready_at=NOW - 1)) == [Drain(0, "replaced")]
    assert plan(pools, worker(0), new) == [Drain(0, "replaced")]  # there are no jobs


def test_a_worker_with_enough_jobs_is_replaced() -> None:
    worn = worker(0, jobs_done=100)

    assert plan(pool(1, memory=MemorySettings(max_jobs=100)), worn) == [Start("io", replaces=0)]


def test_a_worker_past_its_lifetime_is_replaced() -> None:
    assert plan(pool(1), worker(0, lives_until=NOW - 1)) == [Start("io", replaces=0)]


def test_a_worker_that_is_ordered_to_drain_goes_when_another_is_at_work() -> None:
    ordered = worker(1, is_unwanted=True)
    cannot_start = {"io": replace(pool(2)["io"], may_start=False)}

    assert plan(pool(2), worker(0), ordered) == [Start("io", replaces=1)]
    assert plan(cannot_start, worker(0), ordered) == []
    assert plan(pool(2), worker(0), ordered, worker(2, replaces=1)) == [
        Drain(1, "it was ordered to")
    ]


def test_a_worker_that_is_ordered_to_stop_goes_at_once_and_is_interrupted() -> None:
    ordered = worker(1, is_unwanted=True, is_to_stop=True)
    drains = replace(ordered, drained_at=NOW - 0.1, state=WorkerState.DRAINING)
    deaf = replace(drains, state=WorkerState.READY)

    assert plan(pool(2), worker(0), ordered)[0] == Drain(1, "it was ordered to stop")
    assert Interrupt(1) in plan(pool(2), worker(0), drains)
    assert Interrupt(1) not in plan(pool(2), worker(0), deaf)
    assert Interrupt(1) in plan(pool(2), worker(0), replace(deaf, drained_at=NOW - 0.5))


def test_who_is_ordered_to_drain_goes_before_old_code_and_a_tenth_at_once() -> None:
    workers = [worker(slot, is_unwanted=slot >= 15) for slot in range(20)]

    assert plan(pool(20, generation=2), *workers) == [
        Start("io", replaces=15),
        Start("io", replaces=16),
    ]


def test_a_worker_whose_pool_is_gone_drains() -> None:
    other = worker(5, pool="old")

    assert plan(pool(1), worker(0), other) == [Drain(5, "its pool is no longer configured")]


def test_a_worker_that_does_not_get_ready_is_killed_and_no_job_blamed() -> None:
    stuck = worker(0, state=WorkerState.STARTING, started_at=NOW - 61)

    assert plan(pool(1), stuck) == [Kill(0, "was not ready within 60 s")]


def test_stopping_drains_every_worker_and_starts_none() -> None:
    actions = plan(pool(3), worker(0), worker(1), urgency=Urgency.DRAIN)

    assert actions == [Drain(0, "the daemon stops"), Drain(1, "the daemon stops")]


def test_what_runs_past_the_shutdown_timeout_is_interrupted() -> None:
    assert plan(pool(1), worker(0, drained_at=NOW - 29), urgency=Urgency.DRAIN) == []
    assert plan(pool(1), worker(0, drained_at=NOW - 30), urgency=Urgency.DRAIN) == [Interrupt(0)]


def test_an_interrupted_worker_is_killed_after_its_grace() -> None:
    stubborn = worker(0, drained_at=NOW - 40, interrupted_at=NOW - 5)

    (action,) = plan(pool(1), stubborn, urgency=Urgency.DRAIN)

    assert action == Kill(0, "did not end although it was interrupted")


def test_an_ill_worker_that_does_not_end_is_killed_and_its_jobs_charged() -> None:
    ill = worker(0, drained_at=NOW - 35, interrupted_at=NOW - 5, is_ill=True)

    (kill, _) = plan(pool(1), ill)

    assert kill == Kill(0, "did not end although it was interrupted", charge=True)


def test_a_second_interrupt_does_not_wait() -> None:
    draining = worker(0, drained_at=NOW)

    assert plan(pool(1), draining, urgency=Urgency.INTERRUPT) == [Interrupt(0)]


def test_a_third_interrupt_kills() -> None:
    draining = worker(0, drained_at=NOW, interrupted_at=NOW)

    (action,) = plan(pool(1), draining, urgency=Urgency.KILL)

    assert action == Kill(0, "killed on demand")


def test_a_killed_worker_is_not_killed_again() -> None:
    assert plan(pool(1), worker(0, killed=True), urgency=Urgency.KILL) == []


def test_a_worker_that_is_one_too_many_is_drained_once_although_it_is_also_replaced() -> None:
    old, other = worker(0), worker(1, generation=2, started_at=NOW - 300)
    new = worker(2, generation=2, replaces=0)

    assert plan(pool(1, generation=2), old, other, new) == [
        Drain(0, "one worker less is wanted"),
        Drain(2, "one worker less is wanted"),
    ]


def test_each_pool_is_planned_by_itself() -> None:
    pools = {**pool(2), "cpu": pool(1)["io"]}
    workers = worker(0), worker(1), worker(2, pool="cpu", drained_at=NOW)

    assert plan(pools, *workers) == [Start("cpu")]


def test_a_reload_that_wants_more_workers_starts_them_before_it_replaces() -> None:
    actions = plan(pool(3, generation=2), worker(0), worker(1))

    assert actions == [Start("io"), Start("io", replaces=0)]


def test_a_worker_killed_for_its_job_is_stood_in_for_at_once() -> None:
    assert plan(pool(1), worker(0, killed=True)) == [Start("io")]


def test_a_worker_that_is_not_announced_yet_counts() -> None:
    ordered = worker(0, state=WorkerState.EMPTY, started_at=NOW)

    assert plan(pool(1), ordered) == []


def test_stopping_does_not_wait_for_workers_that_are_starting() -> None:
    starting = worker(0, state=WorkerState.STARTING, started_at=NOW)

    assert plan(pool(1), starting, urgency=Urgency.DRAIN) == [Drain(0, "the daemon stops")]


def test_a_drained_worker_is_not_drained_again() -> None:
    assert plan(pool(1), worker(0, drained_at=NOW), urgency=Urgency.DRAIN) == []
    assert plan({}, worker(0, pool="old", drained_at=NOW)) == []


def test_a_replaced_worker_gets_the_same_time_to_drain_as_at_a_stop() -> None:
    leaving = worker(0, drained_at=NOW - 30)

    assert Interrupt(0) in plan(pool(1), leaving, worker(1))
    assert Interrupt(0) not in plan(pool(1), replace(leaving, drained_at=NOW - 29), worker(1))
