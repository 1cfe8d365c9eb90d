"""What `taskd top` shows, read from the database in some milliseconds whatever waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskd.cli.workers import Report, fresh_reports
from taskd.store import statistics
from taskd.store.connect import Connection
from taskd.store.failures import FailureGroup, list_failures
from taskd.store.hosts import SILENT_SECONDS
from taskd.store.slots import list_slots
from taskd.store.statistics import Backlog, By, PoolRow, Summary
from taskd.tasks.stalls import Stall, find_stalls

REPORT_SECONDS = 1.0
"""For so long hosts are awaited that do not say at once what their processes hold."""

MOST_FAILURES = 2000
"""So many of the youngest failures are grouped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """A queue: what has ended there lately, if anything has, and what waits, if anything does."""

    name: str
    ended: Summary | None
    waiting: Backlog | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """A worker process; bytes with those of the processes below it. slots 0: not registered yet."""

    host: str
    name: str
    state: str
    jobs: int
    slots: int
    bytes: int
    peak: int | None
    uptime: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One look: `at` by the clock of the database, what ended in the last `seconds`."""

    at: datetime
    seconds: float
    hosts: int
    total: Summary | None
    queues: tuple[QueueLine, ...]
    pools: tuple[PoolRow, ...]
    workers: tuple[WorkerLine, ...]
    failures: tuple[FailureGroup, ...]
    stalls: tuple[Stall, ...] = ()


def look(connection: Connection, seconds: float) -> Overview:
    """Read everything once; asks the hosts for their processes and awaits them for a second.

    Raises DatabaseError.
    """
    statistics.roll_up(connection)
    reports = [report for report in fresh_reports(connection, REPORT_SECONDS) if _lives(report)]
    total = next(iter(statistics.summarize(connection, seconds, By.ALL)), None)
    failures = list_failures(connection, seconds, most=MOST_FAILURES)
    return Overview(
        at=_now(connection),
        seconds=seconds,
        hosts=len(reports),
        total=total,
        queues=tuple(_queues(connection, seconds)),
        pools=tuple(statistics.list_pools(connection)),
        workers=tuple(_workers(reports, list_slots(connection))),
        failures=tuple(failures.groups),
        stalls=tuple(find_stalls(connection)),
    )


def _lives(report: Report) -> bool:
    return report.host.beat_age < SILENT_SECONDS


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    if row is None:
        raise AssertionError("a SELECT returned no row")
    now: datetime = row[0]
    return now


def _queues(connection: Connection, seconds: float) -> Iterable[QueueLine]:
    ended = {each.name: each for each in statistics.summarize(connection, seconds, By.QUEUE)}
    found = statistics.merge_parts(statistics.fetch_backlog(connection))
    waiting = {each.queue: each for each in found}
    for name in sorted(ended.keys() | waiting.keys()):
        yield QueueLine(name=name, ended=ended.get(name), waiting=waiting.get(name))


def _workers(reports: Iterable[Report], slots: dict[tuple[int, int], int]) -> Iterable[WorkerLine]:
    for report in reports:
        for process in report.processes():
            if process["role"] == "worker":
                found = slots.get((report.host.id, process["pid"]), 0)
                yield _worker(process, found, report.is_fresh)


def _worker(process: dict[str, Any], slots: int, is_fresh: bool) -> WorkerLine:
    place = f"{process['pool']}/{process['slot']}"
    return WorkerLine(
        host=process["host"],
        name=f"{place} canary" if process.get("canary") else place,
        state=process["state"] if is_fresh else "silent",
        jobs=process["in_flight"],
        slots=slots,
        bytes=process["memory_bytes"] + process.get("children_bytes", 0),
        peak=process.get("peak_bytes"),
        uptime=process["uptime"],
    )
