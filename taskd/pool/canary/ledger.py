"""What jobs leave behind: all that was allocated while they ran, less what was freed.

    job A runs ──switch──► job B runs ──switch──► job A ends
    └── charged to A ──┘   └─ charged to B ─┘

A job is counted when it has ended, so what it held while it ran is not in it. What is freed or
allocated while no job runs (claims, reports, the hub) is nobody's. A collection of garbage frees
what many have left: that is put down to the tasks by how many jobs of each have ended since the
last one.
"""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from math import hypot, inf, sqrt
from typing import NamedTuple

from taskd.fitting import GROUPS, Estimate, Moments, Piece, fit

PIECES = 8
"""Jobs count in the second half of all and of their task's own, to an eighth: the first ones fill
what is bounded. Of all, for a first task may fill it for all; of its own, for a last one may, too.
"""

LEAST_CHARGED = 25
"""Of a task with fewer jobs in both its charge is not known: two may happen to be alike."""

LEAST_GARBAGE = 0.02
"""When less of all that was left behind is garbage, it is not put down to anybody."""

MOST_STRETCHES = 1000

traced_job: ContextVar[int] = ContextVar("traced_job", default=0)
"""The fence of the job that runs here, in its greenlets too; 0: none does."""


def traced_bytes() -> int:
    """What Python holds of all that was allocated since tracing began."""
    return tracemalloc.get_traced_memory()[0]


class Sums:
    """Jobs of one task that follow each other: sums over what each has left behind."""

    __slots__ = ("bytes", "jobs", "squares")

    def __init__(self) -> None:
        self.jobs = 0
        self.bytes = self.squares = 0.0

    def take(self, left: float) -> None:
        """Count a job that has left so much behind."""
        self.jobs += 1
        self.bytes += left
        self.squares += left * left

    def add(self, other: Sums) -> None:
        """Count all jobs of another."""
        self.jobs += other.jobs
        self.bytes += other.bytes
        self.squares += other.squares

    @property
    def mean(self) -> float:
        """What a job leaves behind."""
        return self.bytes / self.jobs if self.jobs else 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        if self.jobs < 2:
            return inf
        variance = max(self.squares / self.jobs - self.mean**2, 0.0)
        return sqrt(variance / (self.jobs - 1))


class Charge(NamedTuple):
    """What a job of a task is charged with in the end; that may be less than nothing.

    With an error of inf it is not known, for too few of its jobs count. `common`: the same of all
    jobs in the second half of all, where what one task has too much others have too little.
    """

    task: str
    jobs: int
    estimate: Estimate
    common: Estimate


class Tally:
    """All jobs of one task, by pieces of the time of all."""

    __slots__ = ("_pieces", "jobs")

    def __init__(self) -> None:
        self.jobs = 0
        self._pieces: defaultdict[int, Sums] = defaultdict(Sums)

    def take(self, left: int, piece: int) -> None:
        """Count a job that has left so much behind."""
        self._pieces[piece].take(left)
        self.jobs += 1

    def since(self, first: int) -> Sums:
        """The jobs of this piece and of all after it."""
        found = Sums()
        for piece, sums in self._pieces.items():
            if piece >= first:
                found.add(sums)
        return found

    def has_filled(self, piece: int) -> bool:
        """Whether an eighth of its jobs are of that piece."""
        sums = self._pieces.get(piece)
        return sums is not None and sums.jobs * PIECES > self.jobs

    def half(self) -> int:
        """The first of the youngest pieces that hold at least half of its jobs."""
        jobs = 0
        for piece in sorted(self._pieces, reverse=True):
            jobs += self._pieces[piece].jobs
            if 2 * jobs >= self.jobs:
                return piece
        return 0


