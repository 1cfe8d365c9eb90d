"""The lines of one picture: three tables under a heading, cut to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TypeVar

import click

from taskd.cli.moments import size
from taskd.cli.output import Column, one_line, shortened, table_lines
from taskd.cli.top.overview import Overview, QueueLine, WorkerLine
from taskd.cli.top.short import count, duration, rate, share
from taskd.events import counted
from taskd.store.failures import FailureGroup
from taskd.store.histogram import Histogram

Line = TypeVar("Line")

LEAST_ROWS = 3
"""Rows that a table keeps however low the terminal is."""

FAILURE_ROWS = 5

QUEUES = (
    Column("QUEUE", flexible=True),
    Column("JOBS/S", right=True),
    Column("FAIL", right=True),
    Column("WAIT", right=True),
    Column("RUN", right=True),
    Column("QUEUED", right=True),
    Column("RUNNABLE", right=True),
    Column("RUNS", right=True),
    Column("OLDEST", right=True),
)
WORKERS = (
    Column("WORKER", flexible=True),
    Column("HOST", flexible=True),
    Column("STATE", painted=True),
    Column("JOBS", right=True),
    Column("SLOTS", right=True),
    Column("MEMORY", right=True),
    Column("PEAK", right=True),
    Column("UPTIME", right=True),
)
FAILURES = (
    Column("FAILED", right=True),
    Column("LAST", right=True),
    Column("TASK", flexible=True),
    Column("CAUSE", flexible=True),
    Column("JOB", right=True),
)


def frame_lines(view: Overview, width: int, height: int | None = None) -> list[str]:
    """The picture, in lines of at most `width` cells, with styles; None: as many as it takes.

    WAIT and RUN are the 95th percentiles. Where the height does not suffice the fullest queues,
    the largest workers and the most frequent failures are shown, in an order that stays.
    """
    lines = [shortened(line, width) for line in _heading(view)]
    lines += _stalls(view, width, height)
    queues, workers, failures = _rows(view, None if height is None else height - len(lines))
    for columns, rows, left in (
        (QUEUES, [_queue(each) for each in queues], len(view.queues) - len(queues)),
        (WORKERS, [_worker(each) for each in workers], len(view.workers) - len(workers)),
        (FAILURES, [_failure(view, each) for each in failures], 0),
    ):
        if rows:
            lines += ["", *_table(columns, rows, width)]
        if left:
            lines.append(f"… and {left} more")
    return lines


def _heading(view: Overview) -> list[str]:
    slots = sum(pool.slots for pool in view.pools)
    busy = sum(pool.running for pool in view.pools)
    workers = counted(sum(pool.workers for pool in view.pools), "worker")
    first = (
        f"taskd  {view.at.astimezone():%H:%M:%S}  {counted(view.hosts, 'host')}, {workers}, "
        f"{counted(slots, 'slot')}, {counted(busy, 'job')} in hand"
    )
    return [first, *_ended(view)]


def _stalls(view: Overview, width: int, height: int | None) -> list[str]:
    """A stall takes as many lines as its sentence; of a low terminal a third at most."""
    lines = [
        line
        for stall in view.stalls
        for line in wrap(
            one_line(f"{stall}; {stall.remedy}"),
            width,
            initial_indent="! ",
            subsequent_indent="  ",
        )
    ]
    most = len(lines) if height is None else height // 3
    return [click.style(line, fg="yellow") for line in lines[:most]]


def _ended(view: Overview) -> list[str]:
    lasting = duration(view.seconds)
    if view.total is None:
        return [f"last {lasting}: nothing has ended"]
    counts = view.total.counts
    return [
        f"last {lasting}: {rate(view.total.rate)} jobs/s, {count(counts.failed)} failed, "
        f"{count(counts.retried)} retried, {count(counts.lost)} lost",
        f"p50 and p95: wait {_quantiles(counts.waits)}, run {_quantiles(counts.runs)}",
    ]


def _quantiles(found: Histogram) -> str:
    middle, high = (duration(found.quantile(part)) or "-" for part in (0.5, 0.95))
    return f"{middle} {high}"


def _rows(
    view: Overview, height: int | None
) -> tuple[Sequence[QueueLine], Sequence[WorkerLine], Sequence[FailureGroup]]:
    """What is shown: all, or as much as fits into so many lines."""
    if height is None:
        return view.queues, view.workers, view.failures
    failures = view.failures[:FAILURE_ROWS]
    # A table takes an empty line and its title, and may end with what is left out.
    room = height - (len(failures) + 2 if failures else 0) - 6
    queues = min(len(view.queues), max(room - min(len(view.workers), room // 2), LEAST_ROWS))
    workers = max(room - queues, LEAST_ROWS)
    return (
        _largest(view.queues, queues, _fullness),
        _largest(view.workers, workers, lambda worker: worker.bytes),
        failures,
    )


def _fullness(queue: QueueLine) -> float:
    waiting = 0 if queue.waiting is None else queue.waiting.queued + queue.waiting.running
    return waiting + (0.0 if queue.ended is None else queue.ended.rate)


def _largest(lines: Sequence[Line], most: int, key: Callable[[Line], float]) -> Sequence[Line]:
    if len(lines) <= most:
        return lines
    chosen = sorted(range(len(lines)), key=lambda i: -key(lines[i]))[:most]
    return [lines[i] for i in sorted(chosen)]


def _table(columns: Sequence[Column], rows: Sequence[Sequence[object]], width: int) -> list[str]:
    return table_lines(columns, [[one_line(cell) for cell in row] for row in rows], width)


def _queue(queue: QueueLine) -> tuple[object, ...]:
    return (queue.name, *_of_ended(queue), *_of_waiting(queue))


def _of_ended(queue: QueueLine) -> tuple[object, ...]:
    if queue.ended is None:
        return (None,) * 4
    counts = queue.ended.counts
    return (
        rate(queue.ended.rate),
        share(counts.failure_rate),
        duration(counts.waits.quantile(0.95)),
        duration(counts.runs.quantile(0.95)),
    )


def _of_waiting(queue: QueueLine) -> tuple[object, ...]:
    found = queue.waiting
    if found is None:
        return (0, 0, 0, None)
    about = "" if found.is_exact else "~"
    runnable = "paused" if found.paused else f"{about}{count(found.runnable)}"
    return (
        f"{about}{count(found.queued)}",
        runnable,
        count(found.running),
        duration(found.queued_seconds),
    )


def _worker(worker: WorkerLine) -> tuple[object, ...]:
    return (
        worker.name,
        worker.host,
        worker.state,
        worker.jobs,
        worker.slots or None,
        size(worker.bytes),
        size(worker.peak),
        duration(worker.uptime),
    )


def _failure(view: Overview, group: FailureGroup) -> tuple[object, ...]:
    ago = (view.at - group.last_at).total_seconds()
    return (count(group.count), duration(ago), group.task, group.cause, group.sample_job)


def trouble_line(error: str, width: int) -> str:
    """What is shown above an old picture while the database does not answer."""
    return click.style(shortened(one_line(f"as it was: {error}"), width), fg="red")
