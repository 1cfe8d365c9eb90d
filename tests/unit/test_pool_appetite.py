from __future__ import annotations

from taskd.pool.appetite import MOST, Appetite

SLOTS = 25


def fed(rate: float, seconds_each: float = 0.0, seconds: float = 10.0) -> Appetite:
    """An appetite after `seconds` of so many jobs a second, each of which took so long."""
    appetite = Appetite(SLOTS)
    appetite.measure(0, 0.0, 100.0)
    for step in range(1, int(seconds * 10) + 1):
        ended = int(rate * step / 10)
        appetite.measure(ended, ended * seconds_each, 100.0 + step / 10)
    return appetite


def test_a_fresh_worker_wants_a_job_for_each_slot() -> None:
    assert Appetite(SLOTS).wanted(open_slots=25, ready=0) == 25


def test_quick_jobs_are_held_for_a_tenth_of_a_second_ahead() -> None:
    assert fed(rate=2000).wanted(open_slots=0, ready=0) == 200


def test_no_claim_is_larger_than_the_most() -> None:
    assert fed(rate=100_000).wanted(open_slots=25, ready=0) == MOST


def test_nothing_is_claimed_before_half_of_the_store_has_begun() -> None:
    appetite = fed(rate=2000)

    assert appetite.wanted(open_slots=0, ready=101) == 0
    assert appetite.wanted(open_slots=0, ready=100) == 100


def test_slow_jobs_are_not_held_at_all_when_every_slot_is_busy() -> None:
    assert fed(rate=2, seconds_each=5).wanted(open_slots=0, ready=0) == 0


def test_jobs_that_sleep_and_end_all_at_once_are_not_taken_for_quick_ones() -> None:
    appetite = Appetite(SLOTS)
    appetite.measure(0, 0.0, 100.0)

    appetite.measure(25, 2.5, 100.105)
    appetite.measure(50, 5.0, 100.205)
    appetite.measure(74, 7.4, 100.210)

    assert appetite.limit(open_slots=0) <= 25


def test_jobs_that_become_slow_are_not_hoarded() -> None:
    appetite = fed(rate=10_000)

    appetite.measure(100_000, 0.0, 110.3)

    assert appetite.hoarded(open_slots=0, ready=500) == 500


def test_what_begins_soon_is_not_hoarded() -> None:
    assert fed(rate=2000).hoarded(open_slots=0, ready=400) == 0


def test_jobs_for_open_slots_are_not_hoarded() -> None:
    assert Appetite(SLOTS).hoarded(open_slots=25, ready=25) == 0
