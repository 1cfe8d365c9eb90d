"""The cases, each a function that measures once and returns its figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks import limit
from benchmarks.daemon import fresh_database, running_daemon, wait_for_workers
from taskd.store.embedded import Server

IMPORTS = ("--imports", "benchmarks.tasks")
QUEUES = ("--queues", "bench")

_FILL = """
INSERT INTO taskd.queued
    (seq, id, created_at, lane, priority, attempt, max_attempts, queue, task, args)
SELECT n, n, now(), 5, 5, 0, 1, 'bench', 'benchmarks.tasks.noop', '[' || n || ']'
FROM (SELECT nextval('taskd.job_seq') AS n FROM generate_series(1, %s)) s
"""
_SPAN = """
SELECT count(*), extract(epoch FROM max(finished_at) - min(started_at))::float8
FROM taskd.history WHERE state = 's'
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured ratio. `reach` is what it should be at least ("min") or at most ("max")."""

    name: str
    ratio: float
    detail: str
    reach: float
    bound: str

    @property
    def is_reached(self) -> bool:
        return self.ratio >= self.reach if self.bound == "min" else self.ratio <= self.reach


Case = Callable[[Server, Path], Figure]


def drain(server: Server, tools: Path, jobs: int = 100_000) -> Figure:
    """No-op jobs with history kept, two workers, against pgbench at batch 100."""
    dsn = fresh_database(server, "bench_limit")
    fill(dsn, jobs)
    best = limit.drain_rate(dsn, limit.pgbench(tools), jobs, batch=100)
    dsn = fresh_database(server, "bench_drain")
    fill(dsn, jobs)
    flags = ("--processes", "2", "--greenlets", "25", "--burst", *QUEUES, *IMPORTS)
    with running_daemon(dsn, *flags) as daemon:
        daemon.wait(300)
    done, seconds = span(dsn)
    if done != jobs:
        raise SystemExit(f"drain: {done} of {jobs} jobs succeeded")
    rate = jobs / seconds
    detail = f"{rate:,.0f} jobs/s, pgbench {best:,.0f}"
    return Figure("drain of no-op jobs ÷ pgbench, batch 100", rate / best, detail, 0.5, "min")


def naps(server: Server, tools: Path, jobs: int = 2000) -> Figure:
    """Sleeping jobs on 4 x 25 greenlets, against the ideal."""
    from taskd import configure, enqueue_many

    dsn = fresh_database(server, "bench_naps")
    ideal = jobs * 0.1 / 100
    with running_daemon(dsn, "--processes", "4", "--greenlets", "25", *QUEUES, *IMPORTS):
        wait_for_workers(dsn, 4)
        configure(database=dsn)
        enqueue_many("benchmarks.tasks.nap", [(0.1,)] * jobs, queue="bench")
        wait_for_jobs(dsn, jobs)
    seconds = span(dsn)[1]
    detail = f"{seconds:.3f} s, ideal {ideal:.1f} s"
    return Figure("2,000 jobs of 0.1 s on 4 x 25 ÷ ideal", seconds / ideal, detail, 1.05, "max")


def idle_memory(server: Server, tools: Path) -> Figure:
    """Proportional set size of the whole tree, 4 x 25, idle, nothing of the user's imported."""
    dsn = fresh_database(server, "bench_memory")
    with running_daemon(dsn, "--processes", "4", "--greenlets", "25"):
        tree = wait_for_workers(dsn, 4)
        sizes = {f"{one['role']} {one['pid']}": pss(int(str(one["pid"]))) for one in tree}
    total = sum(sizes.values())
    detail = ", ".join(f"{name.split()[0]} {size:.1f}" for name, size in sizes.items())
    return Figure("PSS of the idle tree of 4 x 25, MiB", total, detail, 80.0, "max")


def fill(dsn: str, jobs: int) -> None:
    """Put no-op jobs into the queue, and settle the table."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_FILL, (jobs,))
        connection.execute("VACUUM ANALYZE taskd.queued")
        connection.execute("CHECKPOINT")


def span(dsn: str) -> tuple[int, float]:
    """How many jobs succeeded, and the seconds from the first start to the last record."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(_SPAN).fetchone()
    return (row[0], row[1]) if row else (0, 0.0)


def wait_for_jobs(dsn: str, jobs: int, patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while (done := span(dsn)[0]) < jobs:
        if time.monotonic() > deadline:
            raise SystemExit(f"{done} of {jobs} jobs succeeded within {patience} s")
        time.sleep(0.05)


def pss(pid: int) -> float:
    """Proportional set size of a process, MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/{pid}/smaps_rollup has no Pss line")
