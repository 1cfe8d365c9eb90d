"""Among the tasks of noisy workers the one that leaks is named, and nobody else is."""

from __future__ import annotations

import random
from math import exp

import pytest

from taskd.maintenance.attribution import attribute
from taskd.store.leaks import Level

TASKS = ("mail", "price", "sync", "image", "report")
MIX, OTHER_MIX = (0.35, 0.25, 0.20, 0.12, 0.08), (0.10, 0.20, 0.20, 0.15, 0.35)
KB = 1000


def life(
    chance: random.Random,
    worker: int,
    jobs: int = 15_000,
    leak: int = 10 * KB,
    cache: float = 0.0,
    mixes: tuple[tuple[float, ...], ...] = (MIX,),
    spikes: float = 0.0,
) -> list[Level]:
    """What a worker tells in its life, whose third task leaks: a level in 200 jobs, ±0.5 MB."""
    counts = dict.fromkeys(TASKS, 0)
    levels = []
    for done in range(1, jobs + 1):
        counts[chance.choices(TASKS, mixes[done * len(mixes) // (jobs + 1)])[0]] += 1
        if done % 200 == 0:
            live = 5e7 + leak * counts["sync"] + cache * (1 - exp(-4 * done / jobs))
            live += chance.gauss(0, 5e5) + (2e7 if chance.random() < spikes else 0.0)
            levels.append(Level(worker, live, dict(counts)))
    return levels


def lives(seed: int, workers: int = 4, **about: object) -> list[Level]:
    chance = random.Random(seed)
    return [
        level
        for worker in range(workers)
        for level in life(chance, worker, **about)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"cache": 4e7},
        {"mixes": (MIX, OTHER_MIX)},
        {"spikes": 0.02},
        {"workers": 12, "jobs": 6000},
    ],
    ids=lambda about: ", ".join(about) or "steady",
)
@pytest.mark.parametrize("seed", range(3))
def test_the_task_that_leaks_is_named_with_about_what_it_leaks(
    seed: int, about: dict[str, object]
) -> None:
    (leak,) = attribute(lives(seed, **about))  # type: ignore[arg-type]

    assert leak.task == "sync"
    assert leak.bytes == pytest.approx(10 * KB, rel=0.2)
    assert leak.low < leak.bytes < leak.high


@pytest.mark.parametrize("seed", range(5))
def test_in_all_noise_at_once_nobody_is_named_rather_than_another(seed: int) -> None:
    leaks = attribute(lives(seed, cache=4e7, mixes=(MIX, OTHER_MIX), spikes=0.01))

    assert {leak.task for leak in leaks} <= {"sync"}


@pytest.mark.parametrize("seed", range(5))
def test_a_cache_that_fills_is_put_down_to_nobody(seed: int) -> None:
    assert attribute(lives(seed, leak=0, cache=8e7)) == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_put_down_to_nobody(seed: int) -> None:
    assert attribute(lives(seed, leak=0, mixes=(MIX, OTHER_MIX), spikes=0.01)) == []


def test_of_few_levels_nothing_is_said() -> None:
    assert attribute(lives(1, workers=1, jobs=2000)) == []


def test_of_no_levels_nothing_is_said() -> None:
    assert attribute([]) == []


def test_tasks_beyond_the_most_frequent_are_one() -> None:
    chance = random.Random(1)
    levels = life(chance, 0)
    many = [
        Level(one.worker, one.live, {**one.counts, **{f"rare{n}": n for n in range(50)}})
        for one in levels + life(chance, 1)
    ]

    assert {leak.task for leak in attribute(many)} <= {"sync"}
