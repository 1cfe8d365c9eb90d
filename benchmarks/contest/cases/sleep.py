"""Jobs that wait: 4 x 25 at a time, and what the processes weigh afterwards."""

from __future__ import annotations

import math
import time
from pathlib import Path

from benchmarks.contest import trees
from benchmarks.contest.bench import Bench, Workers
from benchmarks.contest.case import Against, Case, Measure, Reach, Values
from benchmarks.contest.failure import CaseFailed
from benchmarks.contest.sizes import Sizes
from benchmarks.peers.peer import Load
from taskd.store.embedded import Server

LOAD = Load(processes=4, slots=25, is_short=False)
SECONDS = 0.1
PATIENCE = 120.0


def naps(bench: Bench) -> Values:
    """From the first line of the first job to the last line of the last."""
    with bench.workers(LOAD) as workers:
        bench.make_ready(LOAD, workers)
        bench.client("fill", "nap", SECONDS, bench.sizes.naps)
        connections = _most_connections(bench, workers)
        weight = trees.weight(workers.pids)
        seconds = bench.tally.span().seconds
    return {"seconds": seconds, "connections": connections, "weight": weight}


def ideal(server: Server, tools: Path, sizes: Sizes) -> Values:
    """All slots busy until the last job."""
    return {"seconds": math.ceil(sizes.naps / (LOAD.processes * LOAD.slots)) * SECONDS}


def _most_connections(bench: Bench, workers: Workers) -> int:
    """The most that are open at a time until all jobs have ended."""
    most = bench.store.connections()
    deadline = time.monotonic() + PATIENCE
    while not bench.tally.wait_for(bench.sizes.naps, 0.1):
        most = max(most, bench.store.connections())
        workers.check()
        if time.monotonic() > deadline:
            raise CaseFailed(f"{bench.tally.count()} of {bench.sizes.naps} jobs ended")
    return most


CASES = (
    Case(
        name="naps",
        measures=(
            Measure(
                key="seconds",
                title="jobs of 0.1 s, 4 x 25",
                unit="s",
                more_is_better=False,
                reaches=(Reach(1.04, Against.LIMIT),),
            ),
            Measure(
                key="weight",
                title="PSS of the tree after it",
                unit="MiB",
                more_is_better=False,
                reaches=(Reach(60),),
            ),
            Measure(
                key="connections",
                title="connections, busy, 4 workers",
                unit="",
                more_is_better=False,
                reaches=(Reach(LOAD.processes + 2),),
            ),
        ),
        run=naps,
        limit=ideal,
        limit_name="ideal",
    ),
)
