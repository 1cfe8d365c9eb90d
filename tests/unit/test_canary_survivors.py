"""What jobs have left that is alive long after, seen by the real tracemalloc; and what follows."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from math import inf

import pytest

from taskd.fitting import SURE, Estimate
from taskd.pool.canary.ledger import Charge
from taskd.pool.canary.pieces import FRAMES, pieces
from taskd.pool.canary.survivors import Survivors
from taskd.pool.canary.verdict import spare_alike, weigh


@pytest.fixture
def survivors() -> Iterator[Survivors]:
    tracemalloc.start(FRAMES)
    yield Survivors()
    tracemalloc.stop()


def run(survivors: Survivors, task: str, function: Callable[[int], object], size: int) -> None:
    cohort = survivors.begin(task)
    cohort.call(function, size)
    cohort.ended += 1


def bytes_of(survivors: Survivors) -> dict[str, tuple[float, float]]:
    gc.collect()  # it empties Python's lists of free objects, too, which are somebody's memory
    survivors.look(pieces())
    return {task: (one.value, one.error) for task, one in survivors.estimates().items()}


def charge(task: str, jobs: int, value: float, error: float) -> Charge:
    """Of a task whose jobs came all the time."""
    return Charge(task, jobs, Estimate(value, error), Estimate(value, error))


def test_a_leak_is_seen_to_the_byte_and_a_full_cache_not_at_all(survivors: Survivors) -> None:
    kept: list[bytes] = []
    cache: deque[bytes] = deque(maxlen=300)
    first: list[bytes] = []

    def leak(size: int) -> None:
        cache.append(bytes(5000))
        kept.append(bytes(size))

    def fill(size: int) -> None:
        cache.append(bytes(size))
        if len(first) < 20:
            first.append(bytes(100_000))  # what it has once and for all

    for number in range(1000):
        run(survivors, "leak", leak, 967)  # 1,000 with what an object costs
        run(survivors, "fill", fill, 2000 + number)
    assert bytes_of(survivors) == {"leak": (1000, 0), "fill": (0, 0)}


def test_what_a_job_holds_that_runs_for_long_is_no_leak(survivors: Survivors) -> None:
    kept: list[bytes] = []

    def leak(size: int) -> None:
        kept.append(bytes(size))

    for _ in range(200):
        run(survivors, "sync", leak, 967)
    slow = survivors.begin("sync")
    slow.call(leak, 10_000_000)
    for _ in range(800):
        run(survivors, "sync", leak, 967)

    assert bytes_of(survivors) == {"sync": (1000, 0)}
    slow.ended += 1
    assert bytes_of(survivors)["sync"][0] > 10_000


def test_what_one_large_group_of_jobs_holds_is_not_held_against_all(survivors: Survivors) -> None:
    kept: list[bytes] = []

    def once(number: int) -> None:
        if number == 400:
            kept.append(bytes(1_000_000))

    bursts = {*range(25), 160, 200, 250, 300, *range(365, 450)}
    for number in range(1000):
        run(survivors, "burst" if number in bursts else "steady", once, number)
    value, error = bytes_of(survivors)["burst"]

    assert value > 1000
    assert value - SURE * error < 0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_leak_of_one_job_in_five_is_the_mean_of_all(survivors: Survivors, seed: int) -> None:
    """Of a task that is a fifth of all jobs itself."""
    chance = random.Random(seed)
    kept: list[bytes] = []

    def now_and_then(_: int) -> None:
        if chance.random() < 0.2:
            kept.append(bytes(49_967))  # 50,000 with what an object costs

    def tidy(_: int) -> None:
        pass

    for number in range(1000):
        is_leaking = chance.random() < 0.2
        run(survivors, *(("sync", now_and_then) if is_leaking else ("tidy", tidy)), number)
    bytes_of(survivors)
    survived = survivors.estimates()
    (account,) = weigh([Charge("sync", 200, *[survived["sync"]] * 2)], survived)

    assert account.low >= 512
    assert account.bytes == survived["sync"].value
    assert 5000 < account.bytes < 20_000


def test_a_table_that_grew_in_one_job_of_a_hundred_is_no_mean_of_all(survivors: Survivors) -> None:
    kept: list[bytes] = []

    def once(number: int) -> None:
        if number == 300:
            kept.append(bytes(25_000))

    for number in range(1000):
        run(survivors, "rare" if number % 8 == 4 else "other", once, number)
    bytes_of(survivors)
    survived = survivors.estimates()
    (account,) = weigh([charge("rare", 125, 400, 300)], survived)

    assert survived["rare"].value > 512
    assert (account.bytes, account.low) == (0, 0)
    assert account.may_leave > 512


def said(charges: dict[str, tuple[int, float, float]], **survived: float) -> dict[str, float]:
    estimates = {task: Estimate(value, 0) for task, value in survived.items()}
    accounts = weigh(
        [charge(task, jobs, *rest) for task, (jobs, *rest) in charges.items()], estimates
    )
    return {one.task: one.bytes for one in accounts}


def test_what_survives_is_believed_if_it_may_be_all_that_was_charged() -> None:
    charges = {"leak": (200, 1200.0, 200.0), "tidy": (400, 700.0, 200.0), "rare": (9, 700.0, 900.0)}

    assert said(charges, leak=1000, tidy=0) == {"leak": 1000, "tidy": 0, "rare": 0}


def test_a_charge_that_is_not_known_is_no_witness() -> None:
    charges = {"first": (300, 0.0, inf), "leak": (400, 2000.0, 50.0), "new": (300, 0.0, inf)}

    assert said(charges, first=2000.0) == {"first": 2000, "leak": 2000, "new": 0}


def test_of_whom_the_charge_is_not_known_anything_may_be_left() -> None:
    (account,) = weigh([charge("early", 300, 0.0, inf)], {"early": Estimate(0.0, 0.0)})

    assert (account.bytes, account.low, account.may_leave) == (0, 0, inf)


def test_what_no_frame_tells_is_what_the_ledger_says() -> None:
    """One long list that grows, say: the youngest cohort has all of it."""
    charges = {"leak": (200, 5000.0, 200.0), "tidy": (800, -300.0, 200.0)}

    assert said(charges, leak=0, tidy=0) == {"leak": 5000, "tidy": 0}


def test_what_one_task_allocates_and_another_frees_is_no_leak() -> None:
    charges = {"fetch": (500, 5000.0, 20.0), "store": (500, -4990.0, 20.0)}

    assert said(charges, fetch=0, store=0) == {"fetch": 0, "store": 0}
    assert said(charges, fetch=0) == {"fetch": 0, "store": 0}


@pytest.mark.parametrize(
    ("error", "likely", "told"),
    [
        (0, 1000, 1000),
        (500, 500, 1000),
        (501, 499, 998),
        (488, 512, 1000),
        (750, 250, 500),
        (1000, 0, 0),
        (2e3, 0, 0),
    ],
)
def test_a_mean_that_is_not_sure_is_told_as_twice_the_least_that_is_likely(
    error: float, likely: float, told: float
) -> None:
    (one,) = weigh([charge("sync", 200, 1000, 1)], {"sync": Estimate(1000, error / SURE)})

    assert (one.bytes, one.low, one.high) == pytest.approx((told, likely, 1000 + error))


def test_a_mean_that_is_accused_is_told_however_unsure() -> None:
    (one,) = weigh([charge("sync", 200, 9000, 1)], {"sync": Estimate(9000, 8000 / SURE)})

    assert (one.bytes, one.low) == pytest.approx((9000, 1000))


def test_what_is_charged_and_too_little_to_be_believed_is_no_acquittal() -> None:
    (one,) = weigh([charge("sync", 60, 8000, 100)], {"sync": Estimate(0, 0)})

    assert (one.bytes, one.low) == (0, 0)
    assert one.may_leave > 512


def test_what_one_has_too_little_by_so_little_is_not_believed_either() -> None:
    charges = {"leak": (400, 500.0, 10.0), "tidy": (900, -2000.0, 10.0)}

    assert said(charges, leak=1500, tidy=0) == {"leak": 1500, "tidy": 0}


def test_what_may_have_survived_is_no_surplus_of_the_ledger() -> None:
    """Told is none of it, but it is weighed: without it, the ledger would be believed."""
    unsure = {"rare": Estimate(900, 500), "sync": Estimate(0, 0)}
    charges = [charge("rare", 500, 1100, 100), charge("sync", 500, 0, 100)]

    rare, _ = weigh(charges, unsure)
    (believed, _) = weigh(charges, {**unsure, "rare": Estimate(0, 500)})

    assert (rare.bytes, rare.low) == (0, 0)
    assert believed.low > 512


def test_nobody_is_accused_by_the_ledger_of_so_little_that_a_cache_may_hold_it() -> None:
    few = [charge("rare", 60, 1500, 20), charge("sync", 900, 0, 20)]

    (rare, _) = weigh(few, {"sync": Estimate(0, 0)})

    assert (rare.bytes, rare.low, rare.may_leave) == (0, 0, 1500)


def test_what_a_leaking_task_has_too_much_is_held_against_no_other() -> None:
    """None of its jobs are old, so all of it is the ledger's; beside it, that is wrong by less."""
    charges = {
        "leak": (200, 10_000.0, 100.0),
        "busy": (300, 1600.0, 200.0),
        "new": (90, 1400.0, 90.0),
    }

    assert said(charges, busy=40) == {"leak": 10_000, "busy": 40, "new": 0}


