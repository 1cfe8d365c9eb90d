from __future__ import annotations

from taskd.pool.appetite import MOST, Appetite


def fed(rate: float, seconds: float = 10.0) -> Appetite:
    """An appetite after `seconds` of so many jobs a second."""
    appetite = Appetite()
    appetite.measure(0, 100.0)
    for step in range(1, int(seconds * 10) + 1):
        appetite.measure(int(rate * step / 10), 100.0 + step / 10)
    return appetite


def test_a_fresh_worker_wants_a_job_for_each_slot() -> None:
    assert Appetite().wanted(open_slots=25, ready=0) == 25


def test_quick_jobs_are_held_for_fifty_milliseconds_ahead() -> None:
    assert fed(rate=4000).wanted(open_slots=0, ready=0) == 200


def test_no_claim_is_larger_than_the_most() -> None:
    assert fed(rate=100_000).wanted(open_slots=25, ready=0) == MOST


def test_nothing_is_claimed_before_half_of_the_store_has_begun() -> None:
    appetite = fed(rate=4000)

    assert appetite.wanted(open_slots=0, ready=101) == 0
    assert appetite.wanted(open_slots=0, ready=100) == 100


def test_slow_jobs_are_not_held_at_all_when_every_slot_is_busy() -> None:
    assert fed(rate=2).wanted(open_slots=0, ready=0) == 0


def test_jobs_that_become_slow_are_not_hoarded() -> None:
    appetite = fed(rate=10_000)
    ended = 100_000
    for step in range(1, 20):
        appetite.measure(ended, 110.0 + step / 10)

    assert appetite.hoarded(open_slots=0, ready=500) == 500


def test_what_begins_soon_is_not_hoarded() -> None:
    assert fed(rate=4000).hoarded(open_slots=0, ready=400) == 0


def test_jobs_for_open_slots_are_not_hoarded() -> None:
    assert Appetite().hoarded(open_slots=25, ready=25) == 0
