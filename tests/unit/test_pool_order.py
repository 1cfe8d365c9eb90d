"""Priorities, strict and with ageing, by a given clock."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskd.board import GIVEN_BACK_LANE, HOLDERS_FROM
from taskd.config.settings import PoolSettings
from tests.unit.claiming import Claimant

AGEING = 10.0
STEP = 1.0


def seconds_until_served(
    claimant: Claimant, lane: tuple[str, int], patience: float, wanted: int = 1
) -> float:
    """How long a flood of claims, one each second, goes on before this lane is served."""
    began = claimant.now
    while claimant.now - began < patience:
        if lane in claimant.claim(wanted):
            return claimant.now - began
        claimant.now += STEP
    return inf


def test_without_ageing_a_flood_of_priority_9_starves_priority_0() -> None:
    claimant = Claimant(PoolSettings(queues=("a",)), {("a", 9): inf, ("a", 0): 1})

    assert seconds_until_served(claimant, ("a", 0), patience=1000) == inf


def test_without_ageing_nothing_is_written_on_the_board() -> None:
    claimant = Claimant(PoolSettings(queues=("a",)), {("a", 9): inf, ("a", 0): 1})

    claimant.claim(25)

    assert not any(claimant.board.slot(0).looks)
    assert not any(claimant.board.slot(0).shares)


@pytest.mark.parametrize("wanted", [1, 100])
def test_with_ageing_priority_0_is_served_once_it_has_risen_above_the_flood(wanted: int) -> None:
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), {("a", 9): inf, ("a", 0): 1})

    waited = seconds_until_served(claimant, ("a", 0), patience=1000, wanted=wanted)

    assert 9 * AGEING <= waited <= 9 * AGEING + 2 * STEP


@settings(deadline=None)
@given(st.sets(st.integers(0, 9), min_size=2), st.sampled_from([1, 7]))
def test_with_ageing_no_flooded_priority_waits_longer_than_its_bound(
    priorities: set[int], wanted: int
) -> None:
    lanes = {("a", number): inf for number in priorities}
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), lanes)
    served = dict.fromkeys(priorities, claimant.now)
    longest = 0.0

    for _ in range(int(30 * AGEING / STEP)):
        for _, number in set(claimant.claim(wanted)):
            longest = max(longest, claimant.now - served[number])
            served[number] = claimant.now
        claimant.now += STEP

    assert longest <= 9 * AGEING + 10 * STEP
    assert min(served.values()) > claimant.now - 9 * AGEING - 10 * STEP


def test_what_was_served_or_found_dry_starts_anew() -> None:
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), {("a", 9): inf, ("a", 0): 1})
    seconds_until_served(claimant, ("a", 0), patience=10 * AGEING)

    claimant.waiting["a", 0] = 1

    assert seconds_until_served(claimant, ("a", 0), patience=1000) >= 9 * AGEING - STEP


def test_a_lane_that_is_looked_at_with_every_claim_does_not_rise() -> None:
    lanes = {("a", 9): 0, ("a", 5): inf, ("a", 0): 0}
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), lanes)
    for _ in range(1000):
        claimant.claim(7)
        claimant.now += STEP

    claimant.waiting["a", 9] = 1

    assert claimant.claim(7)[0] == ("a", 9)


def test_a_replaced_worker_goes_on_with_the_age_of_its_lanes() -> None:
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), {("a", 9): inf, ("a", 0): 1})
    served = []

    for _ in range(int(10 * AGEING)):
        served += claimant.claim()
        claimant.now += STEP
        claimant.replace()

    assert ("a", 0) in served


def test_what_was_given_back_stays_first_however_old_the_rest() -> None:
    claimant = Claimant(PoolSettings(queues=("a",), ageing=AGEING), {("a", 9): inf, ("a", 0): 1})
    while claimant.now < 100.0 + 9 * AGEING + 2 * STEP:
        claimant.claim()
        claimant.now += STEP
    claimant.table.add("a", GIVEN_BACK_LANE)
    claimant.waiting["a", GIVEN_BACK_LANE] = 1

    assert claimant.claim(3) == [("a", GIVEN_BACK_LANE), ("a", 0), ("a", 9)]


def test_a_queue_listed_later_rises_through_those_before_it() -> None:
    pool = PoolSettings(queues=("urgent", "mail"), ageing=AGEING)
    claimant = Claimant(pool, {("urgent", 9): inf, ("mail", 5): 1})

    waited = seconds_until_served(claimant, ("mail", 5), patience=1000)

    assert 15 * AGEING <= waited <= 15 * AGEING + 2 * STEP


def test_as_long_as_nothing_has_aged_the_order_is_the_strict_one() -> None:
    lanes = {(queue, number): 1 for queue in ("b", "a") for number in (0, 9, 5, GIVEN_BACK_LANE)}
    strict = Claimant(PoolSettings(queues=("a", "b")), lanes)
    ageing = Claimant(PoolSettings(queues=("a", "b"), ageing=AGEING), lanes)

    assert ageing.claim(8) == strict.claim(8)


def test_a_pool_of_all_queues_takes_equal_priorities_in_turn_with_ageing_too() -> None:
    claimant = Claimant(PoolSettings(ageing=AGEING), {("a", 5): inf, ("b", 5): inf})

    taken = []
    for _ in range(7):
        taken += claimant.claim()
        claimant.now += STEP

    assert taken[1:3] * 3 == taken[1:]
    assert len(set(taken)) == 2


@pytest.mark.parametrize("ageing", [None, AGEING])
def test_who_holds_resources_goes_in_turn_with_those_of_its_priority(ageing: float | None) -> None:
    lanes = {("a", 6): 1, ("a", 5): inf, ("a", HOLDERS_FROM + 5): inf, ("a", 4): inf}
    claimant = Claimant(PoolSettings(queues=("a",), ageing=ageing), lanes)

    taken = []
    for _ in range(7):
        taken += claimant.claim()
        claimant.now += STEP

    assert taken[0] == ("a", 6)
    assert {lane: taken.count(lane) for lane in taken[1:]} == {
        ("a", 5): 3,
        ("a", HOLDERS_FROM + 5): 3,
    }


def test_workers_that_live_for_one_claim_take_from_holders_and_from_others() -> None:
    lanes = {("a", 5): inf, ("a", HOLDERS_FROM + 5): inf}
    claimant = Claimant(PoolSettings(queues=("a",)), lanes)

    for _ in range(100):
        claimant.claim()
        claimant.replace()

    assert set(claimant.taken) == set(lanes)
