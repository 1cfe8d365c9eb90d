"""Which pools are to have a canary, and what the plan does about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskd.board import WorkerState
from taskd.supervisor.actions import Drain, Start
from taskd.supervisor.memory.canaries import TRIES, Canaries
from taskd.supervisor.memory.rules import Held, Limits
from tests.unit.planning import NOW, plan, pool, worker


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


def test_a_suspected_pool_wants_one_until_it_has_seen_enough(canaries: Canaries) -> None:
    assert not canaries.wants("io")
    canaries.suspect("io")
    assert canaries.wants("io")
    assert not canaries.wants("cpu")

    canaries.ended("io")

    assert not canaries.wants("io")


def test_a_suspicion_that_lasts_starts_no_second_one(canaries: Canaries) -> None:
    canaries.suspect("io")
    canaries.ended("io")
    canaries.suspect("io")

    assert not canaries.wants("io")


def test_who_asks_gets_another_one(canaries: Canaries) -> None:
    canaries.suspect("io")
    canaries.ended("io")
    canaries.hunt("io")

    assert canaries.wants("io")


def test_new_code_may_be_suspected_anew(canaries: Canaries) -> None:
    canaries.suspect("io")
    canaries.ended("io")
    canaries.forget_rests()
    canaries.suspect("io")

    assert canaries.wants("io")


def test_canaries_that_do_not_live_long_enough_are_not_started_for_ever(canaries: Canaries) -> None:
    canaries.suspect("io")
    for _ in range(TRIES):
        assert canaries.wants("io")
        canaries.started("io")

    assert not canaries.wants("io")


WANTED = {"io": replace(pool(2)["io"], wants_canary=True)}


def test_a_canary_is_started_beside_the_workers() -> None:
    assert plan(WANTED, worker(0), worker(1)) == [Start("io", is_canary=True)]


@pytest.mark.parametrize("drained_at", [None, NOW - 1])
def test_of_a_pool_there_is_one_canary_at_most(drained_at: float | None) -> None:
    canary = worker(2, is_canary=True, drained_at=drained_at)

    assert plan(WANTED, worker(0), worker(1), canary) == []


def test_a_canary_that_is_ordered_to_drain_does() -> None:
    canary = worker(2, is_canary=True, is_unwanted=True)

    assert plan(pool(2), worker(0), worker(1), canary) == [Drain(2, "it was ordered to")]


def test_a_canary_stands_in_for_nobody() -> None:
    assert plan(pool(2), worker(0), worker(2, is_canary=True)) == [Start("io")]


def test_a_canary_over_twice_its_soft_limit_ends_and_nobody_replaces_it() -> None:
    limited = {"io": replace(pool(1)["io"], limits=Limits(soft=100))}
    canary = worker(1, is_canary=True, held=Held(bytes=200), started_at=NOW - 100)

    assert plan(limited, worker(0), canary) == []
    (drain,) = plan(limited, worker(0), replace(canary, held=Held(bytes=201)))

    assert isinstance(drain, Drain)
    assert drain.slot == 1


def test_a_canary_of_old_code_ends() -> None:
    old = worker(1, is_canary=True, generation=1)

    assert plan(pool(1, generation=2), worker(0, generation=2), old) == [Drain(1, "replaced")]


def test_a_canary_that_does_not_become_ready_is_killed_as_any_other() -> None:
    late = worker(1, is_canary=True, state=WorkerState.STARTING, started_at=NOW - 1000)

    (kill, *_) = plan(pool(1), worker(0), late)

    assert "was not ready within" in str(kill)
