"""How long each page and each list of the dashboard takes on a system with millions of jobs.

The finished jobs were done by a daemon, so that the statistics are those that daemons keep; two of
100 failed. Those that wait are in other queues, and nobody takes them.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg

from benchmarks.cases import IMPORTS, QUEUES
from benchmarks.daemon import fresh_database, running_daemon, wait_for_workers
from benchmarks.dashboard.stand import ask, dashboard, seconds_of
from taskd.store.embedded import Server

QUEUES_WAITING = 20
BATCH = 50_000
TURNS = 15
PAGE_SECONDS, LIST_SECONDS = 0.1, 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """How long one address took, in seconds; `most` is what it should at most."""

    path: str
    most: float
    times: tuple[float, ...]

    @property
    def middle(self) -> float:
        return statistics.median(self.times)


def measure(server: Server, queued: int, finished: int) -> list[Answer]:
    """Fill a database, and ask for everything that a page shows."""
    dsn = fresh_database(server, "bench_pages")
    fill(dsn, queued, finished)
    flags = ("--processes", "2", "--greenlets", "25", *QUEUES, *IMPORTS)
    with running_daemon(dsn, *flags), dashboard(dsn) as url:
        wait_for_workers(dsn, 2)
        pages = [(path, PAGE_SECONDS) for path in paths_of_pages(url)]
        lists = [(path, LIST_SECONDS) for path in paths_of_lists(url)]
        return [_timed(url, path, most) for path, most in pages + lists]


def _timed(url: str, path: str, most: float) -> Answer:
    print(f"pages: {path} …", file=sys.stderr, flush=True)
    return Answer(path, most, tuple(seconds_of(url + path) for _ in range(TURNS)))


def fill(dsn: str, queued: int, finished: int) -> None:
    """Let a daemon do what is to be finished, then enqueue what is to wait."""
    from taskd import configure, enqueue_many

    configure(database=dsn)
    for first in range(0, finished, BATCH):
        calls = [(number,) for number in range(first, min(first + BATCH, finished))]
        enqueue_many("benchmarks.tasks.noop", calls[len(calls) // 50 :], queue="bench")
        enqueue_many("benchmarks.tasks.fail", calls[: len(calls) // 50], queue="bench")
    print(f"pages: {finished:,} jobs are done …", file=sys.stderr, flush=True)
    workers = ("--processes", "2", "--greenlets", "25", "--burst")
    with running_daemon(dsn, *workers, *QUEUES, *IMPORTS, statuses=(0, 1)) as daemon:
        daemon.wait(3600)
    print(f"pages: {queued:,} jobs are enqueued …", file=sys.stderr, flush=True)
    for first in range(0, queued, BATCH):
        calls = [(number,) for number in range(first, min(first + BATCH, queued))]
        queue = f"waiting-{first // BATCH % QUEUES_WAITING}"
        enqueue_many("benchmarks.tasks.noop", calls, queue=queue)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def paths_of_pages(url: str) -> Iterator[str]:
    """What pages show that are no lists, of jobs in each state, too."""
    yield from ("/", "/readyz", "/metrics")
    for last in ("15m", "6h", "7d"):
        yield f"/api/v1/stats?last={last}&by=all"
        yield f"/api/v1/stats?last={last}&by=queue"
        yield f"/api/v1/stats?last={last}&by=task"
        yield f"/api/v1/stats/curves?last={last}"
        yield f"/api/v1/memory?last={last}"
    for name in ("queues", "pools", "workers", "tasks", "resources", "schedules", "leaks"):
        yield f"/api/v1/{name}"
    yield "/api/v1/database"
    for state in ("queued", "succeeded", "failed"):
        for job in _jobs(url, state=state, limit=1):
            for part in ("", "/family", "/why", "/result", "/log"):
                yield f"/api/v1/jobs/{job['id']}{part}"


def paths_of_lists(url: str) -> Iterator[str]:
    """Lists, with each filter that is offered, and pages of them from the middle."""
    yield from ("/api/v1/failures?last=7d", "/api/v1/audit")
    queued, done = (_jobs(url, state=state, limit=1)[0] for state in ("queued", "succeeded"))
    (ended, *_) = ask(f"{url}/api/v1/memory?last=1h")["ends"]
    (group, *_) = ask(f"{url}/api/v1/failures?last=7d")["groups"]
    filters: list[dict[str, Any]] = [
        {},
        {"before": (queued["id"] + done["id"]) // 2},
        {"before": done["id"] // 2},
        *({"state": state} for state in ("queued", "succeeded", "failed", "running", "scheduled")),
        {"queue": "waiting-7"},
        {"queue": "bench"},
        {"queue": "waiting-7", "state": "queued", "limit": 1000},
        {"task": "benchmarks.tasks.fail"},
        {"task": "benchmarks.tasks.fail", "state": "failed"},
        {"task": "benchmarks.tasks.nap"},
        {"older_than": "1s"},
        {"older_than": "30d"},
        {"since": "1h"},
        {"until": done["created_at"]},
        {"finished_since": "1h"},
        {"finished_until": done["finished_at"]},
        {"error": "customer"},
        {"error": "no such text anywhere"},
        {"cause": group["cause"]},
        {"worker": ended["worker"]},
        {"worker": 999_999_999},
        {"group": 999_999_999},
        {"args": "[77]"},
        {"args": "[77]", "queue": "bench", "state": "succeeded"},
        {"kwargs": '{"tenant": 7}'},
    ]
    for one in filters:
        yield f"/api/v1/jobs?{urlencode(one)}"


def _jobs(url: str, **wanted: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(f"{url}/api/v1/jobs?{urlencode(wanted)}")["jobs"]
    return found


def table(answers: Sequence[Answer]) -> str:
    """The slowest first."""
    ordered = sorted(answers, key=lambda answer: answer.middle / answer.most, reverse=True)
    lines = [f"{'median':>8} {'slowest':>8} {'at most':>8}  ms, of"]
    for one in ordered:
        told = "".join(f"{1000 * value:>8.0f} " for value in (one.middle, max(one.times), one.most))
        lines.append(f"{told} {one.path}{'' if one.middle <= one.most else '   NOT REACHED'}")
    return "\n".join(lines)
