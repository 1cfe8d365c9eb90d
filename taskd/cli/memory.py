"""`taskd memory`: what workers have held, as small curves, and which have ended why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import click

from taskd.cli.database import open_jobs
from taskd.cli.moments import distance, size
from taskd.cli.output import Column, one_line, print_json, print_lines, print_table
from taskd.cli.parameters import MAX_ID, TEXT, Duration, json_option
from taskd.clock import utc_now
from taskd.store.ends import MOST_ENDS, WorkerEnd, list_worker_ends
from taskd.store.hosts import list_hosts_named, name_hosts
from taskd.store.memory import MOST_POINTS, MemoryPoint, memory_curve
from taskd.store.statistics import KEEP_HOURS

WIDTH = 32
LATE_SECONDS = 60.0
LEVELS = "▁▂▃▄▅▆▇█"
GAP = " "

COLUMNS = (
    Column("HOST", flexible=True),
    Column("PROCESS", flexible=True),
    Column("PID", right=True),
    Column("NOW", right=True),
    Column("LEAST", right=True),
    Column("MOST", right=True),
    Column("CURVE"),
)
NOTHING = "No process has told what it holds."

EXAMPLES = """\b
Examples:
  taskd memory
  taskd memory --last 1d --pool io
  taskd memory --json | jq '.ends[].reason'
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--last",
    type=Duration(60, KEEP_HOURS),
    default="6h",
    show_default=True,
    help="Of so long a time until now.",
)
@click.option("--host", type=TEXT, metavar="NAME", help="Of this host.")
@click.option("--pool", type=TEXT, metavar="NAME", help="Of this pool.")
@click.option("--worker", type=click.IntRange(1, MAX_ID), metavar="ID", help="Of this worker.")
@json_option
def memory(
    last: float, host: str | None, pool: str | None, worker: int | None, as_json: bool
) -> None:
    """Show what processes have held, each with a curve, and which workers have ended why.

    Bytes are without what is shared, with all processes below. A curve goes from nothing to the
    most that its process has held. Hosts that have ended are shown as well.
    """
    with open_jobs() as connection:
        hosts = None if host is None else list_hosts_named(connection, host)
        points = memory_curve(connection, last, hosts=hosts, pool=pool, worker=worker)
        ends = list_worker_ends(connection, last, hosts=hosts, pool=pool, worker=worker)
        told = {point.host for point in points} | {end.host for end in ends}
        names = name_hosts(connection, sorted(told))
    _tell_cut(len(points), len(ends))
    is_cut = len(points) >= MOST_POINTS
    if as_json:
        document = {
            "points": [asdict(one) for one in points],
            "since": points[0].at if points else None,
            "truncated": is_cut,
            "ends": [asdict(end) for end in ends],
        }
        print_json(document)
        return
    now = utc_now()
    since = now - timedelta(seconds=last)
    print_table(COLUMNS, _rows(points, names, since, now), NOTHING)
    if not is_cut:
        _tell_first(points, since, now)
    print_lines(_ended(end, names, now) for end in ends)


def _tell_first(points: Sequence[MemoryPoint], since: datetime, now: datetime) -> None:
    """Say from when on there are readings, if that is later than was asked for."""
    if points and (points[0].at - since).total_seconds() > points[0].seconds + LATE_SECONDS:
        click.echo(f"There are readings from {distance(points[0].at, now)} on.", err=True)


def _tell_cut(points: int, ends: int) -> None:
    for count, most, what in ((points, MOST_POINTS, "readings"), (ends, MOST_ENDS, "ends")):
        if count >= most:
            hint = "say less --last, a --host, a --pool or a --worker"
            click.echo(f"Only the youngest {most:,} {what} are looked at: {hint}.", err=True)


def _rows(
    points: Sequence[MemoryPoint], names: dict[int, str], since: datetime, now: datetime
) -> Iterator[tuple[object, ...]]:
    processes: dict[tuple[int, int], list[MemoryPoint]] = defaultdict(list)
    for point in points:
        processes[point.host, point.pid].append(point)
    for (host, pid), own in processes.items():
        yield (
            names.get(host, f"host {host}, which has ended"),
            _name(own[-1]),
            pid,
            size(own[-1].bytes),
            size(min(point.low for point in own)),
            size(max(point.high for point in own)),
            curve([(point.at, point.high) for point in own], since, now),
        )


def _name(point: MemoryPoint) -> str:
    return point.role if point.worker is None else f"{point.pool}/{point.slot}"


def curve(points: Sequence[tuple[datetime, int]], since: datetime, now: datetime) -> str:
    """A line of blocks over a time, each as high as the most of its share of it.

    What was held goes on until the next point; before the first there is nothing.
    """
    most = max((value for _, value in points), default=0) or 1
    highest: list[int | None] = [None] * WIDTH
    for at, value in points:
        place = min(max(int((at - since) / (now - since) * WIDTH), 0), WIDTH - 1)
        highest[place] = max(highest[place] or 0, value)
    last = max((place for place, value in enumerate(highest) if value is not None), default=-1)
    drawn = ""
    held: int | None = None
    for share in highest[: last + 1]:
        held = held if share is None else share
        drawn += GAP if held is None else LEVELS[min(held * len(LEVELS) // most, len(LEVELS) - 1)]
    return drawn


def _ended(end: WorkerEnd, names: dict[int, str], now: datetime) -> str:
    name = f"{end.pool}/{end.slot} on {names.get(end.host, f'host {end.host}')}"
    why = end.reason or "nobody has told why"
    return one_line(f"{name}, pid {end.pid}, ended {distance(end.ended_at, now)}: {why}")
