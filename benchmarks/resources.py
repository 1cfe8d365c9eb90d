"""What resources cost: makespan of jobs that exclude each other, enqueues, pickups, drains."""

from __future__ import annotations

import random
import statistics
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

from benchmarks.cases import IMPORTS, QUEUES, Case, Figure, span
from benchmarks.daemon import (
    fresh_database,
    running_daemon,
    wait_for_count,
    wait_for_workers,
)
from benchmarks.ideal import fifo_makespan, longest_chain
from benchmarks.many import seconds
from benchmarks.needs import Needy, enqueue_one, line_up
from taskd import configure
from taskd.store.connect import connect
from taskd.store.embedded import Server

SEED = 7
BURST = 256
NAP_SECONDS = 0.5
PROCESSES = 2

_MAKESPAN = """
SELECT extract(epoch FROM max(finished_at) - min(created_at))::float8 FROM taskd.history
"""
_ARRIVALS = """
SELECT extract(epoch FROM created_at - min(created_at) OVER ())::float8
FROM taskd.history
ORDER BY id
"""
# A slot was free for a job if fewer than there are had a job, or one that was available earlier.
_PICKED_UP = """
SELECT count(*), avg(extract(epoch FROM j.started_at - j.ready_at))::float8,
       max(extract(epoch FROM j.started_at - j.ready_at))::float8
FROM taskd.history j
WHERE (SELECT count(*) FROM taskd.history k
       WHERE (k.ready_at, k.id) < (j.ready_at, j.id) AND k.finished_at > j.ready_at) < %s
"""


def pulp(server: Server, tools: Path, slots: int, reach: float = 1.05, jobs: int = BURST) -> Figure:
    """A burst of jobs that need 2 of 128 exclusive resources: makespan against the ideal.

    The ideal has the jobs arrive when they did: one thread enqueues one after the other.
    """
    dsn, needs = _burst(server, slots, jobs)
    took = _seconds(dsn, _MAKESPAN)
    best = fifo_makespan(needs, slots, NAP_SECONDS, _arrivals(dsn))
    name = f"burst of {jobs}, 2 of 128, {slots} slots ÷ ideal"
    return Figure(name, took / best, f"{took:.2f} s, ideal {best:.2f} s", reach, "max")


def picked_up(server: Server, tools: Path, slots: int = 64, jobs: int = BURST) -> Figure:
    """The same burst: from available to picked up, of jobs for which a slot was free."""
    dsn, _ = _burst(server, slots, jobs)
    with closing(connect(dsn)) as connection:
        row = connection.execute(_PICKED_UP, (slots,)).fetchone()
    count, mean, longest = row or (0, 0.0, 0.0)
    detail = f"{count} of {jobs} jobs found a slot free, longest {longest * 1000:.1f} ms"
    return Figure("available to picked up, mean, s", mean, detail, 0.020, "max")


def enqueue(server: Server, tools: Path, bursts: int = 5) -> Figure:
    """One enqueue while 64 slots are busy with jobs of half a second, against while 1 is."""
    one, many = (_seconds_an_enqueue(server, slots, bursts) for slots in (1, 64))
    detail = f"{many * 1000:.2f} ms, with 1 {one * 1000:.2f} ms"
    return Figure("enqueue, 64 slots busy ÷ 1 busy", many / one, detail, 1.3, "max")


def two_of_a_thousand(server: Server, tools: Path, jobs: int = 20_000) -> Figure:
    """Drain of no-op jobs with 2 of 1,000 exclusive resources, against the same without."""
    needs = _draw(jobs, 1000)
    plain = _drain_rate(server, [Needy("noop", n) for n in range(jobs)])
    needy = _drain_rate(
        server, [Needy("noop", n, exclusive=names) for n, names in enumerate(needs)]
    )
    detail = (
        f"{needy:,.0f} jobs/s, without {plain:,.0f}, "
        f"{longest_chain(needs)} must run one after the other"
    )
    return Figure("drain, 2 of 1,000 exclusive ÷ plain", needy / plain, detail, 0.3, "min")


