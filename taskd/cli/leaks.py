"""`taskd leaks`: the tasks that leak, and canaries that look for them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.moments import distance
from taskd.cli.noting import noted
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import TASK, json_option
from taskd.config.units import roughly
from taskd.store import leaks as store
from taskd.store.leaks import Leak

COLUMNS = (
    Column("TASK", flexible=True),
    Column("POOL", flexible=True),
    Column("LEAK/JOB", right=True),
    Column("95 %", right=True),
    Column("JOBS", right=True),
    Column("SEEN BY"),
    Column("LINE", flexible=True),
    Column("REPLACED", right=True),
    Column("SEEN"),
)
NOTHING = "No task is known to leak."

EXAMPLES = """\b
Examples:
  taskd leaks
  taskd leaks --json | jq '.[] | select(.bytes > 10000) | .line'
  taskd leaks hunt --task shop.tasks.sync
"""


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@json_option
@click.pass_context
def leaks(context: click.Context, as_json: bool) -> None:
    """Show the tasks that leak: how much a job, and where it is allocated.

    SEEN BY: all workers of the pool, whose memory was fitted to what they have run, or a canary,
    which traces each allocation. REPLACED is how many workers of the pool were replaced today
    because of what they held.
    """
    if context.invoked_subcommand is not None:
        return
    with open_jobs() as connection:
        found = store.list_leaks(connection)
    if as_json:
        print_json([asdict(leak) for leak in found])
    else:
        now = datetime.now(UTC)
        print_table(COLUMNS, [_row(leak, now) for leak in found], NOTHING)


def _row(leak: Leak, now: datetime) -> tuple[object, ...]:
    return (
        leak.task,
        leak.pool,
        roughly(round(leak.bytes)),
        f"{roughly(round(leak.low))} - {roughly(round(leak.high))}",
        leak.jobs,
        leak.source,
        leak.line,
        leak.recycled,
        distance(leak.seen_at, now),
    )


@leaks.command()
@click.option("--task", type=TASK, metavar="PATH", required=True, help="The task to look at.")
@json_option
def hunt(task: str, as_json: bool) -> None:
    """Start a canary in each pool that runs a task: one more worker, which traces allocations.

    It takes jobs like any other, more slowly, and ends when it has seen enough of them; `taskd
    leaks` shows what it has found.
    """
    with open_jobs() as connection, noted(connection, "leaks.hunt", task=task) as entry:
        hunted = store.ask_hunt(connection, task)
        entry.count = len(hunted)
        if not hunted:
            raise Failure(f"no running daemon offers {task}: `taskd tasks` shows what is offered")
    if as_json:
        print_json([one._asdict() for one in hunted])
        return
    for pool, host in hunted:
        click.echo(f"A canary is started in pool {pool} on {host}; see `taskd leaks`.")
