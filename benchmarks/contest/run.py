"""All cases, runs and systems, in turns, so that a machine that becomes slower hits all alike."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.contest.bench import Bench
from benchmarks.contest.case import Case, Values
from benchmarks.contest.environments import programs_of
from benchmarks.contest.failure import CaseFailed
from benchmarks.contest.sizes import Sizes
from benchmarks.contest.stores import opened
from benchmarks.peers.peer import System
from taskd.store.embedded import Server

FAILURES = (CaseFailed, subprocess.SubprocessError, OSError, psycopg.Error)
"""What may go wrong with one system while the others can still be measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, or why there is none."""

    case: str
    system: str
    run: int
    values: Values
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be measured."""

    cases: Sequence[Case]
    systems: Sequence[System]
    runs: int
    sizes: Sizes
    keeps_history: bool


@dataclass(slots=True)
class Runner:
    """Carries a plan out on one server."""

    plan: Plan
    server: Server
    tools: Path
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def samples(self) -> Iterator[Sample]:
        """Each as soon as it is there."""
        for run in range(1, self.plan.runs + 1):
            for case in self.plan.cases:
                if case.limit is not None:
                    yield self._limit(case, run)
                for system in self._in_turn(case, run):
                    yield self._sample(case, system, run)

    def _in_turn(self, case: Case, run: int) -> list[System]:
        """Another system begins each run."""
        systems = [one for one in self.plan.systems if one.is_ours or not case.is_ours]
        first = (run - 1) % len(systems) if systems else 0
        return systems[first:] + systems[:first]

    def _sample(self, case: Case, system: System, run: int) -> Sample:
        print(f"{case.name}: run {run}, {system.name} …", file=sys.stderr, flush=True)
        try:
            return Sample(case.name, system.name, run, self._measure(case, system))
        except FAILURES as failure:
            return Sample(case.name, system.name, run, {}, _first_line(failure))

    def _measure(self, case: Case, system: System) -> Values:
        programs = programs_of(system.peer)
        with tempfile.TemporaryDirectory(prefix="taskd-bench-") as name:
            folder = Path(name)
            (folder / "state").mkdir()
            database = f"bench_{next(self._numbers)}"
            with opened(system.store, self.server, database, folder) as store:
                sizes, keeps = self.plan.sizes, self.plan.keeps_history
                bench = Bench(system, programs, folder, store, sizes, keeps)
                bench.client("prepare")
                return case.run(bench)

    def _limit(self, case: Case, run: int) -> Sample:
        if case.limit is None:
            raise ValueError(f"{case.name} has no limit")
        try:
            values = case.limit(self.server, self.tools, self.plan.sizes)
        except FAILURES as failure:
            return Sample(case.name, case.limit_name, run, {}, _first_line(failure))
        return Sample(case.name, case.limit_name, run, values)


def _first_line(failure: BaseException) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__
