"""The schedule that the benchmarks of resources compare with."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from benchmarks.ideal import fifo_makespan, longest_chain


def test_jobs_with_nothing_in_common_are_limited_by_slots_alone() -> None:
    needs = [(f"r{n}",) for n in range(10)]

    assert [fifo_makespan(needs, slots) for slots in (1, 3, 5, 10, 20)] == [10, 4, 2, 1, 1]


def test_jobs_of_one_resource_run_one_after_the_other() -> None:
    assert fifo_makespan([("r",)] * 7, 100) == 7


def test_a_job_waits_for_the_one_that_came_first_also_where_that_one_waits_itself() -> None:
    needs = [("a",), ("a", "b"), ("b", "c"), ("c",)]

    assert fifo_makespan(needs, 100) == 4


def test_who_was_available_first_takes_the_slot() -> None:
    needs = [("a",), (), ("a", "b"), (), ("b",), ()]

    # 0 and 1, then 3 and 5, which were available from the start, then 2, then 4
    assert fifo_makespan(needs, 2) == 4


def test_without_jobs_it_takes_no_time() -> None:
    assert fifo_makespan([], 4) == 0


def test_jobs_that_arrive_later_begin_later() -> None:
    assert fifo_makespan([("a",), ("b",)], 2, length=2.0, arrivals=[0.0, 0.5]) == 2.5
    assert fifo_makespan([("a",), ("a",)], 2, length=2.0, arrivals=[0.0, 0.5]) == 4.0
    assert fifo_makespan([("a",), ("a",)], 2, length=2.0, arrivals=[0.0, 3.0]) == 5.0


def test_jobs_that_arrive_one_after_the_other_may_take_longer_than_all_at_once() -> None:
    needs = [("c",), ("a",), ("a",), (), ("c",), ("a",)]

    assert fifo_makespan(needs, 2) == 3.0
    # 4, behind 0, is now available before 2, behind 1, whose chain of three is what takes time
    assert fifo_makespan(needs, 2, arrivals=[n / 8 for n in range(6)]) == 4.0


@pytest.mark.parametrize("seed", range(20))
def test_enough_slots_leave_the_longest_chain(seed: int) -> None:
    dice = random.Random(seed)
    needs = [dice.sample("abcdefghij", 2) for _ in range(40)]
    chain = [1] * 40
    for early, late in combinations(range(40), 2):
        if set(needs[early]) & set(needs[late]):
            chain[late] = max(chain[late], chain[early] + 1)

    assert longest_chain(needs) == max(chain)
    assert fifo_makespan(needs, 5) == max(chain)  # five resources' worth of slots: never too few


@pytest.mark.parametrize("slots", [4, 16, 32, 64])
def test_no_schedule_is_shorter_than_its_jobs_allow(slots: int) -> None:
    dice = random.Random(1)
    needs = [dice.sample([f"r{n}" for n in range(128)], 2) for _ in range(256)]

    turns = fifo_makespan(needs, slots)

    assert turns >= max(256 / slots, longest_chain(needs))
    assert turns <= 256
