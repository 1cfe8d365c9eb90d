"""The loads of the benchmark of leaks, one of each kind, short."""

from __future__ import annotations

import random

import pytest

from benchmarks.leaks.__main__ import Outcome, table
from benchmarks.leaks.apart import run
from benchmarks.leaks.loads import LOADS
from benchmarks.leaks.replay import Record, play_one

JOBS = 17_000


def test_a_leak_in_one_of_five_tasks_is_found_under_a_noisy_load() -> None:
    found = run("all", 1, leak=20_480, jobs=JOBS)

    assert found["found_after"] <= JOBS
    assert found["bytes_a_job"] == pytest.approx(0.2 * 20_480, rel=0.25)


def test_a_cache_that_fills_slowly_is_no_leak() -> None:
    assert run("slow cache", 1, leak=0, jobs=JOBS)["found_after"] is None


def test_the_table_has_a_line_a_load() -> None:
    nothing = Outcome(
        load="all",
        runs=1,
        false_alarms=0,
        found=0,
        found_after=None,
        bytes_a_job=None,
        named=0,
        misnamed=0,
        together="",
    )

    assert len(table([nothing] * len(LOADS)).splitlines()) == len(LOADS) + 2


@pytest.mark.parametrize("seed", range(3))
def test_a_record_that_is_played_again_raises_an_alarm_only_if_it_leaks(seed: int) -> None:
    chance = random.Random(seed)
    noise = [50_000_000 + chance.randrange(20_000_000) for _ in range(4000)]
    leaking = tuple(live + 200_000 * n for n, live in enumerate(noise))

    quiet = play_one(Record("quiet", tuple(noise)), 2.0, random.Random(seed))
    found = play_one(Record("leaking", leaking), 0.5, random.Random(seed))

    assert quiet.suspected_after is None
    assert found.suspected_after is not None
