"""Whether a line of readings is a leak: the detector by itself, on lines that are drawn."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from taskd.supervisor.memory.trend import Growth, Trend

MB = 1_000_000
KB = 1_000


def watch(
    live: Callable[[int], float],
    jobs: int = 30_000,
    per: int = 100,
    noise: float = 300 * KB,
    running: Callable[[int], int] = lambda jobs: 25,
) -> tuple[int, Growth] | None:
    """Draw a line with noise, one reading in `per` jobs; when it was taken for a leak."""
    chance, trend = random.Random(7), Trend()
    for done in range(per, jobs, per):
        held = 50 * MB + live(done) + abs(chance.gauss(0, noise))
        growth = trend.take(done, int(held), running(done))
        if growth is not None:
            return done, growth
    return None


def test_a_leak_is_found_with_its_size() -> None:
    found = watch(lambda jobs: 2 * KB * jobs, jobs=40_000)

    assert found is not None
    done, growth = found
    assert done <= 30_000
    assert growth.slope == pytest.approx(2 * KB, rel=0.05)


def test_it_is_found_as_well_where_few_jobs_leak_much() -> None:
    found = watch(lambda jobs: MB * jobs, jobs=3_000, per=2)

    assert found is not None
    assert found[0] < 3_000


def test_it_is_found_after_a_long_life_without_one() -> None:
    found = watch(lambda jobs: max(0, jobs - 100_000) * 4 * KB, jobs=400_000, per=500)

    assert found is not None


@pytest.mark.parametrize(
    "live",
    [
        lambda jobs: 0.0,
        lambda jobs: 60 * MB * (1 - math.exp(-jobs / 15_000)),  # a cache that fills slowly
        lambda jobs: 10 * MB * math.log1p(jobs),
        lambda jobs: 40 * MB if jobs > 15_000 else 0.0,  # other work, once and for all
        lambda jobs: 30 * MB if jobs % 5_000 < 300 else 0.0,  # spikes
        lambda jobs: 10 * MB * math.sin(jobs / 3_000),
        lambda jobs: 0.05 * KB * jobs,  # too little to matter
    ],
    ids=["flat", "cache", "logarithm", "step", "spikes", "waves", "crumbs"],
)
def test_what_is_no_leak_is_not_taken_for_one(live: Callable[[int], float]) -> None:
    assert watch(live, jobs=100_000) is None


def rising(jobs: int) -> int:
    """A load that rises from one job at once to 25, slowly and evenly, and stays there."""
    return 1 + min(24 * jobs // 40_000, 24)


def test_what_ever_more_running_jobs_hold_is_no_leak() -> None:
    assert watch(lambda jobs: 2 * MB * rising(jobs), jobs=100_000, running=rising) is None


def test_a_leak_under_a_rising_load_is_found_when_that_is_even() -> None:
    found = watch(lambda jobs: 4 * KB * jobs, jobs=100_000, running=rising)

    assert found is not None
    assert found[1].slope == pytest.approx(4 * KB, rel=0.05)


def test_a_life_whose_jobs_came_nearly_all_at_once_says_nothing() -> None:
    trend = Trend()

    assert [trend.take(jobs, MB * jobs) for jobs in (*range(1, 70), 10_000)] == [None] * 70


def test_a_rising_load_does_not_end_a_leak() -> None:
    trend = Trend()
    for done in range(100, 90_000, 100):
        trend.take(done, 4 * KB * done, rising(max(done - 30_000, 0)))

    assert not trend.has_ended


def test_readings_without_new_jobs_add_nothing() -> None:
    trend = Trend()

    assert [trend.take(500, 50 * MB + reading) for reading in range(2000)] == [None] * 2000
    assert len(trend.jobs) == 1


def test_a_whole_life_is_kept_in_few_readings() -> None:
    trend = Trend()
    for jobs in range(1, 200_000):
        trend.take(jobs, 50 * MB)

    assert 160 <= len(trend.jobs) <= 320
    assert trend.jobs[-1] > 199_000


def test_a_line_that_was_not_confirmed_must_prove_itself_anew() -> None:
    trend = Trend()
    found = [done for done in range(100, 30_000, 100) if trend.take(done, 2 * KB * done)]
    trend.doubt()

    again = [done for done in range(30_000, 60_000, 100) if trend.take(done, 2 * KB * done)]

    assert found
    assert again[0] >= 31_500
