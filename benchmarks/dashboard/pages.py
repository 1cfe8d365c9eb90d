"""How long each page and each list of the dashboard takes on a system with millions of jobs.

The finished jobs were done by a daemon, so that the statistics are those that daemons keep; two of
100 failed, half of them in one of 2,000 ways. Those that wait are in other queues, and nobody takes
them; of these two of 100 are scheduled, and as many stand in lines for 500 resources that others
hold. There are 50 schedules, and two jobs that run and hold something.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg

from benchmarks.cases import IMPORTS, QUEUES
from benchmarks.daemon import (
    PATIENCE,
    fresh_database,
    running_daemon,
    wait_for_count,
    wait_for_workers,
)
from benchmarks.dashboard.stand import ask, dashboard, seconds_of, seconds_to_news
from taskd.store.embedded import Server
from taskd.store.jobs import cancel_jobs

TASKS = "benchmarks.dashboard.tasks"
ALL_IMPORTS = (IMPORTS[0], f"{IMPORTS[1]},{TASKS}")
WORKERS = ("--processes", "2", "--greenlets", "25")
STATES = ("queued", "succeeded", "failed", "running", "scheduled", "blocked")
QUEUES_WAITING = 20
BATCH = 50_000
NAMES = 5
"""Resources that the jobs of one batch need, each of them one."""

RUNNING = 2
TURNS = 15
PAGE_SECONDS, LIST_SECONDS, STACK_SECONDS = 0.1, 0.2, 1.0
OLD_SECONDS = 1.5
"""The dashboard gives who asks for stacks within a second the answer that it has."""


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
    with running_daemon(dsn, *WORKERS, *QUEUES, *ALL_IMPORTS), dashboard(dsn) as url:
        wait_for_workers(dsn, 2)
        standing = begin(dsn)
        pages = [(path, PAGE_SECONDS) for path in paths_of_pages(url)]
        lists = [(path, LIST_SECONDS) for path in paths_of_lists(url)]
        answers = [_timed(url, path, most) for path, most in pages + lists]
        answers.append(_timed(url, "/api/v1/live", PAGE_SECONDS, seconds_to_news))
        answers += [_timed_stacks(url, path) for path in paths_of_stacks(url, standing)]
        end(dsn, standing)
        return answers


def begin(dsn: str) -> list[int]:
    """Let some jobs run that hold something, and let who waits for resources get in line."""
    from benchmarks.dashboard.tasks import stand
    from taskd import configure, enqueue_many, shared

    configure(database=dsn)
    calls = [(number,) for number in range(RUNNING)]
    jobs = enqueue_many(stand, calls, resources=[shared("everything")])
    with psycopg.connect(dsn, autocommit=True) as connection:
        wait_for_count(connection, "running", RUNNING)
        deadline = time.monotonic() + PATIENCE
        while connection.execute("SELECT FROM taskd.mail LIMIT 1").fetchone():
            if time.monotonic() > deadline:
                raise SystemExit("pages: letters were left after two minutes")
            time.sleep(0.1)
        connection.execute("VACUUM ANALYZE")
    return [job.id for job in jobs]


def end(dsn: str, jobs: Sequence[int]) -> None:
    """Cancel what runs, or the daemon would wait for it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cancel_jobs(connection, jobs)


def _timed(
    url: str, path: str, most: float, time_one: Callable[[str], float] = seconds_of
) -> Answer:
    print(f"pages: {path} …", file=sys.stderr, flush=True)
    return Answer(path, most, tuple(time_one(url + path) for _ in range(TURNS)))


def _timed_stacks(url: str, path: str) -> Answer:
    def time_one(address: str) -> float:
        time.sleep(OLD_SECONDS)
        return seconds_of(address)

    return _timed(url, path, STACK_SECONDS, time_one)