def test_what_one_has_too_much_others_may_have_too_little_of_at_another_time() -> None:
    """The first two in a cache of all that is full: what one throws out is the other's."""
    thrown = Charge("late", 500, Estimate(0, 10), Estimate(-10_000, 10))
    charges = [charge("fetch", 500, 10_000, 10), thrown]
    survived = {"fetch": Estimate(0, 0), "late": Estimate(0, 0)}

    assert [one.low for one in weigh(charges, survived)] == [0, 0]
    assert [one.low for one in weigh([charges[0]], survived)] != [0]


def test_with_few_jobs_tasks_that_leave_as_much_as_others_are_spared() -> None:
    charges = [charge(task, 50, 5500, 0) for task in ("a", "b", "c")]
    charges.append(charge("leak", 50, 15_500, 0))

    accounts = spare_alike(weigh(charges, {}))

    assert {one.task for one in accounts if one.low} == {"leak"}


def test_with_few_jobs_what_others_may_leave_spares_as_well() -> None:
    charges = [charge(task, 100, 5500, 2000) for task in ("a", "b", "c")]
    charges.append(charge("alike", 100, 6000, 0))

    accounts = spare_alike(weigh(charges, {}))

    assert {one.task for one in accounts if one.low} == set()


def test_with_few_jobs_those_of_whom_nothing_is_known_spare_as_well() -> None:
    charges = [charge("first", 150, 0, inf), charge("second", 150, 5000, 0)]

    accounts = spare_alike(weigh(charges, {}))

    assert {one.task for one in accounts if one.low} == set()


def test_with_few_jobs_tasks_of_hardly_any_spare_nobody() -> None:
    charges = [charge(task, 2, 5500, inf) for task in ("a", "b", "c")]
    charges.append(charge("leak", 100, 10_000, 0))

    accounts = spare_alike(weigh(charges, {}))

    assert {one.task for one in accounts if one.low} == {"leak"}
