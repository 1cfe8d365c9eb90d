"""Whether what a worker's code holds grows with the jobs it has done: a leak, or something else.

    live bytes    what the allocators have handed out, not what the kernel has given: a heap that is
                  only fragmented does not grow by it
    per job       not by time: an idle worker leaks nothing, a busy one sooner
    floors        of each stretch of jobs the lowest reading: what is held only while jobs run is
                  not in it
    Theil-Sen     the median of the slopes between all pairs of floors: one spike moves it little
    Mann-Kendall  whether they rise at all, and not by chance (Mann 1945, Kendall 1975)
    straight      a cache grows as well, ever slower; a leak goes on: the slope of the younger half
                  must not fall behind
    at even load  what running jobs hold grows with their number: while that rises, nothing is said

The readings of a whole life are kept, at growing distances, so that the line becomes ever longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import sqrt

MOST_READINGS = 320
FLOORS = 40
WARM_UP = 0.25
"""So much of a life is not looked at: imports on demand, pools of connections, caches that fill."""

LEAST_JOBS = 1000
LEAST_READINGS = 60
LEAST_SLOPE = 200.0
LEAST_GROWTH = 32_000_000
"""What has grown less is not worth a word; and a cache of that size shows by then that it fills."""

SURE = 3.3
STRAIGHT = 0.7
NEEDED = 3
"""So many looks must agree, each with a twentieth more jobs than the last."""

LOOK_GROWTH = 1.05


@dataclass(frozen=True, slots=True)
class Growth:
    """How live bytes grow: bytes a job, over how many jobs, by how much, from what."""

    slope: float
    jobs: int
    bytes: int
    began_with: int


@dataclass(slots=True, eq=False)
class Trend:
    """The live bytes of one worker by the jobs it has done, and how many ran then."""

    jobs: list[int] = field(default_factory=list)
    live: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    _step: int = 1
    _look_at: float = LEAST_JOBS
    _agreed: int = 0
    _denied: int = 0

    def take(self, jobs: int, live: int, running: int = 0) -> Growth | None:
        """Take a reading after so many jobs; how it grows, when that has become certain."""
        if self.jobs and jobs < self.jobs[-1] + self._step:
            self.live[-1] = min(self.live[-1], live)
            self.running[-1] = min(self.running[-1], running)
            return None
        self.jobs.append(jobs)
        self.live.append(live)
        self.running.append(running)
        if len(self.jobs) > MOST_READINGS:
            self._thin()
        if jobs < self._look_at or len(self.jobs) < LEAST_READINGS:
            return None
        self._look_at = jobs * LOOK_GROWTH
        if load_rises(self.jobs, self.running):
            self._agreed = 0
            return None
        growth = growth_of(self.jobs, self.live)
        self._agreed = self._agreed + 1 if growth is not None else 0
        self._denied = self._denied + 1 if growth is None else 0
        return growth if self._agreed >= NEEDED else None

    @property
    def has_ended(self) -> bool:
        """Whether the last looks all saw no growth."""
        return self._denied >= NEEDED

    def doubt(self) -> None:
        """Begin anew to agree: a closer look did not confirm it."""
        self._agreed = 0

    def _thin(self) -> None:
        """Keep one of two, with the lower reading of both."""
        self._step *= 2
        self.live = _lower_of_two(self.live)
        self.running = _lower_of_two(self.running)
        self.jobs = self.jobs[1::2]


def load_rises(jobs: Sequence[int], running: Sequence[int]) -> bool:
    """Whether ever more jobs have run at once."""
    begins = _warm(jobs)
    _, load = _floors(jobs[begins:], running[begins:])
    return len(load) >= FLOORS // 2 and _rises(load) >= SURE


def growth_of(jobs: Sequence[int], live: Sequence[int]) -> Growth | None:
    """How live bytes grow, if they do for certain."""
    begins = _warm(jobs)
    x, y = _floors(jobs[begins:], live[begins:])
    if len(x) < FLOORS // 2:
        return None
    slope = _slope(x, y)
    range_ = x[-1] - x[0]
    if slope < LEAST_SLOPE or slope * range_ < LEAST_GROWTH or _rises(y) < SURE:
        return None
    half = len(x) // 2
    earlier, later = _slope(x[:half], y[:half]), _slope(x[half:], y[half:])
    if later < STRAIGHT * max(earlier, slope):
        return None
    return Growth(slope, int(range_), int(slope * range_), int(y[0]))


def _warm(jobs: Sequence[int]) -> int:
    """The first reading that is looked at."""
    return next(index for index, done in enumerate(jobs) if done >= WARM_UP * jobs[-1])


def _lower_of_two(readings: Sequence[int]) -> list[int]:
    return [min(pair) for pair in zip(readings[::2], readings[1::2], strict=False)]


def _floors(jobs: Sequence[int], live: Sequence[int]) -> tuple[list[float], list[float]]:
    size = max(len(jobs) // FLOORS, 1)
    starts = range(0, len(jobs) - size + 1, size)
    return (
        [sum(jobs[start : start + size]) / size for start in starts],
        [float(min(live[start : start + size])) for start in starts],
    )


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Theil and Sen's: the median of all slopes."""
    slopes = sorted(
        (y[j] - y[i]) / (x[j] - x[i]) for i, j in combinations(range(len(x)), 2) if x[j] > x[i]
    )
    return slopes[len(slopes) // 2]


def _rises(y: Sequence[float]) -> float:
    """Mann and Kendall's score: standard deviations by which more pairs rise than fall."""
    n = len(y)
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(y, 2))
    return (score - (score > 0) + (score < 0)) / sqrt(n * (n - 1) * (2 * n + 5) / 18)
