"""What it costs that workers are always watched: drains with and without it, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.cases import IMPORTS, QUEUES, fill, span
from benchmarks.daemon import fresh_database, running_daemon
from taskd.store.embedded import Server

UNWATCHED = ("--imports", "benchmarks.tasks,benchmarks.leaks.unwatched")
JOBS = 100_000


def pair(server: Server, jobs: int = JOBS, *, is_first: bool = True) -> float:
    """The rate of a drain with two watched workers ÷ that of one with unwatched ones."""
    halves = {True: IMPORTS, False: UNWATCHED}
    rates = {watched: _drain(server, jobs, halves[watched]) for watched in (is_first, not is_first)}
    return rates[True] / rates[False]


def _drain(server: Server, jobs: int, flags: Sequence[str]) -> float:
    dsn = fresh_database(server, "bench_cost")
    fill(dsn, jobs)
    workers = ("--processes", "2", "--greenlets", "25", "--burst")
    with running_daemon(dsn, *workers, *QUEUES, *flags) as daemon:
        daemon.wait(300)
    done, seconds = span(dsn)
    if done != jobs:
        raise SystemExit(f"cost: {done} of {jobs} jobs succeeded")
    return jobs / seconds


def table(ratios: Sequence[float]) -> str:
    """The median of the pairs, and how sure it is."""
    middle = statistics.median(ratios)
    quarters = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [middle] * 3
    return (
        f"drain, watched ÷ unwatched: {middle:.4f} (half of {len(ratios)} pairs between "
        f"{quarters[0]:.3f} and {quarters[2]:.3f}; should be ≥ 0.99)"
    )
