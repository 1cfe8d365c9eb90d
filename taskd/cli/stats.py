"""`taskd stats`: what has ended and what waits, in figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.hungriest import show_hungriest
from taskd.cli.moments import span
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import QUEUE, TASK, Duration, json_option
from taskd.store import statistics
from taskd.store.connect import Connection
from taskd.store.histogram import Histogram
from taskd.store.reading import try_to_write
from taskd.store.statistics import KEEP_HOURS, Backlog, By, Summary

ENDED = (
    Column("JOBS/S", right=True),
    Column("SUCCEEDED", right=True),
    Column("FAILED", right=True),
    Column("RETRIED", right=True),
    Column("FAILURES", right=True),
)
TIMES = (
    Column("WAIT P50", right=True),
    Column("P95", right=True),
    Column("RUN P50", right=True),
    Column("P95", right=True),
    Column("P99", right=True),
)
WAITING = (
    Column("QUEUED", right=True),
    Column("RUNNABLE", right=True),
    Column("RUNNING", right=True),
    Column("OLDEST", right=True),
)
NOTHING = "Nothing has ended in that time, and nothing waits."

EXAMPLES = """\b
Examples:
  taskd stats
  taskd stats --by task --last 6h
  taskd stats --last 7d --queue sync --json
  taskd stats --last 1d --hungriest
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--last",
    type=Duration(60, KEEP_HOURS),
    default="15m",
    show_default=True,
    help="What has ended in so long a time.",
)
@click.option(
    "--by",
    type=click.Choice([str(by) for by in (By.QUEUE, By.TASK, By.POOL)]),
    default=str(By.QUEUE),
    show_default=True,
    help="What a line is about.",
)
@click.option("--queue", type=QUEUE, help="Of this queue.")
@click.option("--task", type=TASK, metavar="PATH", help="Of this task.")
@click.option(
    "--hungriest",
    is_flag=False,
    flag_value="cpu",
    type=click.Choice(["cpu", "memory"]),
    help="Show the ten tasks that used the most CPU, or left the most memory taken.",
)
@json_option
def stats(
    last: float,
    by: str,
    queue: str | None,
    task: str | None,
    hungriest: str | None,
    as_json: bool,
) -> None:
    """Show rates, failures, run and wait times, and the backlog: by queue, task or pool.

    RUNNABLE jobs could start now if a slot were free. ~ marks an estimate.
    """
    with open_jobs() as connection:
        try_to_write(connection, statistics.roll_up)  # else as the daemons have written them
        if hungriest is not None:
            show_hungriest(
                statistics.summarize(connection, last, By.TASK, queue, task), hungriest, as_json
            )
            return
        found = statistics.summarize(connection, last, By(by), queue, task)
        backlog = _backlog(connection, queue) if by == By.QUEUE and task is None else {}
    summaries = {summary.name: summary for summary in found}
    names = sorted(summaries.keys() | backlog.keys())
    if as_json:
        print_json([_object(name, summaries.get(name), backlog.get(name)) for name in names])
        return
    columns = (Column(by.upper(), flexible=True), *ENDED, *TIMES, *(WAITING if backlog else ()))
    rows = [
        (name or "-", *_figures(summaries.get(name)), *_waiting(backlog.get(name)))
        if backlog
        else (name or "-", *_figures(summaries.get(name)))
        for name in names
    ]
    print_table(columns, rows, NOTHING)


def _backlog(connection: Connection, queue: str | None) -> dict[str, Backlog]:
    found = statistics.merge_parts(statistics.fetch_backlog(connection))
    return {each.queue: each for each in found if queue in (None, each.queue)}


def _object(name: str, summary: Summary | None, backlog: Backlog | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": name} if summary is None else summary.to_json_dict()
    if backlog is not None:
        held = asdict(backlog)
        for key in ("queue", "requires", "offered"):
            del held[key]
        shown["backlog"] = held
    return shown


def _figures(summary: Summary | None) -> tuple[object, ...]:
    if summary is None:
        return ("-",) * (len(ENDED) + len(TIMES))
    counts = summary.counts
    failing = counts.failure_rate
    return (
        f"{summary.rate:.3g}",
        counts.succeeded,
        counts.failed,
        counts.retried,
        None if failing is None else f"{failing:.1%}",
        *(_quantile(counts.waits, part) for part in (0.5, 0.95)),
        *(_quantile(counts.runs, part) for part in (0.5, 0.95, 0.99)),
    )


def _quantile(durations: Histogram, part: float) -> str | None:
    found = durations.quantile(part)
    return None if found is None else span(found)


def _waiting(backlog: Backlog | None) -> tuple[object, ...]:
    if backlog is None:
        return ("-",) * len(WAITING)
    about = "" if backlog.is_exact else "~"
    return (
        f"{about}{backlog.queued}",
        f"{about}{backlog.runnable}",
        backlog.running,
        None if backlog.queued_seconds is None else span(backlog.queued_seconds),
    )
