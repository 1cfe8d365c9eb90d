"""`taskd stats --hungriest`: the tasks that used the most."""

from __future__ import annotations

from collections.abc import Sequence

from taskd.cli.moments import size, span
from taskd.cli.output import Column, print_json, print_table
from taskd.store.statistics import Summary

MOST = 10
COLUMNS = (
    Column("TASK", flexible=True),
    Column("JOBS", right=True),
    Column("CPU", right=True),
    Column("SHARE", right=True),
    Column("CPU/JOB", right=True),
    Column("MEMORY", right=True),
    Column("MEMORY/JOB", right=True),
)
NOTHING = "Nothing has used any in that time."


def show_hungriest(tasks: Sequence[Summary], by: str, as_json: bool) -> None:
    """Print the tasks that used the most "cpu", or left the most "memory" taken."""
    used = {"cpu": _cpu, "memory": _memory}[by]
    shown = sorted((one for one in tasks if used(one) > 0), key=used, reverse=True)[:MOST]
    if as_json:
        print_json([one.to_json_dict() for one in shown])
        return
    whole = sum(map(_cpu, tasks))
    print_table(COLUMNS, [_row(one, whole) for one in shown], NOTHING)


def _cpu(task: Summary) -> float:
    return task.counts.cpu_seconds


def _memory(task: Summary) -> float:
    return task.counts.memory_growth


def _row(task: Summary, whole: float) -> tuple[object, ...]:
    counts = task.counts
    attempts = max(counts.ended + counts.retried, 1)
    return (
        task.name,
        counts.ended,
        span(counts.cpu_seconds),
        f"{counts.cpu_seconds / whole:.1%}" if whole else None,
        span(counts.cpu_seconds / attempts),
        _signed(counts.memory_growth),
        _signed(int(counts.memory_growth / attempts)),
    )


def _signed(amount: int) -> str:
    if not amount:
        return "-"
    return f"{'-' if amount < 0 else '+'}{size(abs(amount))}"
