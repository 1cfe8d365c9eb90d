"""`taskd heap`: what grows in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.moments import span
from taskd.cli.output import Column, one_line, print_json, print_lines, table_lines
from taskd.cli.parameters import Duration, json_option
from taskd.cli.worker_names import TARGET, Target
from taskd.tasks.heap import heap_of_workers

LONGEST = 3600.0
TYPES = (
    Column("TYPE"),
    Column("BEFORE", right=True),
    Column("AFTER", right=True),
    Column("GROWN", right=True),
)
CONTAINERS = (Column("CONTAINER"), *TYPES)

EXAMPLES = """\b
Examples:
  taskd heap io/0
  taskd heap io/0 --seconds 5m
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TARGET, metavar="WORKER")
@click.option(
    "--seconds",
    type=Duration(0, LONGEST),
    default="10s",
    show_default=True,
    help="Between the two looks.",
)
@json_option
def heap(target: Target, seconds: float, as_json: bool) -> None:
    """Show what grows in a worker between two moments: objects by type, and containers.

    Looks into the worker (POOL/SLOT, or all of a POOL) beside its jobs, and holds it up for less
    than a tenth of a second at a time. Sees what Python's garbage collector does: no texts and
    numbers, but what holds them. What waits for that collector is counted, too; of what was there
    when the worker was forked, only containers that are globals, or attributes of such.
    """
    if target.pool is None:
        raise WrongUsage("name a worker, such as io/0: `taskd workers` lists them")
    with open_jobs() as connection:
        found = heap_of_workers(connection, target.pool, target.slot, seconds)
    if not found:
        raise Failure(f"no worker {target} runs: see `taskd workers`")
    if as_json:
        print_json(found)
    else:
        print_lines(line for one in found for line in _sheet(one))


def _sheet(found: dict[str, Any]) -> Iterator[str]:
    if found["note"]:
        yield f"{one_line(found['worker'])}: {one_line(found['note'])}"
        return
    blocks = found["blocks_after"] - found["blocks_before"]
    yield (
        f"{one_line(found['worker'])}: {blocks:+d} objects in {span(found['seconds'])} "
        f"(held up for {span(found['longest_stop'])} at most)"
    )
    if found["types"]:
        yield from table_lines(TYPES, [_row(one) for one in found["types"]], None)
    if found["containers"]:
        yield ""
        rows = [[one_line(one["name"] or "?"), *_row(one)] for one in found["containers"]]
        yield from table_lines(CONTAINERS, rows, None)
    if not found["types"] and not found["containers"]:
        yield "nothing has grown"


def _row(one: dict[str, Any]) -> list[str]:
    before, after = one["before"], one["after"]
    return [one_line(one["type"]), str(before), str(after), f"+{after - before}"]
