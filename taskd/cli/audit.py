"""`taskd audit`: who has ordered what."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from taskd.cli.database import open_jobs
from taskd.cli.moments import distance
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import MAX_ID, json_option
from taskd.clock import utc_now
from taskd.store.audit import list_audit

COLUMNS = (
    Column("ID", right=True),
    Column("WHEN"),
    Column("WHO", flexible=True),
    Column("ROLE"),
    Column("ORDER"),
    Column("CHANGED", right=True),
    Column("WHAT", flexible=True),
)
NOTHING = "Nobody has ordered anything."

EXAMPLES = """\b
Examples:
  taskd audit
  taskd audit --json | jq '.[] | select(.action == "queues.pause")'
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--before", type=click.IntRange(1, MAX_ID), metavar="ID", help="Older than this one.")
@json_option
def audit(limit: int, before: int | None, as_json: bool) -> None:
    """Show who has ordered what: by command, over HTTP, from a page.

    The newest come first. WHO is the user and host of a command, else the address that the
    dashboard was asked from.
    """
    with open_jobs() as connection:
        entries = list_audit(connection, before, limit)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    now = utc_now()
    rows = [
        (
            entry.id,
            distance(entry.at, now),
            entry.address,
            entry.role,
            entry.action,
            entry.count,
            json.dumps(entry.parameters, ensure_ascii=False),
        )
        for entry in entries
    ]
    print_table(COLUMNS, rows, NOTHING)
    if len(entries) == limit:
        click.echo(f"Older ones: --before {entries[-1].id}", err=True)