class Ledger:
    """The account of one canary; everything here happens in one thread.

    `held` tells what is allocated now. Nothing in `charge` may allocate a container: that could
    start a collection of garbage, which charges as well.
    """

    def __init__(self, held: Callable[[], int] = traced_bytes) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self.jobs = 0
        """How many jobs have ended."""
        self._begins = [0]  # of each piece: how many had ended by then
        self._held = held
        self._last = held()
        self._running: dict[int, int] = {}  # by fence
        self._since: defaultdict[str, int] = defaultdict(int)
        self._freed = 0
        self._stretches: list[tuple[dict[str, int], int]] = []

    @property
    def unswept(self) -> int:
        """How many jobs have ended since the last collection."""
        return sum(self._since.values())

    def begin(self, fence: int) -> None:
        """A job begins here."""
        self._running[fence] = 0
        traced_job.set(fence)
        self._last = self._held()

    def charge(self, fence: int) -> None:
        """Charge a job with all since the last charge; one that does not run: nobody."""
        now = self._held()
        if fence in self._running:
            self._running[fence] += now - self._last
        self._last = now

    def forget(self) -> None:
        """What was allocated since the last charge is nobody's."""
        self._last = self._held()

    def end(self, fence: int, task: str, stored: int = 0) -> None:
        """The job here has ended; `stored`: bytes that wait to be stored, and go then."""
        traced_job.set(0)
        self.charge(fence)
        left = self._running.pop(fence) - stored
        tally = self.tallies[task]
        is_full = (self.jobs - self._begins[-1]) * PIECES > self.jobs
        if is_full or tally.has_filled(len(self._begins) - 1):
            self._begins.append(self.jobs)
        tally.take(left, len(self._begins) - 1)
        self.jobs += 1
        self._since[task] += 1
        self.forget()

    def collected(self) -> None:
        """Garbage was collected since the last charge."""
        now = self._held()
        self._freed += self._last - now
        self._last = now

    def sweep(self) -> None:
        """Close a stretch: all garbage of its jobs was collected."""
        if len(self._stretches) < MOST_STRETCHES:
            self._stretches.append((dict(self._since), self._freed))
        self._since.clear()
        self._freed = 0

    def charges(self) -> list[Charge]:
        """What a job of each task leaves behind."""
        half = self._half()
        garbage = self._garbage(half)
        return [
            _charge(task, tally, half, garbage.get(task, Estimate(0.0, 0.0)))
            for task, tally in self.tallies.items()
            if tally.jobs > 1
        ]

    def _half(self) -> int:
        """The first of the youngest pieces that hold at least half of all jobs."""
        half = self.jobs / 2
        return next(n for n in reversed(range(len(self._begins))) if self._begins[n] <= half)

    def _garbage(self, half: int) -> dict[str, Estimate]:
        """What of that a collection frees, a job."""
        left = sum(2 * tally.since(half).bytes for tally in self.tallies.values())
        freed = sum(freed for _, freed in self._stretches)
        if not self._stretches or freed < LEAST_GARBAGE * left:
            return {}
        tasks = sorted({task for counts, _ in self._stretches for task in counts})
        return dict(zip(tasks, _fit(tasks, self._stretches), strict=True))


def _fit(tasks: Sequence[str], stretches: Sequence[tuple[dict[str, int], int]]) -> list[Estimate]:
    pieces = [Piece(0, group, Moments(len(tasks) + 1)) for group in range(GROUPS)]
    for number, (counts, freed) in enumerate(stretches):
        row = [*(float(counts.get(task, 0)) for task in tasks), float(freed)]
        pieces[number % GROUPS].moments.take(row)
    return fit([piece for piece in pieces if piece.moments.count], has_levels=False)


def _charge(task: str, tally: Tally, half: int, garbage: Estimate) -> Charge:
    own = max(half, tally.half())
    estimate, common = (_mean(tally.since(first), garbage) for first in (own, half))
    return Charge(task, tally.jobs, estimate, common)


def _mean(sums: Sums, garbage: Estimate) -> Estimate:
    error = sums.error if sums.jobs >= LEAST_CHARGED else inf
    return Estimate(sums.mean - garbage.value, hypot(error, garbage.error))
