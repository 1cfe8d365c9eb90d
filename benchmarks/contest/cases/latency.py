"""How soon a job starts when nothing else runs."""

from __future__ import annotations

import statistics

from benchmarks.contest.bench import Bench
from benchmarks.contest.case import Against, Case, Measure, Reach, Values
from benchmarks.peers.peer import Load


def latency(bench: Bench) -> Values:
    """From the call of enqueue to the first line of the function, milliseconds."""
    load = Load(processes=4)
    with bench.workers(load) as workers:
        bench.make_ready(load, workers)
        samples = bench.client("latency", bench.sizes.samples, bench.sizes.gap)
    quantiles = statistics.quantiles(samples, n=100)
    return {"p50": statistics.median(samples) * 1000, "p99": quantiles[98] * 1000}


def _measure(key: str, *reaches: Reach) -> Measure:
    title = f"enqueue call to start, idle, {key}"
    return Measure(key=key, title=title, unit="ms", more_is_better=False, reaches=reaches)


CASES = (
    Case(
        name="latency",
        measures=(
            _measure("p50", Reach(0.5, Against.BEST_POSTGRES)),
            _measure("p99", Reach(1.0, Against.BEST_POSTGRES)),
        ),
        run=latency,
    ),
)
