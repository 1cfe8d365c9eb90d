"""What the ledger of a canary charges to whom; memory is a number that the tests set."""

from __future__ import annotations

from dataclasses import astuple
from math import inf

import pytest

from taskd.fitting import Estimate
from taskd.pool.canary.ledger import Charge, Ledger


class Heap:
    """What is allocated now."""

    def __init__(self) -> None:
        self.bytes = 1_000_000

    def __call__(self) -> int:
        return self.bytes


@pytest.fixture
def heap() -> Heap:
    return Heap()


@pytest.fixture
def ledger(heap: Heap) -> Ledger:
    return Ledger(heap)


def run(ledger: Ledger, heap: Heap, task: str, left: int, jobs: int = 1) -> None:
    for fence in range(1, jobs + 1):
        ledger.begin(fence)
        heap.bytes += left
        ledger.end(fence, task)


def bytes_of(ledger: Ledger) -> dict[str, int]:
    return {one.task: round(one.estimate.value) for one in ledger.charges()}


@pytest.mark.parametrize("jobs", [20, 400, 4000])
def test_what_the_first_third_of_a_tasks_jobs_leave_does_not_count(
    ledger: Ledger, heap: Heap, jobs: int
) -> None:
    run(ledger, heap, "sync", 5_000_000, jobs=jobs)
    run(ledger, heap, "sync", 300, jobs=2 * jobs)

    assert ledger.charges() == [Charge("sync", 3 * jobs, Estimate(300, 0), Estimate(300, 0))]


def test_what_tasks_fill_whose_jobs_came_first_is_not_known_by_the_others(
    ledger: Ledger, heap: Heap
) -> None:
    run(ledger, heap, "first", 4_500, jobs=270)
    run(ledger, heap, "second", 0, jobs=270)
    run(ledger, heap, "third", 20, jobs=480)

    assert [(one.task, one.jobs, *astuple(one.estimate)) for one in ledger.charges()] == [
        ("first", 270, 0, inf),
        ("second", 270, 0, 0),
        ("third", 480, 20, 0),
    ]


@pytest.mark.parametrize("first", [600, 9_000])
def test_what_the_last_task_fills_for_itself_does_not_count(
    ledger: Ledger, heap: Heap, first: int
) -> None:
    run(ledger, heap, "first", 0, jobs=first)
    run(ledger, heap, "last", 10_000, jobs=100)
    run(ledger, heap, "last", 20, jobs=300)

    assert bytes_of(ledger) == {"first": 0, "last": 20}
    (_, last) = ledger.charges()
    assert last.common.value == pytest.approx(2515)


@pytest.mark.parametrize(("late", "error"), [(2, inf), (24, inf), (25, 0)])
def test_a_few_late_jobs_that_are_alike_are_no_certainty(
    ledger: Ledger, heap: Heap, late: int, error: float
) -> None:
    run(ledger, heap, "early", 0, jobs=270)
    run(ledger, heap, "late", 0, jobs=600)
    run(ledger, heap, "early", 4_000, jobs=late)

    early, _ = ledger.charges()
    assert (early.task, early.estimate) == ("early", Estimate(4_000, error))


def test_each_job_is_charged_with_what_came_while_it_ran(ledger: Ledger, heap: Heap) -> None:
    for _ in range(10):
        ledger.begin(1)
        heap.bytes += 10_000
        ledger.charge(1)  # a switch to the other
        ledger.begin(2)
        heap.bytes += 700
        ledger.charge(2)
        heap.bytes -= 9_000
        ledger.end(1, "leak")
        heap.bytes += 50_000  # nobody runs: a claim, say
        ledger.charge(0)
        heap.bytes -= 700
        ledger.end(2, "tidy")

    assert bytes_of(ledger) == {"leak": 1000, "tidy": 0}


def test_an_outcome_that_waits_to_be_stored_is_no_leak(ledger: Ledger, heap: Heap) -> None:
    for fence in range(25):
        ledger.begin(fence)
        heap.bytes += 900
        ledger.end(fence, "sync", stored=800)

    assert bytes_of(ledger) == {"sync": 100}


def test_garbage_is_no_leak_though_another_job_ran_when_it_was_collected(
    ledger: Ledger, heap: Heap
) -> None:
    for stretch in range(30):
        run(ledger, heap, "messy", 50_000, jobs=10 + stretch % 7)
        run(ledger, heap, "leak", 2_000, jobs=10 + stretch % 5)
        ledger.begin(9)
        ledger.charge(9)
        heap.bytes -= 50_000 * (10 + stretch % 7)
        ledger.collected()
        heap.bytes += 2_000
        ledger.end(9, "leak")
        ledger.sweep()

    found = bytes_of(ledger)
    assert found["messy"] < 500
    assert found["leak"] == pytest.approx(2_000, rel=0.05)


def test_jobs_that_differ_make_it_less_sure(ledger: Ledger, heap: Heap) -> None:
    for left in (0, 2_000) * 100:
        run(ledger, heap, "sync", left)

    (charge,) = ledger.charges()
    assert charge.estimate.value == pytest.approx(1_000, rel=0.01)
    assert charge.estimate.error == pytest.approx(1_000 / 100**0.5, rel=0.1)
