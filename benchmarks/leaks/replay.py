"""Recorded workers without a leak, played again for worker-hours: how often one is suspected.

python -m benchmarks.leaks.replay --hours 1000

The readings of runs of each load are recorded. A life that is played is one of them: its first
half as it was, with all that fills and warms up, then stretches of its second half at random, a
reading a second, at a pace of jobs that is drawn for each life. The collection of garbage that a
master asks for before it suspects a worker is left out: it would tell of fewer than are counted.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.leaks.apart import run
from benchmarks.leaks.loads import LOADS
from taskd.supervisor.memory.trend import Trend

RECORDED_JOBS = 60_000
SHORTEST_HOURS, LONGEST_HOURS = 0.5, 24.0
SLOWEST, QUICKEST = 2.0, 500.0
"""Jobs a second."""

STRETCHES = (10, 60)
"""Readings that stay together."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker held, in bytes, reading by reading."""

    load: str
    live: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Life:
    """A life that was played: the hours, and after how many jobs it was suspected, if it was."""

    load: str
    hours: float
    suspected_after: int | None


def record(loads: Sequence[str], seeds: int) -> Iterator[Record]:
    """Run each load with several seeds, each in a process of its own."""
    for load in loads:
        for seed in range(seeds):
            levels = run(load, seed, 0, RECORDED_JOBS)["levels"]
            yield Record(load, tuple(live for live, _ in levels))


def play(records: Sequence[Record], hours: float, chance: random.Random) -> Iterator[Life]:
    """Lives of together so many hours, their records in turn."""
    played = 0.0
    while played < hours:
        for one in records:
            span = chance.uniform(SHORTEST_HOURS, LONGEST_HOURS)
            yield play_one(one, span, chance)
            played += span


def play_one(record: Record, hours: float, chance: random.Random) -> Life:
    """One life, to its first suspicion or its end."""
    pace = SLOWEST * (QUICKEST / SLOWEST) ** chance.random()
    trend = Trend()
    for second, live in enumerate(_readings(record.live, int(hours * 3600), chance)):
        jobs = int(second * pace)
        if trend.take(jobs, live):
            return Life(record.load, hours, jobs)
    return Life(record.load, hours, None)


def _readings(live: Sequence[int], count: int, chance: random.Random) -> Iterator[int]:
    settled = len(live) // 2
    yield from live[: min(settled, count)]
    left = count - settled
    while left > 0:
        length = min(chance.randint(*STRETCHES), left)
        start = chance.randrange(settled, len(live) - length)
        yield from live[start : start + length]
        left -= length


def table(lives: Sequence[Life]) -> str:
    """Alarms a load, and in 1,000 worker-hours."""
    lines = [f"{'load':<12} {'lives':>6} {'hours':>8} {'alarms':>7}"]
    for load in dict.fromkeys(life.load for life in lives):
        mine = [life for life in lives if life.load == load]
        alarms = sum(life.suspected_after is not None for life in mine)
        lines.append(f"{load:<12} {len(mine):>6} {sum(x.hours for x in mine):>8,.0f} {alarms:>7}")
    hours = sum(life.hours for life in lives)
    alarms = sum(life.suspected_after is not None for life in lives)
    rate = alarms / hours * 1000
    return "\n".join([*lines, f"{rate:.2f} alarms in 1,000 worker-hours; at most 1 is wanted"])


def main() -> None:
    """Record, play, and print one table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.leaks.replay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hours", type=float, default=1000.0, help="worker-hours to play (1000)")
    parser.add_argument("--seeds", type=int, default=2, help="recorded runs of each load (2)")
    chosen = parser.parse_args()
    records = list(record(list(LOADS), chosen.seeds))
    print(f"playing {len(records)} records …", file=sys.stderr, flush=True)
    print(table(list(play(records, chosen.hours, random.Random(1)))))


if __name__ == "__main__":
    main()
