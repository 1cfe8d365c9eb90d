"""Which task of a pool leaks, from what its workers held after how many jobs of each task.

    held = level of the worker + bytes·jobs of task 1 + bytes·jobs of task 2 + … + what caches hold

The bytes a job of each task are fitted to all workers of the pool together, on all hosts: where one
has run more jobs of a task than another, it must hold more. Levels and not their increments are
fitted, because a job in flight holds more than many have leaked. A cache that fills looks like
1 - exp(-jobs/n) for some n, a leak does not; so a few such terms stand beside the tasks and take up
what would otherwise be put down to the most frequent one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import exp

from taskd.fitting import GROUPS, Estimate, Moments, Piece, fit
from taskd.store.leaks import Account, Level

MOST_TASKS = 20
"""The most frequent tasks are told apart; all others together are one."""

CACHES = (1 / 30, 1 / 8, 1 / 3)
"""After which parts of the longest life the caches are two thirds full that are reckoned with."""

WARM_UP = 0.08
"""So much of a worker's life is not looked at: imports on demand, pools of connections."""

LEAST_LEVELS = 24
LEAST_BYTES = 200.0
CERTAIN = 3.5
"""Standard errors that the bytes of a task must be away from none: of many tasks one is always
somewhat off."""

LEAST_SHARE = 0.2
"""A task that leaks less of all that has leaked is not told: it may be error."""

MOST_DEVIATIONS = 4.0
"""A level that is further off than so many mean deviations is a spike, and is brought so near."""

_CACHE_BYTES = 1e6


@dataclass(frozen=True, slots=True)
class _Row:
    series: int
    group: int
    weight: int
    values: tuple[float, ...]


def attribute(levels: Sequence[Level]) -> list[Account]:
    """The tasks that leak for certain, the one that has leaked most first.

    The levels of each worker stand together, in order of time.
    """
    lives = _lives(levels)
    if sum(map(len, lives)) < LEAST_LEVELS:
        return []
    jobs = _jobs_of(lives)
    tasks = sorted(jobs, key=lambda task: -jobs[task])[:MOST_TASKS]
    rows = _rows(lives, tasks)
    first = _fit(rows)
    rows = _without_spikes(rows, [one.value for one in first])
    leaking = _verdict(tasks, jobs, _fit(rows))
    if not leaking:
        return []
    # The innocent have a share of every error, for none is negative: so now without them.
    guilty = [task for task in tasks if task in {one.task for one in leaking}]
    return _verdict(guilty, jobs, _fit(_of_tasks(rows, [tasks.index(task) for task in guilty])))


def jobs_of(levels: Sequence[Level]) -> dict[str, int]:
    """How many jobs of each task the levels are about, in the same order."""
    return _jobs_of(_lives(levels))


def _lives(levels: Sequence[Level]) -> list[list[Level]]:
    lives = [_warm(list(life)) for _, life in groupby(levels, key=lambda one: one.worker)]
    return [life for life in lives if len(life) >= 3]


def _warm(life: list[Level]) -> list[Level]:
    begin = WARM_UP * sum(life[-1].counts.values())
    return [level for level in life if sum(level.counts.values()) >= begin]


def _jobs_of(lives: Iterable[Sequence[Level]]) -> dict[str, int]:
    """How many jobs of each task the levels are about."""
    jobs: defaultdict[str, float] = defaultdict(float)
    for life in lives:
        for task, count in life[-1].counts.items():
            jobs[task] += count - life[0].counts.get(task, 0.0)
    return {task: round(count) for task, count in jobs.items()}


def _rows(lives: Sequence[Sequence[Level]], tasks: Sequence[str]) -> list[_Row]:
    """A row a level: jobs of each task, of all others, the caches, and what is held.

    With fewer workers than groups the lives are cut into stretches.
    """
    longest = max(sum(life[-1].counts.values()) for life in lives)
    stretches = -(-GROUPS // len(lives))
    rows = []
    for series, life in enumerate(lives):
        for number, level in enumerate(life):
            stretch = number * stretches // len(life)
            group = (series * stretches + stretch) % max(GROUPS, stretches)
            values = _values(level, life[0], tasks, longest)
            rows.append(_Row(series, group, level.readings, values))
    return rows


def _values(level: Level, first: Level, tasks: Sequence[str], longest: float) -> tuple[float, ...]:
    """Differences to the first level keep the sums small, and so exact."""
    counts = level.counts
    own = [counts.get(task, 0.0) - first.counts.get(task, 0.0) for task in tasks]
    done, before = sum(counts.values()), sum(first.counts.values())
    caches = [
        _CACHE_BYTES * (exp(-before / (part * longest)) - exp(-done / (part * longest)))
        for part in CACHES
    ]
    return (*own, done - before - sum(own), *caches, level.live - first.live)


def _fit(rows: Iterable[_Row]) -> list[Estimate]:
    moments: dict[tuple[int, int], Moments] = {}
    for row in rows:
        place = row.series, row.group
        if place not in moments:
            moments[place] = Moments(len(row.values))
        moments[place].take(row.values, row.weight)
    return fit([Piece(series, group, sums) for (series, group), sums in moments.items()])


def _without_spikes(rows: Sequence[_Row], coefficients: Sequence[float]) -> list[_Row]:
    """The same rows, with what is held brought near to what it should be."""
    rest = [
        row.values[-1] - sum(c * x for c, x in zip(coefficients, row.values[:-1], strict=True))
        for row in rows
    ]
    middle: dict[int, float] = {}
    for series, pairs in groupby(zip(rows, rest, strict=True), key=lambda pair: pair[0].series):
        values = sorted(value for _, value in pairs)
        middle[series] = values[len(values) // 2]
    off = [value - middle[row.series] for row, value in zip(rows, rest, strict=True)]
    most = MOST_DEVIATIONS * sum(map(abs, off)) / len(off)
    return [
        replace(row, values=(*row.values[:-1], row.values[-1] - by + _within(by, most)))
        for row, by in zip(rows, off, strict=True)
    ]


def _of_tasks(rows: Iterable[_Row], columns: Sequence[int]) -> list[_Row]:
    """The same rows with these tasks alone, and the caches."""
    kept = -1 - len(CACHES)
    return [
        replace(row, values=(*(row.values[i] for i in columns), *row.values[kept:])) for row in rows
    ]


def _within(value: float, most: float) -> float:
    return max(-most, min(value, most))


def _verdict(
    tasks: Sequence[str], jobs: Mapping[str, int], estimates: Sequence[Estimate]
) -> list[Account]:
    found = list(zip(tasks, estimates, strict=False))
    all_leaked = sum(one.value * jobs[task] for task, one in found)
    leaking = [
        Account(task=task, jobs=jobs[task], bytes=one.value, low=one.low, high=one.high)
        for task, one in found
        if one.value > CERTAIN * one.error
        and one.value >= LEAST_BYTES
        and one.value * jobs[task] >= LEAST_SHARE * all_leaked
    ]
    return sorted(leaking, key=lambda one: -one.bytes * one.jobs)
