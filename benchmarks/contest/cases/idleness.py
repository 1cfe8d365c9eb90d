"""What a system does while there is nothing to do."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.contest.bench import Bench
from benchmarks.contest.case import Case, Measure, Reach, Values
from benchmarks.contest.failure import CaseFailed
from benchmarks.peers.peer import Load


def idle(bench: Bench, processes: int) -> Values:
    """Statements a second and connections, a while after the last job."""
    bench.store.log_statements()
    load = Load(processes=processes, slots=25 if processes < 25 else 1)
    with bench.workers(load) as workers:
        bench.make_ready(load, workers)
        time.sleep(bench.sizes.settle)
        before, began = bench.store.statements(), time.monotonic()
        time.sleep(bench.sizes.idle)
        sent = bench.store.statements() - before
        seconds = time.monotonic() - began
        workers.check()
        if sent < 0:
            raise CaseFailed("the server's log was cut while its statements were counted")
        return {"statements": sent / seconds, "connections": bench.store.connections()}


def _case(name: str, processes: int, *, is_ours: bool) -> Case:
    measures = (
        Measure(
            key="statements",
            title=f"statements a second, idle, {processes} workers",
            unit="",
            more_is_better=False,
            reaches=(Reach(0.3),),
        ),
        Measure(
            key="connections",
            title=f"connections, idle, {processes} workers",
            unit="",
            more_is_better=False,
            reaches=(Reach(2),),
        ),
    )
    run = partial(idle, processes=processes)
    return Case(name=name, measures=measures, run=run, is_ours=is_ours)


CASES = (_case("idle", 4, is_ours=False), _case("crowd", 100, is_ours=True))
