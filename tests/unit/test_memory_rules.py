"""What memory asks of workers, by tables of readings: no processes, no time that passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from taskd.board import Why, WorkerState
from taskd.config.memory import MemorySettings
from taskd.supervisor.actions import Action, Drain, Dump, Kill, Start
from taskd.supervisor.memory.budget import Candidate, want_of, who_gives_way
from taskd.supervisor.memory.course import Course, Reading
from taskd.supervisor.memory.rules import Held, Limits
from taskd.supervisor.plan import PoolView, Urgency, WorkerView
from tests.unit.planning import NOW, plan, pool, worker

MB = 1_000_000
LARGE = Held(bytes=450 * MB)
SOFT = "holds 450 MB, over its soft limit of 400 MB"


def limited(processes: int = 1, **settings: object) -> dict[str, PoolView]:
    """A pool with a soft limit of 400 MB and a hard one of 800."""
    view = pool(processes, **settings)["io"]
    return {"io": replace(view, limits=Limits(soft=400 * MB, hard=800 * MB))}


# -- the soft limit -------------------------------------------------------------------------------


def test_a_worker_over_its_soft_limit_gets_a_replacement_before_it_drains() -> None:
    assert plan(limited(), worker(0, held=LARGE)) == [Start("io", replaces=0, why=SOFT)]


def test_it_drains_when_its_replacement_is_ready_and_not_before() -> None:
    old = worker(0, held=LARGE)
    coming = worker(1, replaces=0, state=WorkerState.STARTING, started_at=NOW - 1)

    assert plan(limited(), old, coming) == []
    assert plan(limited(), old, replace(coming, state=WorkerState.READY)) == [
        Drain(0, f"it {SOFT}")
    ]


@pytest.mark.parametrize(
    ("held", "age"),
    [
        (Held(bytes=400 * MB), 100.0),  # at the limit is not over it
        (LARGE, 9.0),  # it has not lived for min_lifetime
        (None, 100.0),  # nothing is known of it yet
    ],
)
def test_others_stay(held: Held | None, age: float) -> None:
    assert plan(limited(), worker(0, held=held, started_at=NOW - age)) == []


def test_of_a_pool_a_tenth_is_replaced_at_once_the_largest_first() -> None:
    workers = [worker(slot, held=Held(bytes=(450 + slot) * MB)) for slot in range(20)]

    starts = plan(limited(20), *workers)

    assert [start.replaces for start in starts if isinstance(start, Start)] == [19, 18]


def test_one_that_still_drains_counts_among_those_replaced() -> None:
    draining = worker(2, held=LARGE, drained_at=NOW - 1)

    assert plan(limited(2), worker(0, held=LARGE), worker(1), draining) == []


def test_without_a_limit_nobody_is_replaced_for_memory() -> None:
    assert plan(pool(1), worker(0, held=Held(bytes=10**12))) == []


def test_who_is_to_give_way_is_replaced_for_that() -> None:
    way = Held(bytes=MB, gives_way="it has grown most, and so on")

    assert plan(pool(1), worker(0, held=way)) == [
        Start("io", replaces=0, why="it has grown most, and so on")
    ]


@pytest.mark.parametrize(("share", "is_worn"), [(1.0, False), (0.8, True)])
def test_a_worker_may_fall_short_of_max_jobs_by_its_jitter(share: float, is_worn: bool) -> None:
    pools = pool(1, memory=MemorySettings(max_jobs=100))

    actions = plan(pools, worker(0, jobs_done=85, share=share))

    assert actions == ([Start("io", replaces=0)] if is_worn else [])


def test_a_worker_too_young_is_not_replaced_for_its_jobs() -> None:
    pools = pool(1, memory=MemorySettings(max_jobs=1, min_lifetime=60.0))

    assert plan(pools, worker(0, jobs_done=9, started_at=NOW - 59)) == []
    assert plan(pools, worker(0, jobs_done=9, started_at=NOW - 60)) == [Start("io", replaces=0)]


# -- the hard limit -------------------------------------------------------------------------------

OVER = 900 * MB
HARD = {"io": replace(pool(1)["io"], limits=Limits(hard=800 * MB))}


def kill_of(actions: Sequence[Action]) -> Kill:
    (kill,) = actions
    assert isinstance(kill, Kill)
    return kill


def test_a_worker_over_its_hard_limit_whose_job_did_it_writes_where_that_stands_first() -> None:
    held = Held(bytes=OVER, suspects=(7,), is_alone=True)
    asked = worker(0, held=held, dumped=7)

    assert plan(HARD, worker(0, held=held)) == [Dump(0, 7)]
    assert plan(HARD, replace(asked, dumped_at=NOW - 0.1)) == []
    kill = kill_of(plan(HARD, replace(asked, dumped_at=NOW - 0.3)))
    assert kill.reason == "job 7 took it to 900 MB, over its hard limit of 800 MB"
    assert (kill.culprit, kill.charge, kill.why) == (7, False, Why.MEMORY)


def test_of_several_that_may_have_done_it_each_counts_a_loss_and_others_none() -> None:
    kill = kill_of(plan(HARD, worker(0, held=Held(bytes=OVER, suspects=(7, 8)))))

    assert kill.reason == "it holds 900 MB, over its hard limit of 800 MB"
    assert (kill.culprit, kill.charge, kill.suspects) == (0, True, (7, 8))


def test_a_suspect_with_neighbours_is_no_culprit() -> None:
    kill = kill_of(plan(HARD, worker(0, held=Held(bytes=OVER, suspects=(7,)))))

    assert (kill.culprit, kill.charge, kill.suspects) == (0, True, (7,))


def test_nobody_is_charged_for_a_leak_that_grew_over_many_jobs() -> None:
    kill = kill_of(plan(HARD, worker(0, held=Held(bytes=OVER, is_alone=True))))

    assert (kill.culprit, kill.charge) == (0, False)


def test_the_hard_limit_holds_for_workers_that_drain_and_while_the_daemon_stops() -> None:
    draining = worker(0, held=Held(bytes=OVER), drained_at=NOW - 1)

    assert kill_of(plan(HARD, draining, urgency=Urgency.DRAIN))


def test_a_killed_worker_is_not_killed_twice() -> None:
    gone: WorkerView = worker(0, held=Held(bytes=OVER), killed=True)

    assert not any(isinstance(action, Kill) for action in plan(HARD, gone))


# -- who is to blame ------------------------------------------------------------------------------


def course(*readings: tuple[int, tuple[int, ...]], done: Sequence[int] = ()) -> Held:
    """Readings, in MB, with the jobs that ran then; the first was when the worker was ready.

    `done`: how many had ended by each of them; none if it is not given.
    """
    one = Course(1)
    for (held, jobs), ended in zip(readings, done or [0] * len(readings), strict=True):
        one.take(Reading(held * MB), is_ready=True, jobs=jobs, done=ended)
    held_now = one.held()
    assert held_now is not None
    return held_now


def test_a_job_that_ran_alone_while_most_of_it_came_is_the_culprit() -> None:
    assert course((10, ()), (20, ()), (500, (7,)), (900, (7,))).culprit == 7


def test_a_job_that_began_when_the_worker_was_nearly_full_is_not() -> None:
    held = course((10, ()), (400, (5,)), (880, (6,)), (900, (7,)))

    assert (held.culprit, held.suspects) == (0, ())


def test_a_job_is_no_culprit_for_what_came_while_others_ran_beside_it() -> None:
    held = course((10, ()), (20, (7,)), (600, (7, 8)), (900, (7,)), (910, (7,)))

    assert (held.culprit, held.suspects) == (0, (7,))


def test_a_job_is_no_culprit_for_what_one_left_that_came_and_went_between_two_looks() -> None:
    beside = course((10, ()), (20, (7,)), (900, (7,)), done=[0, 0, 1])
    before = course((10, ()), (20, ()), (900, (7,)), done=[0, 0, 1])

    assert (beside.culprit, beside.suspects) == (before.culprit, before.suspects) == (0, (7,))


def test_a_job_that_has_become_alone_is_the_culprit_of_what_comes_then() -> None:
    held = course((10, ()), (20, (7, 8)), (100, (7,)), (900, (7,)), done=[0, 0, 1, 1])

    assert held.culprit == 7


def test_of_several_those_are_suspects_during_which_half_of_it_came() -> None:
    held = course((10, ()), (15, (1, 2)), (600, (1, 2, 3)), (900, (1, 3, 4)))

    assert (held.culprit, held.suspects) == (0, (1, 3))


def test_before_a_worker_was_ready_nothing_is_said_of_it() -> None:
    one = Course(1)
    one.take(Reading(900 * MB), is_ready=False)

    assert one.held() is None


# -- the host's budget ----------------------------------------------------------------------------

GROWN = Candidate(pid=1, pool="io", bytes=300 * MB, fresh=20 * MB)
LARGEST = Candidate(pid=2, pool="io", bytes=500 * MB, fresh=450 * MB)
OTHER = Candidate(pid=3, pool="cpu", bytes=900 * MB, fresh=20 * MB)
BUDGETS = {"io": 1000 * MB, "cpu": 2000 * MB}


def test_within_the_budget_nothing_is_wanted() -> None:
    assert want_of(1000 * MB, BUDGETS, pressure=0.0) is None


def test_over_a_pools_budget_its_most_grown_worker_gives_way() -> None:
    want = want_of(1500 * MB, BUDGETS, pressure=0.0)

    assert want is not None
    assert want.why.endswith("the daemon holds 1.5 GB, over its host budget of 1 GB")
    assert who_gives_way(want, [LARGEST, GROWN, OTHER]) == GROWN


def test_over_all_budgets_it_is_the_most_grown_of_all() -> None:
    want = want_of(2500 * MB, BUDGETS, pressure=0.0)

    assert want is not None
    assert who_gives_way(want, [LARGEST, GROWN, OTHER]) == OTHER


def test_a_machine_short_of_memory_counts_as_over_every_budget() -> None:
    want = want_of(MB, BUDGETS, pressure=0.12)

    assert want is not None
    assert "12% of the time nobody could go on" in want.why
    assert who_gives_way(want, [LARGEST, GROWN, OTHER]) == OTHER


def test_nobody_gives_way_whose_replacement_would_give_nothing_back() -> None:
    want = want_of(2500 * MB, BUDGETS, pressure=0.0)

    assert want is not None
    assert who_gives_way(want, [LARGEST]) is None