def shared_holders(server: Server, tools: Path, jobs: int = 10_000, turns: int = 3) -> Figure:
    """Drain of no-op jobs that all hold one resource together, against none: medians of turns."""
    plains, shareds = [], []
    for _ in range(turns):
        plains.append(_drain_rate(server, [Needy("noop", n) for n in range(jobs)]))
        shareds.append(_drain_rate(server, [Needy("noop", n, shared=("x",)) for n in range(jobs)]))
    plain, shared = statistics.median(plains), statistics.median(shareds)
    detail = f"{shared:,.0f} jobs/s, without {plain:,.0f}"
    return Figure(f"drain of {jobs:,} shared holders ÷ plain", shared / plain, detail, 0.5, "min")


def _burst(server: Server, slots: int, jobs: int) -> tuple[str, list[list[str]]]:
    """Let a pool of so many slots work off a burst; the database, and what each job needed."""
    dsn, needs = fresh_database(server, "bench_pulp"), _draw(jobs, 128)
    configure(database=dsn)
    with _pool(dsn, slots), closing(connect(dsn)) as connection:
        wait_for_workers(dsn, PROCESSES)
        _enqueue_one_by_one(needs)
        wait_for_count(connection, "history", jobs)
    if span(dsn)[0] != jobs:
        raise SystemExit(f"not all of {jobs} jobs succeeded")
    return dsn, needs


def _seconds_an_enqueue(server: Server, slots: int, bursts: int) -> float:
    """The median of bursts' means; plain jobs keep every slot busy for 15 seconds."""
    dsn = fresh_database(server, "bench_enqueue")
    processes = min(slots, PROCESSES)
    configure(database=dsn)
    with _pool(dsn, slots, processes), closing(connect(dsn)) as connection:
        wait_for_workers(dsn, processes)
        line_up(connection, [Needy("nap", NAP_SECONDS) for _ in range(30 * slots)])
        wait_for_count(connection, "running", slots)
        return statistics.median(
            seconds(partial(_enqueue_one_by_one, needs)) / len(needs)
            for needs in (_draw(BURST, 128, seed) for seed in range(bursts))
        )


def _enqueue_one_by_one(needs: Sequence[Sequence[str]]) -> None:
    """Each in a transaction of its own."""
    for names in needs:
        enqueue_one(Needy("nap", NAP_SECONDS, exclusive=names))


def _drain_rate(server: Server, jobs: Sequence[Needy]) -> float:
    """Jobs a second that a daemon works off which finds all of them in their lines."""
    dsn = fresh_database(server, "bench_needs")
    with closing(connect(dsn)) as connection:
        line_up(connection, jobs)
    flags = ("--processes", "2", "--greenlets", "25", "--burst", *QUEUES, *IMPORTS)
    with running_daemon(dsn, *flags) as daemon:
        daemon.wait(300)
    done, took = span(dsn)
    if done != len(jobs):
        raise SystemExit(f"{done} of {len(jobs)} jobs succeeded")
    return done / took


def _draw(jobs: int, names: int, seed: int = SEED) -> list[list[str]]:
    """Two of so many resources for each job."""
    dice = random.Random(seed)
    return [[f"r{n}" for n in dice.sample(range(names), 2)] for _ in range(jobs)]


def _pool(
    dsn: str, slots: int, processes: int = PROCESSES
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A daemon with so many slots."""
    flags = ("--processes", str(processes), "--greenlets", str(slots // processes))
    return running_daemon(dsn, *flags, *QUEUES, *IMPORTS)


def _arrivals(dsn: str) -> list[float]:
    """When each job came, in seconds after the first."""
    with closing(connect(dsn)) as connection:
        return [moment for (moment,) in connection.execute(_ARRIVALS)]


def _seconds(dsn: str, statement: str) -> float:
    with closing(connect(dsn)) as connection:
        row = connection.execute(statement).fetchone()
    return float(row[0]) if row else 0.0


CASES: dict[str, Case] = {
    "pulp-4": partial(pulp, slots=4),
    "pulp-16": partial(pulp, slots=16),
    "pulp-32": partial(pulp, slots=32),
    "pulp-64": partial(pulp, slots=64, reach=1.10),
    "picked-up": picked_up,
    "enqueue": enqueue,
    "two-of-1000": two_of_a_thousand,
    "shared": shared_holders,
}
