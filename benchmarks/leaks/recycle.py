"""Every worker of a pool is replaced while all slots are wanted: whether they stay busy.

Whether a slot was busy is read from history afterwards: each attempt's start and its end.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing
from dataclasses import dataclass

from benchmarks.cases import IMPORTS, QUEUES
from benchmarks.daemon import fresh_database, running_daemon, wait_for_workers
from taskd import configure, enqueue_many
from taskd.store.connect import Connection, connect
from taskd.store.embedded import Server

SLOTS = 100
NAP = 0.5
"""Seconds of a job on average; half to one and a half of it, so that they do not end in step."""

SECONDS = 30.0
SETTLED = 3.0
PATIENCE = 120.0

_SPANS = """
SELECT extract(epoch FROM started_at)::float8, extract(epoch FROM finished_at)::float8
FROM taskd.history WHERE state = 's'
"""
_ODD = "SELECT count(*) FROM taskd.history WHERE state <> 's' OR attempt <> 1 OR losses <> 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycled:
    """The smallest share of slots that were busy at a moment.

    `least`: while all workers were replaced; `usual`: before that. `lost` and `twice`: jobs.
    """

    least: float
    usual: float
    replaced: int
    seconds: float
    lost: int
    twice: int


def recycle(server: Server) -> Recycled:
    """Replace all workers of 4 x 25 under full load, by SIGHUP."""
    dsn = fresh_database(server, "bench_recycle")
    os.environ["TASKD_DATABASE"] = dsn
    configure(database=dsn)
    chance = random.Random(1)
    naps = [(chance.uniform(0.5, 1.5) * NAP,) for _ in range(int(SLOTS * SECONDS / NAP))]
    jobs = len(naps)
    flags = ("--processes", "4", "--greenlets", "25", *QUEUES, *IMPORTS)
    with running_daemon(dsn, *flags) as daemon, closing(connect(dsn)) as connection:
        old = {one["pid"] for one in wait_for_workers(dsn, 4) if one["role"] == "worker"}
        enqueue_many("benchmarks.tasks.nap", naps, queue="bench")
        time.sleep(SETTLED)
        began = time.time()
        daemon.send_signal(signal.SIGHUP)
        ended = _wait_until_gone(old)
        _wait_for_end(connection, jobs)
        spans = [(row[0], row[1]) for row in connection.execute(_SPANS).fetchall()]
        odd = connection.execute(_ODD).fetchone()
    return Recycled(
        least=least_busy(spans, began, ended) / SLOTS,
        usual=least_busy(spans, began - 1.0, began) / SLOTS,
        replaced=len(old),
        seconds=ended - began,
        lost=jobs - len(spans),
        twice=odd[0] if odd else 0,
    )


def least_busy(spans: list[tuple[float, float]], begin: float, end: float) -> int:
    """How many spans were open at the moment within begin and end at which the fewest were."""
    busy = sum(start <= begin < stop for start, stop in spans)
    events = [(start, 1) for start, _ in spans] + [(stop, -1) for _, stop in spans]
    least = busy
    for moment, step in sorted(events):
        if begin < moment <= end:
            busy += step
            least = min(least, busy)
    return least


def _wait_until_gone(pids: set[object]) -> float:
    deadline = time.monotonic() + PATIENCE
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        if time.monotonic() > deadline:
            raise SystemExit(f"the old workers were still there after {PATIENCE:g} s")
        time.sleep(0.02)
    return time.time()


def _wait_for_end(connection: Connection, jobs: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (connection.execute("SELECT count(*) FROM taskd.history").fetchone() or (0,))[0] < jobs:
        if time.monotonic() > deadline:
            raise SystemExit(f"not all of {jobs} jobs had ended after {PATIENCE:g} s")
        time.sleep(0.1)


def table(runs: list[Recycled]) -> str:
    """One line a run."""
    return "\n".join(
        f"{one.replaced} workers replaced in {one.seconds:.1f} s: at least {one.least:.0%} of the "
        f"slots busy (before {one.usual:.0%}; should be ≥ 90 %), {one.lost} jobs lost, "
        f"{one.twice} run twice"
        for one in runs
    )
