"""`taskd jobs failures`: what has failed, by task and cause."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.moments import distance
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import QUEUE, TASK, Duration, json_option
from taskd.clock import utc_now
from taskd.store.failures import MOST_LOOKED_AT, list_failures
from taskd.store.marks import list_marks, marked

COLUMNS = (
    Column("COUNT", right=True),
    Column("TASK", flexible=True),
    Column("CAUSE", flexible=True),
    Column("FIRST"),
    Column("LAST"),
    Column("SAMPLE", right=True),
    Column("SAID", flexible=True),
)

EXAMPLES = """\b
Examples:
  taskd jobs failures
  taskd jobs failures --since 1h --queue sync
  taskd jobs requeue --state failed --task shop.tasks.fetch --cause "KeyError: '…'"
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--since", type=Duration(1), default="1d", show_default=True, help="Failed so long ago at most."
)
@click.option("--queue", type=QUEUE, help="Of this queue.")
@click.option("--task", type=TASK, metavar="PATH", help="Of this task.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many groups.",
)
@click.option("--requeued", is_flag=True, help="Also those that have been requeued since.")
@json_option
def failures(
    since: float, queue: str | None, task: str | None, limit: int, requeued: bool, as_json: bool
) -> None:
    """Group failed jobs by task and cause, the most frequent first.

    A cause is the first line of an error without what is different in each: numbers and ids are #,
    quoted values '…'. SAMPLE is one of the jobs, for `taskd jobs show`; SAID is what
    `taskd jobs acknowledge`, `mute` and `note` have said.
    """
    with open_jobs() as connection:
        found = list_failures(connection, since, queue, task, limit, requeued=requeued)
        marks = list_marks(connection)
    groups = [marked(group, marks) for group in found.groups]
    if as_json:
        print_json(groups)
    else:
        now = utc_now()
        print_table(COLUMNS, [_row(group, now) for group in groups])
    if found.looked_at == MOST_LOOKED_AT:
        click.echo(f"Only the youngest {MOST_LOOKED_AT} failures were looked at.", err=True)


def _row(group: Mapping[str, Any], now: datetime) -> tuple[object, ...]:
    said = [
        "acknowledged" if group["is_acknowledged"] else "",
        "muted" if group["muted"] else "",
        group["note"],
    ]
    return (
        group["count"],
        group["task"],
        group["cause"],
        distance(group["first_at"], now),
        distance(group["last_at"], now),
        group["sample_job"],
        "; ".join(part for part in said if part) or None,
    )
