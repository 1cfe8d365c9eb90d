"""`taskd queues`: list, pause, resume."""

from __future__ import annotations

from dataclasses import asdict

import click

from taskd.cli.database import open_jobs
from taskd.cli.limits import shown_limit
from taskd.cli.moments import span
from taskd.cli.noting import noted
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import QUEUE, json_option
from taskd.config.versions import written_part
from taskd.store.connect import Connection
from taskd.store.look import QueueRow, list_queues
from taskd.store.queues import pause_queue, resume_queue

COLUMNS = (
    Column("QUEUE", flexible=True),
    Column("STATE", painted=True),
    Column("QUEUED", right=True),
    Column("SCHEDULED", right=True),
    Column("BLOCKED", right=True),
    Column("RUNNING", right=True),
    Column("OLDEST", right=True),
    Column("LIMIT"),
    Column("DESCRIPTION", flexible=True),
)

NOTHING = "No queue holds a job now. What has run: `taskd jobs list`."

EXAMPLES = """\b
Examples:
  taskd queues
  taskd queues pause mail
"""


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@json_option
@click.pass_context
def queues(context: click.Context, as_json: bool) -> None:
    """List, pause and resume queues. Without a command, list them."""
    if context.invoked_subcommand is None:
        _print_queues(as_json)


@queues.command("list")
@json_option
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> None:
    """List the queues with what waits and runs in them.

    Jobs that require a version of the code have a line of their own, such as sync@v2.
    """
    _print_queues(as_json or (context.parent is not None and context.parent.params["as_json"]))


def _print_queues(as_json: bool) -> None:
    with open_jobs() as connection:
        found = list_queues(connection)
    if as_json:
        print_json([asdict(queue) for queue in found])
        return
    print_table(COLUMNS, [_row(queue) for queue in found], NOTHING)
    for queue in found:
        if _is_stuck(queue):
            click.echo(_why_stuck(queue), err=True)


def _row(queue: QueueRow) -> tuple[object, ...]:
    return (
        written_part(queue.name, queue.requires),
        _state(queue),
        queue.queued,
        queue.scheduled,
        queue.blocked,
        queue.running,
        None if queue.oldest_seconds is None else span(queue.oldest_seconds),
        shown_limit(queue.concurrency, queue.rate, queue.burst),
        queue.description,
    )


def _why_stuck(queue: QueueRow) -> str:
    count = _waiting(queue)
    jobs = "1 job waits" if count == 1 else f"{count} jobs wait"
    return (
        f"{jobs} in {queue.name} for code {queue.requires}, which no running worker offers: "
        f"deploy it, or add {queue.requires} to `offers` where newer code runs"
    )


def _state(queue: QueueRow) -> str:
    if queue.paused:
        return "paused"
    return "unoffered" if _is_stuck(queue) else "open"


def _is_stuck(queue: QueueRow) -> bool:
    """Whether jobs wait for code that nobody runs."""
    return not queue.offered and _waiting(queue) > 0


def _waiting(queue: QueueRow) -> int:
    return queue.queued + queue.scheduled + queue.blocked


def _order(connection: Connection, verb: str, name: str) -> bool:
    with noted(connection, f"queues.{verb}", queue=name) as entry:
        entry.count = int((pause_queue if verb == "pause" else resume_queue)(connection, name))
    return bool(entry.count)


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=QUEUE)
def pause(names: tuple[str, ...]) -> None:
    """Let no worker claim from these queues; what runs goes on, enqueueing goes on."""
    with open_jobs() as connection:
        changed = {name: _order(connection, "pause", name) for name in names}
    for name, is_new in changed.items():
        click.echo(f"{name} {'is paused now' if is_new else 'was paused already'}")


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=QUEUE)
def resume(names: tuple[str, ...]) -> None:
    """Let these queues be claimed from again."""
    with open_jobs() as connection:
        changed = {name: _order(connection, "resume", name) for name in names}
    for name, is_new in changed.items():
        click.echo(f"{name} {'is open again' if is_new else 'was not paused'}")
