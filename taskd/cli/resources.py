"""`taskd resources`: what jobs hold and wait for, who holds it, and who stands in line."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.moments import distance
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import JOB_ID, TEXT, json_option
from taskd.cli.resource_sheet import PATIENCE_SECONDS, print_sheet, read_sheet
from taskd.config.rates import format_rate
from taskd.store.needs import EXCLUSIVE
from taskd.store.resources import (
    NOBODY,
    Holders,
    ResourceRow,
    find_holders,
    list_resources,
)
from taskd.store.waits import MOST_COUNTED, one_moment
from taskd.tasks.reasons import listed, names_meant, title

FIRST_SHOWN = 3

COLUMNS = (
    Column("RESOURCE", flexible=True),
    Column("USED", right=True),
    Column("OF", right=True),
    Column("RATE", right=True),
    Column("HELD BY", flexible=True),
    Column("WAITING", right=True),
    Column("FIRST IN LINE", flexible=True),
    Column("SINCE"),
)

NOTHING = "No job holds a resource or waits for one."

EXAMPLES = """\b
Examples:
  taskd resources
  taskd resources repo:42 --limit 200
  taskd resources --json | jq '.[] | select(.waiting > 0) | .name'
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False, type=TEXT)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many resources, or with NAME so many holders and jobs in line.",
)
@click.option(
    "--after", type=JOB_ID, metavar="ID", help="With NAME: the line from behind this job."
)
@json_option
def resources(name: str | None, limit: int, after: int | None, as_json: bool) -> None:
    """Show resources and limits: what is held, by which jobs, and who stands in line.

    What is waited for comes first. With NAME, such as repo:42, or the name of a limit, a task or a
    queue that has one, or what the list calls it: its holders, and its line in order.
    """
    if name is not None:
        _show(name, limit, after, as_json)
    elif after is not None:
        raise click.UsageError("--after goes with the NAME of a resource")
    else:
        _list(limit, as_json)


def _list(limit: int, as_json: bool) -> None:
    with open_jobs() as connection, one_moment(connection) as now:
        found = list_resources(connection, None, limit, FIRST_SHOWN)
        used = {one.name: one.used for one in found}
        held = find_holders(connection, used, FIRST_SHOWN, PATIENCE_SECONDS)
    if as_json:
        print_json([_as_json(one, held.get(one.name, NOBODY)) for one in found])
        return
    print_table(COLUMNS, [_row(one, held.get(one.name, NOBODY), now) for one in found], NOTHING)
    if len(found) == limit:
        click.echo(f"Only the first {limit} are shown: --limit shows more.", err=True)


def _row(one: ResourceRow, holders: Holders, now: datetime) -> tuple[object, ...]:
    return (
        title(one.name),
        _amount(one.used),
        one.units,
        None if one.rate is None else format_rate(one.rate),
        _held(holders),
        f"{one.waiting}+" if one.waiting >= MOST_COUNTED else one.waiting,
        listed(one.first, one.waiting) or None,
        None if one.since is None else distance(one.since, now),
    )


def _amount(units: int) -> str:
    return "all" if units >= EXCLUSIVE else str(units)


def _held(holders: Holders) -> str | None:
    names = listed([holder.id for holder in holders.first], holders.found)
    if not holders.hidden:
        return names or None
    return f"{names or '?'} (and others)" if names else "?"


def _as_json(one: ResourceRow, holders: Holders) -> dict[str, Any]:
    return {
        **asdict(one),
        "holders": [holder.id for holder in holders.first],
        "holders_found": holders.found,
        "hidden_units": holders.hidden,
    }


def _show(name: str, limit: int, after: int | None, as_json: bool) -> None:
    with open_jobs() as connection, one_moment(connection) as now:
        names = names_meant(name)
        found = list_resources(connection, names, len(names), 0)
        sheets = [read_sheet(connection, one, after, limit) for one in found]
    if not found:
        raise Failure(f"nobody holds {name} or waits for it, and it has no limit")
    if after is not None and not any(sheet.line for sheet in sheets):
        raise Failure(f"nobody stands behind job {after} in the line of {name}")
    if as_json:
        print_json([sheet.to_json_dict() for sheet in sheets])
        return
    for sheet in sheets:
        print_sheet(sheet, now)
