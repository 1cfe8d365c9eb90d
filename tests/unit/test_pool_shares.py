"""Queues by weight: in proportion of jobs, work-conserving, without credit for the idle."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskd.config.settings import PoolSettings
from taskd.pool.lane import PROBE_SECONDS, TRAIL_SECONDS
from tests.unit.claiming import Claimant

STEP = 0.01


def claimant_of(weights: dict[str, int], **waiting: float) -> Claimant:
    lanes = {(queue, 5): waiting.get(queue, inf) for queue in weights}
    return Claimant(PoolSettings(queues=weights), lanes)


def queues(found: list[tuple[str, int]]) -> str:
    return "".join(queue for queue, _ in found)


def claim_often(claimant: Claimant, claims: int, wanted: int = 1) -> str:
    taken = ""
    for _ in range(claims):
        taken += queues(claimant.claim(wanted))
        claimant.now += STEP
    return taken


def test_one_job_after_the_other_the_queues_alternate_by_weight() -> None:
    claimant = claimant_of({"u": 5, "s": 2, "m": 1})

    taken = claim_often(claimant, 16)

    assert taken == "usmuusuu" * 2


@pytest.mark.parametrize("wanted", [8, 25, 500])
def test_a_claim_of_many_jobs_is_divided(wanted: int) -> None:
    claimant = claimant_of({"u": 5, "s": 2, "m": 1})

    taken = claim_often(claimant, 1, wanted)

    for queue, weight in (("u", 5), ("s", 2), ("m", 1)):
        assert abs(taken.count(queue) - wanted * weight / 8) <= 3


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1),
    st.lists(st.integers(1, 60), min_size=5, max_size=60),
)
def test_flooded_queues_get_their_part_of_the_jobs_whatever_the_claims(
    weights: dict[str, int], claims: list[int]
) -> None:
    claimant = claimant_of(weights)

    for wanted in claims:
        assert len(claimant.claim(wanted)) == wanted
        claimant.now += STEP

    total, jobs = sum(weights.values()), sum(claims)
    for queue, weight in weights.items():
        fair = jobs * weight / total
        # A claim is rounded up for whoever is behind: by a job for each queue before it.
        assert abs(claimant.taken[queue, 5] - fair) <= weight + len(weights) + 1


def test_large_weights_and_small_claims_are_exact_in_the_long_run() -> None:
    claimant = claimant_of({"a": 997, "b": 3})

    claim_often(claimant, 1000, 3)

    assert abs(claimant.taken["b", 5] - 9) <= 2


def test_what_an_empty_queue_leaves_the_others_take() -> None:
    claimant = claimant_of({"u": 5, "s": 2, "m": 1}, u=0)

    taken = claim_often(claimant, 30, 9)

    assert len(taken) == 270
    assert abs(taken.count("s") - 180) <= 6


def test_a_claim_is_filled_by_a_queue_that_had_its_part_already() -> None:
    claimant = claimant_of({"u": 1, "s": 8}, s=2)

    assert sorted(queues(claimant.claim(18))) == sorted("ss" + "u" * 16)


def test_a_queue_that_was_empty_has_saved_nothing_up() -> None:
    claimant = claimant_of({"u": 1, "m": 1}, m=0)
    claim_often(claimant, 1000)

    claimant.waiting["m", 5] = inf
    claimant.now += PROBE_SECONDS
    taken = claim_often(claimant, 40)

    # What came within the last probe may be made good, and not a thousand jobs.
    assert 20 <= taken.count("m") <= 20 + PROBE_SECONDS / STEP


def test_the_queue_that_was_busy_alone_has_no_debt() -> None:
    claimant = claimant_of({"u": 1, "m": 1}, m=0)
    claim_often(claimant, 1000, 100)

    claimant.waiting["m", 5] = inf
    claimant.now += PROBE_SECONDS
    taken = claim_often(claimant, 20)

    assert "u" in taken[:8] or taken.count("u") >= 5


def test_after_all_ran_empty_everybody_begins_equal() -> None:
    claimant = claimant_of({"u": 1, "m": 1}, u=500, m=0)
    claim_often(claimant, 20, 50)

    claimant.waiting = {("u", 5): inf, ("m", 5): inf}
    claimant.now += PROBE_SECONDS

    assert claim_often(claimant, 4) == "umum"


def test_workers_that_live_for_one_job_keep_the_proportion() -> None:
    claimant = claimant_of({"u": 5, "s": 2, "m": 1})

    for _ in range(800):
        claimant.claim()
        claimant.now += STEP
        claimant.replace()

    assert [claimant.taken[queue, 5] for queue in "usm"] == [500, 200, 100]


def test_new_weights_begin_anew() -> None:
    claimant = claimant_of({"u": 5, "m": 1})
    claim_often(claimant, 1000)
    claimant.table.add("x", 5)
    claimant.waiting["x", 5] = inf

    claimant.pool = PoolSettings(queues={"u": 1, "m": 1, "x": 1})
    claimant.replace()

    assert claim_often(claimant, 6) == "umxumx"


def test_within_a_queue_the_higher_priority_goes_first() -> None:
    lanes = {("u", 9): 3.0, ("u", 1): inf, ("m", 5): inf}
    claimant = Claimant(PoolSettings(queues={"u": 1, "m": 1}), lanes)

    found = [claimant.claim(4) for _ in range(2)]

    assert [found[0].count(("u", 9)), found[0].count(("u", 1))] == [2, 0]
    assert [found[1].count(("u", 9)), found[1].count(("u", 1))] == [1, 1]


def test_within_a_queue_priorities_may_age() -> None:
    lanes = {("u", 9): inf, ("u", 0): 1.0, ("m", 5): inf}
    claimant = Claimant(PoolSettings(queues={"u": 1, "m": 1}, ageing=10.0), lanes)

    claim_often(claimant, int(120 / STEP))

    assert claimant.taken["u", 0] == 1
    assert abs(claimant.taken["m", 5] - 6000) <= 2


def test_a_paused_queue_neither_gets_jobs_nor_saves_up() -> None:
    claimant = claimant_of({"u": 1, "m": 1})
    claimant.table.set_paused(1, True)
    paused = claim_often(claimant, 500)

    claimant.table.set_paused(1, False)

    assert "m" not in paused
    assert claim_often(claimant, 4) in ("umum", "mumu")


def test_what_requires_a_version_takes_from_the_share_of_its_queue() -> None:
    lanes = {("u", 5): inf, ("u@v2", 5): inf, ("m", 5): inf}
    claimant = Claimant(PoolSettings(queues={"u": 1, "m": 1}), lanes)

    claim_often(claimant, 400)

    assert [claimant.taken[lane] for lane in lanes] == [100, 100, 200]


def test_jobs_that_went_back_unstarted_are_not_counted() -> None:
    claimant = claimant_of({"u": 1, "m": 1})

    claimant.claim(8)
    claimant.lanes.gave_back([[0, 0, "u"]] * 4)

    assert claim_often(claimant, 6) == "uuuuum"


def test_a_lane_looked_at_twice_in_a_claim_is_still_looked_at_behind_its_mark() -> None:
    claimant = claimant_of({"u": 1, "m": 1}, u=2, m=2)
    claimant.claim(4)
    claimant.now += 5 * TRAIL_SECONDS

    assert claimant.claim(4) == []
    claimant.now += PROBE_SECONDS
    again = claimant.lanes.choose(4, claimant.now)

    assert again is not None
    assert {lane.start for lane in again.lanes} == {0}
