"""A canary in a real daemon: after how many jobs it names the task, how exactly, and the line."""

from __future__ import annotations

import inspect
import math
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks.cases import QUEUES
from benchmarks.daemon import fresh_database, running_daemon, wait_for_workers
from benchmarks.leaks import jobs, tasks
from benchmarks.leaks.loads import LOADS
from taskd import configure, enqueue_many
from taskd.store.connect import Connection, connect
from taskd.store.embedded import Server
from taskd.store.leaks import Account, accounts_of, ask_hunt

IMPORTS = ("--imports", "benchmarks.leaks.tasks")
POOL = "default"
BATCH, LOW_WATER = 4000, 2000
FIRST_JOBS = 1000
LEAST_BYTES = 512.0
"""Below this a task is taken for innocent: taskd.pool.canary."""

LONGEST_SECONDS = 180.0
LEAKING = "benchmarks.leaks.tasks.task_2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """What one canary has found. `named_after`: jobs of the canary; None: never it alone.

    `estimate`: bytes a job ÷ what the job really leaves, once the canary has seen 1,000 jobs;
    `innocent`: then the most of any other task, in bytes; `may_leave`: the most that one may leave,
    by which it is acquitted or not. `accused`: how often what it has stored named one that does not
    leak.
    """

    leak: int
    named_after: int | None
    estimate: float
    innocent: float
    may_leave: float
    accused: int
    jobs: int
    is_line_right: bool


def hunt(server: Server, leak: int, load: str = "steady") -> Hunt:
    """Start a daemon and a canary in it, and give it jobs until the canary has seen enough."""
    dsn = fresh_database(server, "bench_hunt")
    os.environ.update(LEAKS_LOAD=load, LEAKS_BYTES=str(leak), TASKD_DATABASE=dsn)
    configure(database=dsn)
    seen: list[list[Account]] = []
    flags = ("--processes", "2", "--greenlets", "25", *QUEUES, *IMPORTS)
    with running_daemon(dsn, *flags), closing(connect(dsn)) as connection:
        wait_for_workers(dsn, 2)
        if not ask_hunt(connection, LEAKING):
            raise SystemExit("no pool runs the task that leaks")
        for accounts in _readings(connection, random.Random(leak)):
            seen.append(accounts)
    return _judge(leak, seen)


def _readings(connection: Connection, chance: random.Random) -> Iterator[list[Account]]:
    """What the canary has stored, whenever that is news, until it ends; jobs are never lacking.

    One that finds nothing runs 10,000 jobs; it is left when LONGEST_SECONDS are over.
    """
    last, began = -1, time.monotonic()
    has_lived = False
    while time.monotonic() < began + LONGEST_SECONDS:
        if _waiting(connection) < LOW_WATER:
            _enqueue(chance)
        accounts = accounts_of(connection, POOL)
        if (counted := sum(one.jobs for one in accounts)) != last:
            last = counted
            yield accounts
        workers = _workers(connection)
        has_lived = has_lived or workers == 3
        if has_lived and workers < 3:
            connection.execute("DELETE FROM taskd.queued")
            yield accounts_of(connection, POOL)
            return
        time.sleep(0.2)
    if last < FIRST_JOBS:
        raise SystemExit(f"the canary had run {last} jobs after {LONGEST_SECONDS:g} s")


def _waiting(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM taskd.queued").fetchone()
    return int(row[0]) if row else 0


def _workers(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM taskd.worker WHERE ended_at IS NULL").fetchone()
    return int(row[0]) if row else 0


def _enqueue(chance: random.Random) -> None:
    chosen = chance.choices(range(len(tasks.TASKS)), LOADS["steady"].weights, k=BATCH)
    for number, one in enumerate(tasks.TASKS):
        enqueue_many(one, [(n,) for n in range(chosen.count(number))], queue="bench")


def _judge(leak: int, seen: Sequence[Sequence[Account]]) -> Hunt:
    guilty = {LEAKING} if leak else set()
    named_after = next((_jobs(one) for one in seen if _named(one) == [LEAKING]), None)
    later = next((one for one in seen if _jobs(one) >= FIRST_JOBS), seen[-1])
    true = _true_bytes(leak)
    estimate = next((one.bytes for one in later if one.task == LEAKING), 0.0)
    innocent = [one for one in later if one.task not in guilty]
    lines = {one.task: one.line for one in seen[-1]}
    return Hunt(
        leak=leak,
        named_after=named_after,
        estimate=estimate / true if true else 0.0,
        innocent=max((one.bytes for one in innocent), default=0.0),
        may_leave=max((one.may_leave for one in innocent), default=0.0),
        accused=sum(bool(set(_named(one)) - guilty) for one in seen),
        jobs=_jobs(seen[-1]),
        is_line_right=(lines.get(LEAKING) or "").endswith(f"jobs.py:{_line()}"),
    )


def _named(accounts: Sequence[Account]) -> list[str]:
    return [one.task for one in accounts if one.low >= LEAST_BYTES]


def _jobs(accounts: Sequence[Account]) -> int:
    return sum(one.jobs for one in accounts)


def _line() -> int:
    source, first = inspect.getsourcelines(jobs.pieces)
    return first + next(n for n, text in enumerate(source) if "return" in text)


def _true_bytes(leak: int) -> float:
    """What one job of the task that leaks leaves behind, as tracemalloc counts it."""
    import tracemalloc

    if not leak:
        return 0.0
    kept: list[list[bytes]] = []
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        kept.append(jobs.pieces(leak))
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return held / len(kept)


def table(hunts: Sequence[Hunt]) -> str:
    """One line a size of the leak."""
    lines = []
    for leak in sorted({one.leak for one in hunts}):
        runs = [one for one in hunts if one.leak == leak]
        named = [one.named_after for one in runs if one.named_after is not None]
        after = f"after {statistics.median(named):,.0f} jobs (most {max(named):,})" if named else ""
        estimates = ", ".join(f"{one.estimate:.3f}" for one in runs)
        innocent = max(one.innocent for one in runs)
        may_leave = ", ".join(_told(one.may_leave) for one in runs)
        accused = sum(one.accused for one in runs)
        right = sum(one.is_line_right for one in runs)
        lines.append(
            f"leak of {leak} bytes: named in {len(named)} of {len(runs)} {after}; "
            f"estimates {estimates} of it; others are told as {innocent:.0f} bytes at most, "
            f"may leave {may_leave}, accused {accused} times; line right in {right}"
        )
    return "\n".join(lines)


def _told(size: float) -> str:
    return f"{size:.0f}" if math.isfinite(size) else "unknown"
