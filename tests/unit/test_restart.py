from __future__ import annotations

from taskd.supervisor.restart import Backoff


def test_pauses_grow_from_failure_to_failure_up_to_a_bound() -> None:
    backoff = Backoff()

    pauses = [backoff.ended(lived=0.1, now=float(n)) for n in range(12)]

    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == Backoff.LAST


def test_nothing_starts_before_the_pause_is_over() -> None:
    backoff = Backoff()
    backoff.ended(lived=0.0, now=100.0)

    assert not backoff.may_start(100.05)
    assert backoff.may_start(100.2)


def test_what_has_lived_long_enough_is_replaced_at_once() -> None:
    backoff = Backoff()
    backoff.ended(lived=0.0, now=0.0)
    backoff.ended(lived=0.0, now=0.0)

    assert backoff.ended(lived=60.0, now=100.0) == 0.0
    assert backoff.may_start(100.0)
    assert backoff.ended(lived=0.0, now=200.0) == Backoff.FIRST
