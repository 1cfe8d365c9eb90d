from __future__ import annotations

import math

import pytest

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


def test_the_rest_of_a_pause_is_told() -> None:
    backoff = Backoff()
    backoff.ended(lived=0.0, now=100.0)

    assert backoff.pause(100.0) == pytest.approx(0.1)
    assert backoff.pause(100.2) == math.inf


def test_a_pause_can_be_forgotten() -> None:
    backoff = Backoff()
    backoff.ended(lived=0.0, now=100.0)

    backoff.forget()

    assert backoff.may_start(100.0)
