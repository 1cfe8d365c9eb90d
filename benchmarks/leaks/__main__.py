"""Run every load, with and without a leak: `python -m benchmarks.leaks [--runs 4] [--json]`."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.leaks.apart import run
from benchmarks.leaks.loads import LOADS
from taskd.maintenance.attribution import attribute
from taskd.store.leaks import Account, Level

LEAK_BYTES = 10_240
LEAKING_SHARE = 0.20
LEAKING = "task 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was found in the runs of one load; jobs and bytes are medians of those found.

    `named`: in how many of these the fit named the right task, and no other; `misnamed`: in how
    many of all another. `together`: what it names, and with how many bytes, when all of the runs
    are workers of one pool.
    """

    load: str
    runs: int
    false_alarms: int
    found: int
    found_after: int | None
    bytes_a_job: int | None
    named: int
    misnamed: int
    together: str


def main() -> None:
    """Do the runs and print them as one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaks", description=__doc__)
    parser.add_argument("--runs", type=int, default=4, help="runs of each load, of each kind (4)")
    parser.add_argument("--jobs", type=int, default=30_000, help="jobs of one run (30000)")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    chosen = parser.parse_args()
    outcomes = [measure(load, chosen.runs, chosen.jobs) for load in LOADS]
    if chosen.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        print(table(outcomes))


def measure(load: str, runs: int, jobs: int) -> Outcome:
    """Run one load; each run with another seed."""
    quiet = [run(load, seed, 0, jobs) for seed in range(runs)]
    leaking = [run(load, seed, LEAK_BYTES, jobs) for seed in range(runs)]
    found = [one for one in leaking if one["found_after"] is not None]
    return Outcome(
        load=load,
        runs=runs,
        false_alarms=sum(one["found_after"] is not None for one in quiet),
        found=len(found),
        found_after=_middle([one["found_after"] for one in found]),
        bytes_a_job=_middle([one["bytes_a_job"] for one in found]),
        named=sum(_names([one]) == [LEAKING] for one in found),
        misnamed=sum(_names([one]) not in ([], [LEAKING]) for one in found)
        + sum(_names([one]) != [] for one in quiet),
        together=", ".join(f"{one.task}: {one.bytes:.0f}" for one in _blamed(leaking)),
    )


def _names(runs: Iterable[dict[str, Any]]) -> list[str]:
    return [one.task for one in _blamed(runs)]


def _blamed(runs: Iterable[dict[str, Any]]) -> list[Account]:
    """What the fit says if each run is a worker."""
    return attribute(
        [
            Level(worker, live, counts)
            for worker, run in enumerate(runs)
            for live, counts in run["levels"]
        ]
    )


def _middle(values: list[int]) -> int | None:
    return int(statistics.median(values)) if values else None


def table(outcomes: list[Outcome]) -> str:
    """The outcomes for people."""
    lines = [
        f"{'load':<12} {'false alarms':>12} {'found':>8} {'after jobs':>11} {'bytes a job':>12}"
        f" {'named':>6} {'misnamed':>9}  together"
    ]
    for one in outcomes:
        alarms, found = f"{one.false_alarms} of {one.runs}", f"{one.found} of {one.runs}"
        after, size = one.found_after or "-", one.bytes_a_job or "-"
        lines.append(
            f"{one.load:<12} {alarms:>12} {found:>8} {after:>11} {size:>12}"
            f" {one.named:>6} {one.misnamed:>9}  {one.together}"
        )
    lines.append(f"The leak is {LEAK_BYTES * LEAKING_SHARE:.0f} bytes a job of all.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
