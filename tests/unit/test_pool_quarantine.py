"""When a busy worker makes room for a suspect: the rule alone, with a clock that is given."""

from __future__ import annotations

from typing import Any, cast

import pytest

from taskd.pool.lanes import Suspects
from taskd.pool.quarantine import LOOK_SECONDS, PATIENCE_SECONDS, Quarantine


class Surroundings:
    """What the rule sees: a worker with jobs, suspects that wait, and what the others have."""

    knows_suspects = True
    may_find_suspects = True

    def __init__(self) -> None:
        self.has_jobs = True
        self.waiting = frozenset({"mail"})
        self.has_fewest = True
        self.looks = 0

    def find_suspects(self) -> frozenset[str]:
        self.looks += 1
        return self.waiting

    def has_fewest_jobs(self, queues: frozenset[str]) -> bool:
        return self.has_fewest and queues == self.waiting


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def rule(around: Surroundings) -> Quarantine:
    any_part = cast(Any, around)
    return Quarantine(any_part, any_part, any_part)


def test_the_one_with_the_fewest_jobs_stands_back(rule: Quarantine, around: Surroundings) -> None:
    others = []
    for around.has_fewest in (True, False, True):
        others.append(rule.stands_back(10.0))

    assert others == [True, False, True]


def test_nobody_stands_back_when_no_suspect_waits(rule: Quarantine, around: Surroundings) -> None:
    around.waiting = frozenset()

    assert not rule.stands_back(10.0)


def test_the_database_is_asked_once_a_second(rule: Quarantine, around: Surroundings) -> None:
    for step in range(20):
        rule.stands_back(10.0 + step * LOOK_SECONDS / 10)

    assert around.looks == 2


def test_it_stands_back_for_a_while_goes_on_as_long_and_is_then_more_patient(
    rule: Quarantine,
) -> None:
    states = {
        now: rule.stands_back(now)
        for now in (0, 29, 30, 59, 60, 119, 120, 179, 180, 299, 300)  # seconds of patience: 30, 60
    }

    assert [now for now, stands in states.items() if stands] == [0, 29, 60, 119, 180, 299]
    assert PATIENCE_SECONDS == 30


def test_after_a_suspect_others_have_their_turn_for_as_long_as_it_took(
    rule: Quarantine, around: Surroundings
) -> None:
    around.has_jobs = False
    turns = [rule.turn(100.0)]
    rule.begin(100.0)
    around.has_jobs = True
    during = rule.is_on(107.0), rule.turn(107.0)
    around.has_jobs = False
    after = rule.is_on(110.0)
    turns += [rule.turn(110.0), rule.turn(119.0), rule.turn(121.0)]

    assert (during, after) == ((True, Suspects.LEAVE), False)
    assert turns == [Suspects.FIRST, Suspects.LAST, Suspects.LAST, Suspects.FIRST]