def fill(dsn: str, queued: int, finished: int) -> None:
    """Let a daemon do what is to be finished, then enqueue what is to wait."""
    from benchmarks.tasks import noop
    from taskd import configure, enqueue_many, exclusive

    configure(database=dsn)
    for first in range(0, finished, BATCH):
        calls = [(number,) for number in range(first, min(first + BATCH, finished))]
        enqueue_many("benchmarks.tasks.noop", calls[len(calls) // 50 :], queue="bench")
        failing = calls[: len(calls) // 50]
        half = len(failing) // 2
        enqueue_many("benchmarks.tasks.fail", failing[half:], queue="bench")
        enqueue_many(f"{TASKS}.fail_in_its_way", failing[:half], queue="bench")
    print(f"pages: {finished:,} jobs are done …", file=sys.stderr, flush=True)
    with running_daemon(dsn, *WORKERS, "--burst", *QUEUES, *ALL_IMPORTS, statuses=(0, 1)) as daemon:
        daemon.wait(3600)
    print(f"pages: {queued:,} jobs are enqueued …", file=sys.stderr, flush=True)
    for first in range(0, queued, BATCH):
        calls = [(number,) for number in range(first, min(first + BATCH, queued))]
        queue = f"waiting-{first // BATCH % QUEUES_WAITING}"
        part = len(calls) // 50
        enqueue_many("benchmarks.tasks.noop", calls[2 * part :], queue=queue)
        enqueue_many(noop, calls[:part], queue=queue, delay=7 * 86400.0)
        for number in range(NAMES):
            alike = calls[part + number : 2 * part : NAMES]
            name = f"repo:{first // BATCH}-{number}"
            enqueue_many(noop, alike, queue=queue, resources=[exclusive(name)])
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
    for name in ("queues", "pools", "workers", "tasks", "schedules", "leaks", "stalls"):
        yield f"/api/v1/{name}"
    yield "/api/v1/schedules/preview?cron=30+2+*+*+*&timezone=Europe/Berlin&count=100"
    yield "/api/v1/database"
    for state in ("queued", "scheduled", "blocked", "running", "succeeded", "failed"):
        for job in _jobs(url, state=state, limit=1):
            for part in ("", "/family", "/why", "/result", "/log"):
                yield f"/api/v1/jobs/{job['id']}{part}"


def paths_of_lists(url: str) -> Iterator[str]:
    """Lists, with each filter that is offered, and pages of them from the middle."""
    yield "/api/v1/audit"
    for path in ("/api/v1/failures?last=7d&limit=1000", "/api/v1/resources?limit=200"):
        yield path
        if (after := ask(url + path)["next"]) is not None:
            yield f"{path}&after={after}"
    queued, done = (_jobs(url, state=state, limit=1)[0] for state in ("queued", "succeeded"))
    (ended, *_) = ask(f"{url}/api/v1/memory?last=1h")["ends"]
    (frequent, *_) = ask(f"{url}/api/v1/failures?last=7d")["groups"]
    *_, rare = _all_groups(url)
    filters: list[dict[str, Any]] = [
        {},
        {"before": (queued["id"] + done["id"]) // 2},
        {"before": done["id"] // 2},
        *({"state": state} for state in STATES),
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
        {"cause": frequent["cause"]},
        {"cause": rare["cause"]},
        {"cause": "no such cause"},
        {"worker": ended["worker"]},
        {"worker": 999_999_999},
        {"group": 999_999_999},
        {"args": "[77]"},
        {"args": "[77]", "queue": "bench", "state": "succeeded"},
        {"kwargs": '{"tenant": 7}'},
    ]
    for one in filters:
        yield f"/api/v1/jobs?{urlencode(one)}"


def _all_groups(url: str) -> Iterator[dict[str, Any]]:
    """What has failed, the most frequent first."""
    path: str | None = "/api/v1/failures?last=7d&limit=1000"
    while path:
        page = ask(url + path)
        yield from page["groups"]
        path = page["next"] and f"/api/v1/failures?last=7d&limit=1000&after={page['next']}"


def paths_of_stacks(url: str, standing: Sequence[int]) -> Iterator[str]:
    """Where a job stands, and where its worker does."""
    yield f"/api/v1/jobs/{standing[0]}/stacks"
    tree = [process for host in ask(f"{url}/api/v1/workers") for process in host["processes"]]
    (worker, *_) = [process["worker"] for process in tree if process["role"] == "worker"]
    yield f"/api/v1/workers/{worker}/stacks"


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
