"""`taskd tasks`: what may be run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.invocation import current
from taskd.cli.moments import span, when
from taskd.cli.output import Column, print_json, print_lines, print_table, printable
from taskd.cli.parameters import TASK, json_option
from taskd.cli.probing import probe_imports
from taskd.store.connect import Connection
from taskd.store.hosts import SILENT_SECONDS, list_hosts, list_tasks
from taskd.store.look import unoffered_parts
from taskd.tasks.needs import Needs, needs_offered

COLUMNS = (
    Column("TASK", flexible=True),
    Column("SIGNATURE", flexible=True),
    Column("QUEUE", flexible=True),
    Column("PRIO", right=True),
    Column("TIMEOUT", right=True),
    Column("RETRIES", right=True),
    Column("POOLS", flexible=True),
    Column("SUMMARY", flexible=True),
)

NOTHING = "No daemon offers tasks, and `imports` names no modules: set it."

EXAMPLES = """\b
Examples:
  taskd tasks
  taskd tasks shop.tasks.fetch
  taskd --imports shop.tasks tasks --local --json
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False, type=TASK)
@click.option("--local", is_flag=True, help="Import `imports` here; ask no daemon.")
@json_option
def tasks(name: str | None, local: bool, as_json: bool) -> None:
    """Show what may be run: signature, docstring, options, pools.

    As the running daemons have it. If none runs, the modules of `imports` are imported here, in a
    process of its own. With NAME, all about one task.
    """
    found = local_tasks() if local else _tasks_of_daemons()
    if name is not None:
        found = [task for task in found if task["name"] == name]
        if not found:
            raise Failure(f"no task is named {name}: `taskd tasks` lists all")
    if as_json:
        print_json(found)
    elif name is not None:
        print_lines(_sheet(found[0]))
    else:
        print_table(COLUMNS, [_row(task) for task in found], NOTHING)


def _tasks_of_daemons() -> list[dict[str, Any]]:
    with open_jobs() as connection:
        lives = _somebody_lives(connection)
        offered = list_tasks(connection) if lives else []
        if lives:
            _tell_of_what_is_not_offered(connection)
    if offered or (lives and not current().settings().imports):
        return offered
    state = "No daemon offers tasks" if lives else "No daemon is running"
    click.echo(f"{state}; this is what `imports` holds here.", err=True)
    return local_tasks()


def _somebody_lives(connection: Connection) -> bool:
    """Whether some host speaks for what may be run; a silent one does not."""
    return any(host.beat_age < SILENT_SECONDS for host in list_hosts(connection))


def _tell_of_what_is_not_offered(connection: Connection) -> None:
    for queue, version in unoffered_parts(connection):
        click.echo(
            f"Jobs wait in {queue} for code {version}, which no running worker offers: "
            "see `taskd queues`.",
            err=True,
        )


def local_tasks() -> list[dict[str, Any]]:
    """What the configured `imports` hold, found in a child; raises Failure if they cannot be."""
    settings = current().settings()
    if not settings.imports:
        raise Failure("`imports` names no modules: set it, or say --imports shop.tasks")
    pools = settings.pools.values()
    probed = probe_imports(
        settings.imports,
        middleware=settings.middleware,
        greenlets=any(pool.greenlets is not None for pool in pools),
        seconds=max(pool.startup_timeout for pool in pools),
    )
    if probed.error is not None:
        raise Failure(probed.error)
    return [{**task, "pools": sorted(settings.pools)} for task in probed.tasks]


def _row(task: dict[str, Any]) -> Sequence[object]:
    return (
        task["name"],
        task["signature"],
        task["queue"],
        task["priority"],
        None if task["timeout"] is None else span(task["timeout"]),
        task["retries"],
        ",".join(task["pools"]),
        task["summary"],
    )


def _sheet(task: dict[str, Any]) -> Iterator[str]:
    yield printable(f"{task['name']}{task['signature']}")
    if task["doc"]:
        yield f"\n{indent(printable(task['doc'].strip()), '    ')}\n"
    timeout = "that of its queue or pool" if task["timeout"] is None else span(task["timeout"])
    yield printable(f"queue:    {task['queue']}, priority {task['priority']}")
    yield printable(f"timeout:  {timeout}")
    yield printable(f"retries:  {task['retry'] or 'none'}")
    if task.get("requires"):
        yield printable(f"requires: code {task['requires']}")
    for line in _needs(needs_offered(task.get("needs"))):
        yield printable(line)
    yield printable(f"pools:    {', '.join(task['pools'])}")
    for one in task.get("schedules", ()):
        yield printable(f"schedule: {one['name']}, {when(one['spec'])}")
    for option, what in (("on_interrupt", "is interrupted"), ("on_lost", "loses its worker")):
        if task.get(option) == "fail":
            yield f"          fails if it {what}"
    if not task["decorated"]:
        yield "          an undecorated function, run by its dotted path"


def _needs(needs: Needs) -> Iterator[str]:
    if callable(needs.resources):
        yield "needs:    what a function makes of the arguments"
    elif needs.resources:
        yield f"needs:    {', '.join(map(str, needs.resources))}"
    if needs.bounds is not None:
        yield f"limit:    {needs.bounds}"
    if needs.fair_by is not None:
        key = (
            needs.fair_by
            if isinstance(needs.fair_by, str)
            else "what a function makes of the arguments"
        )
        yield f"fair by:  {key}"
    if needs.on_retry is not None:
        yield f"          {needs.on_retry}s its resources between attempts"
