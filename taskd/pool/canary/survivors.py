"""What jobs have left behind that is still there, hundreds of jobs later.

    jobs of the canary   1 ── 40 ── 50 ─ … ─ 125 ── … ── 500 ───────────── 1000: a look
    cohorts of each task    0     1      …    │ these tell │ too young: a cache
                         too early: imports   │            │ may hold it yet

Each job runs in a frame of a file that is named after its cohort: the jobs of one task that have
begun at about the same time. tracemalloc keeps the frames of each piece of memory, so a look tells
how much of each cohort is alive. Of a cache that is full nothing is left of the jobs of long ago,
whoever has put it there and whoever has thrown it out; of a leak everything is.

Not seen is what has other frames: of threads and greenlets that a job has started, and of calls
deeper than FRAMES; and what is allocated anew as it grows, such as one long bytearray, for it
belongs to the youngest cohort then. The ledger sees these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from math import sqrt
from types import FunctionType
from typing import ParamSpec, Protocol, TypeVar, cast

from taskd.fitting import SURE, Estimate
from taskd.pool.canary.pieces import Frames

P = ParamSpec("P")
R = TypeVar("R")

WARM_UP_JOBS = 20
"""The first jobs of each task are not counted: they import, connect, and fill caches."""

FIRST_JOBS = 40
GROWTH = 1.25
"""The first cohorts end after so many jobs of all tasks, the next after so many times as many."""

LEAST_COHORTS = 2
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36)
"""So many errors are 95 % by Student's distribution, for so few cohorts and each one more."""

OLD, TOO_OLD = 1 / 2, 1 / 8
"""Those cohorts tell that have begun within these shares of all jobs."""


class _Calls(Protocol):
    def __call__(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def _call(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return function(*args, **kwargs)


class Cohort:
    """Jobs of one task that begin at about the same time; `call` runs what is theirs."""

    def __init__(self, task: str, number: int) -> None:
        self.task, self.number = task, number
        self.mark = f"{__file__}:{number} {task}"
        self.begun = self.ended = 0
        self.places: dict[Frames, int] = {}
        code = _call.__code__.replace(co_filename=self.mark)
        self.call = cast(_Calls, FunctionType(code, {"__name__": __name__}))


class Survivors:
    """The cohorts of one canary; everything here happens in one thread."""

    def __init__(self) -> None:
        self._ends = [FIRST_JOBS]
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._cohorts: dict[tuple[str, int], Cohort] = {}
        self._marks: set[str] = set()
        self._telling: list[Cohort] = []
        self._begun = 0

    def begin(self, task: str) -> Cohort:
        """The cohort of a job that begins now."""
        if self._begun >= self._ends[-1]:
            self._ends.append(int(self._ends[-1] * GROWTH))
        self._begun += 1
        self._seen[task] += 1
        number = len(self._ends) - 1 if self._seen[task] > WARM_UP_JOBS else 0
        cohort = self._cohorts.get((task, number))
        if cohort is None:
            cohort = self._cohorts[task, number] = Cohort(task, number)
            self._marks.add(cohort.mark)
        cohort.begun += 1
        return cohort

    def look(self, pieces: Mapping[Frames, int]) -> dict[Frames, int]:
        """Note what is alive of each cohort; the same pieces, whichever cohort has made them.

        Garbage is to be collected before.
        """
        for cohort in self._telling:
            cohort.places = {}
        self._telling = [one for one in self._cohorts.values() if self._tells(one)]
        telling = {cohort.mark: cohort for cohort in self._telling}
        places: defaultdict[Frames, int] = defaultdict(int)
        for frames, size in pieces.items():
            outer = next((n for n, (file, _) in enumerate(frames) if file in self._marks), None)
            places[frames[:outer]] += size
            if outer is not None and frames[outer][0] in telling:
                telling[frames[outer][0]].places[frames] = size
        return places

    def _tells(self, cohort: Cohort) -> bool:
        if not 0 < cohort.number < len(self._ends) or cohort.begun > cohort.ended:
            return False  # too early; or somebody runs, and holds something
        begin, end = self._ends[cohort.number - 1], self._ends[cohort.number]
        return TOO_OLD * self._begun <= begin and end <= OLD * self._begun

    def estimates(self) -> dict[str, Estimate]:
        """What was alive of a job at the last look, of each task with cohorts to compare."""
        telling: defaultdict[str, list[Cohort]] = defaultdict(list)
        for cohort in self._telling:
            telling[cohort.task].append(cohort)
        enough = {task: some for task, some in telling.items() if len(some) >= LEAST_COHORTS}
        return {task: _estimate(some) for task, some in enough.items()}

    def places(self, task: str) -> list[tuple[Frames, int]]:
        """Where that was allocated."""
        telling = [cohort for cohort in self._telling if cohort.task == task]
        return [place for cohort in telling for place in cohort.places.items()]


def _estimate(cohorts: list[Cohort]) -> Estimate:
    """The mean of all jobs; its error by what it would be without each of the cohorts.

    So what a single one of them holds makes the mean unsure, however large that cohort is.
    """
    jobs = sum(one.begun for one in cohorts)
    alive = [sum(one.places.values()) for one in cohorts]
    whole, many = sum(alive), len(cohorts)
    without = [
        (whole - held) / (jobs - one.begun) for one, held in zip(cohorts, alive, strict=True)
    ]
    middle = sum(without) / many
    squares = sum((one - middle) ** 2 for one in without)
    surer = _STUDENT[min(many - LEAST_COHORTS, len(_STUDENT) - 1)] / SURE
    return Estimate(whole / jobs, surer * sqrt(squares * (many - 1) / many))
