"""How many jobs a second: worked off, enqueued one by one, enqueued in bulk, by more workers."""

from __future__ import annotations

from pathlib import Path

from benchmarks import cases, limit
from benchmarks.contest.bench import Bench
from benchmarks.contest.case import Against, Case, Measure, Reach, Values
from benchmarks.contest.failure import CaseFailed
from benchmarks.contest.sizes import Sizes
from benchmarks.contest.stores import Database
from benchmarks.contest.tally import Span
from benchmarks.daemon import drop_database, fresh_database
from benchmarks.peers.peer import Load
from taskd.store.embedded import Server

WORKERS = (1, 2, 4, 8)
BATCH = 500


def drain(bench: Bench) -> Values:
    """Two workers that find the jobs waiting; what a job costs PostgreSQL from its enqueue on."""
    jobs, store = bench.sizes.drain, bench.store
    if not isinstance(store, Database):
        bench.client("fill", "noop", 0.0, jobs)
        return {"rate": _worked_off(bench, Load(2), jobs).rate}
    start = store.work()
    bench.client("fill", "noop", 0.0, jobs)
    filled = store.work()
    store.settle()
    settled = store.work()
    span = _worked_off(bench, Load(2), jobs)
    end = store.work()
    values = {"rate": span.rate}
    if span.jobs >= jobs:
        commits = filled.commits - start.commits + end.commits - settled.commits
        wal_bytes = filled.wal_bytes - start.wal_bytes + end.wal_bytes - settled.wal_bytes
        values |= {"commits": commits / jobs, "wal": wal_bytes / jobs}
    return values


def drain_limit(server: Server, tools: Path, sizes: Sizes) -> Values:
    """The functions that taskd's workers call, under pgbench."""
    dsn = fresh_database(server, "bench_limit")
    cases.fill(dsn, sizes.drain)
    rate = limit.drain_rate(dsn, limit.pgbench(tools), sizes.drain, batch=BATCH)
    drop_database(server, "bench_limit")
    return {"rate": rate}


def each(bench: Bench) -> Values:
    count = bench.sizes.each
    return {"rate": count / bench.client("each", "noop", 0.0, count)}


def each_limit(server: Server, tools: Path, sizes: Sizes) -> Values:
    """The function that taskd's enqueue calls, under pgbench."""
    dsn = fresh_database(server, "bench_limit")
    rate = limit.enqueue_rate(dsn, limit.pgbench(tools), sizes.each)
    drop_database(server, "bench_limit")
    return {"rate": rate}


def bulk(bench: Bench) -> Values:
    count = bench.sizes.bulk
    return {"rate": count / bench.client("many", "noop", 0.0, count)}


def growth(bench: Bench) -> Values:
    """The same drain with more and more workers."""
    jobs = bench.sizes.growth if bench.system.is_ours else bench.sizes.growth_of_peers
    rates = {}
    for workers in WORKERS:
        bench.client("fill", "noop", 0.0, jobs)
        if isinstance(bench.store, Database):
            bench.store.settle()
            bench.store.checkpoint()
        rates[workers] = _worked_off(bench, Load(workers), jobs).rate
        bench.tally.reset()
    kept = rates[WORKERS[-1]] / max(rates[workers] for workers in WORKERS[:-1])
    return {f"rate{workers}": rate for workers, rate in rates.items()} | {"kept": kept}


def _worked_off(bench: Bench, load: Load, jobs: int) -> Span:
    """What workers do who find so many jobs, until all have ended or the time is over."""
    with bench.workers(load) as workers:
        if not bench.tally.wait_for(jobs, bench.sizes.drain_seconds):
            workers.check()
        span = bench.tally.span()
        if not span.jobs:
            raise CaseFailed(f"no job ran: {workers.last_words()}")
    return span


def _rate(title: str, *reaches: Reach, key: str = "rate") -> Measure:
    return Measure(key=key, title=title, unit="jobs/s", more_is_better=True, reaches=reaches)


CASES = (
    Case(
        name="drain",
        measures=(
            _rate("drain, 2 workers", Reach(4, Against.BEST), Reach(0.65, Against.LIMIT)),
            Measure(
                key="commits",
                title="commits a job",
                unit="",
                more_is_better=False,
                reaches=(Reach(0.03),),
            ),
            Measure(
                key="wal",
                title="WAL a job",
                unit="bytes",
                more_is_better=False,
                reaches=(Reach(1_100),),
            ),
        ),
        run=drain,
        limit=drain_limit,
        limit_name=f"pgbench, batch {BATCH}",
    ),
    Case(
        name="each",
        measures=(_rate("enqueue one by one", Reach(1.5, Against.BEST_POSTGRES)),),
        run=each,
        limit=each_limit,
        limit_name="pgbench",
    ),
    Case(name="bulk", measures=(_rate("enqueue in bulk", Reach(4, Against.BEST)),), run=bulk),
    Case(
        name="growth",
        measures=(
            *(_rate(f"drain, workers: {n}", key=f"rate{n}") for n in WORKERS),
            Measure(
                key="kept",
                title="drain, 8 workers ÷ best of fewer",
                unit="ratio",
                more_is_better=True,
                reaches=(Reach(0.95),),
            ),
        ),
        run=growth,
    ),
)
