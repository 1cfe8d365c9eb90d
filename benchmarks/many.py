"""What many jobs at once cost: unique keys, orders by filter, uneven sleeps."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.cases import IMPORTS, QUEUES, Figure, fill, span, wait_for_jobs
from benchmarks.daemon import fresh_database, running_daemon, wait_for_workers
from taskd.store import bulk
from taskd.store.connect import Connection, connect
from taskd.store.embedded import Server
from taskd.store.rows import JobFilter

MANY = 10_000
TURNS = 9


def unique(server: Server, tools: Path, jobs: int = MANY) -> Figure:
    """Enqueue of many with unique keys, against the same without: medians of turns."""
    from taskd import configure, enqueue_many

    noop = "benchmarks.tasks.noop"
    dsn = fresh_database(server, "bench_unique")
    configure(database=dsn)
    plains, keyeds = [], []  # of each, the first warms up
    for turn in range(TURNS + 1):
        calls = [(turn * jobs + number,) for number in range(jobs)]
        plains.append(seconds(partial(enqueue_many, noop, calls, queue="plain")))
        keyeds.append(seconds(partial(enqueue_many, noop, calls, queue="unique", unique=True)))
    plain, keyed = statistics.median(plains[1:]), statistics.median(keyeds[1:])
    detail = f"{jobs / keyed:,.0f} jobs/s, without {jobs / plain:,.0f}"
    return Figure("enqueue of 10,000 unique jobs ÷ plain", plain / keyed, detail, 0.5, "min")


def orders(server: Server, tools: Path, jobs: int = MANY) -> Figure:
    """Cancel, requeue and move of many queued jobs by filter: one statement each, seconds."""
    dsn = fresh_database(server, "bench_orders")
    wanted, moved = JobFilter(queue="bench"), JobFilter(queue="other")
    with closing(connect(dsn)) as connection:
        fill(dsn, jobs)
        times = {
            "move": _timed(connection, lambda: bulk.move_matching(connection, wanted, "other")),
            "cancel": _timed(connection, lambda: bulk.cancel_matching(connection, moved)),
            "requeue": _timed(connection, lambda: bulk.requeue_matching(connection, moved)),
        }
        waiting = bulk.count_live(connection, moved)
    if waiting != jobs:
        raise SystemExit(f"orders: {waiting} of {jobs} jobs went through all of them")
    detail = ", ".join(f"{name} {took:.2f} s" for name, took in times.items())
    return Figure("slowest order to 10,000 queued jobs, s", max(times.values()), detail, 1.0, "max")


def uneven(server: Server, tools: Path, jobs: int = 500) -> Figure:
    """Sleeps of 0 to 2 s on 30 greenlets of one worker: the ideal against the time they took."""
    from taskd import configure, enqueue_many

    dsn = fresh_database(server, "bench_uneven")
    sleeps = [random.Random(7).uniform(0, 2) for _ in range(jobs)]
    with running_daemon(dsn, "--processes", "1", "--greenlets", "30", *QUEUES, *IMPORTS):
        wait_for_workers(dsn, 1)
        configure(database=dsn)
        enqueue_many("benchmarks.tasks.nap", [(sleep,) for sleep in sleeps], queue="bench")
        wait_for_jobs(dsn, jobs)
    took = span(dsn)[1]
    best = first_come_first_served(sleeps, 30)
    detail = f"{took:.2f} s, ideal {best:.2f} s"
    return Figure("ideal ÷ 500 sleeps of 0-2 s on 30 greenlets", best / took, detail, 0.97, "min")


def first_come_first_served(sleeps: list[float], slots: int) -> float:
    """How long these take in this order on so many slots, at no cost of their own."""
    free_at = [0.0] * slots
    for sleep in sleeps:
        slot = free_at.index(min(free_at))
        free_at[slot] += sleep
    return max(free_at)


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _timed(connection: Connection, work: Callable[[], object]) -> float:
    connection.execute("ANALYZE taskd.queued")
    return seconds(work)
