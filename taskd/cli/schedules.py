"""`taskd schedules`: list, run, pause, resume, preview."""

from __future__ import annotations

import json

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.moments import distance, when
from taskd.cli.noting import noted
from taskd.cli.output import Column, print_json, print_table
from taskd.cli.parameters import SCHEDULE, json_option
from taskd.cli.schedule_preview import preview
from taskd.store import schedules as store
from taskd.store.connect import Connection
from taskd.store.hosts import SILENT_SECONDS, list_hosts
from taskd.store.schedule_rows import ScheduleRow
from taskd.tasks import schedule_orders

COLUMNS = (
    Column("SCHEDULE", flexible=True),
    Column("STATE", painted=True),
    Column("WHEN", flexible=True),
    Column("TASK", flexible=True),
    Column("NEXT", right=True),
    Column("LAST", right=True),
    Column("LAST JOB", flexible=True),
    Column("SOURCE"),
)

NOTHING = "No schedules: give the file `schedules`, or a task `schedule=`, and start the daemon."

EXAMPLES = """\b
Examples:
  taskd schedules
  taskd schedules run nightly
  taskd schedules preview --cron '30 2 * * *' --timezone Europe/Berlin
"""


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@json_option
@click.pass_context
def schedules(context: click.Context, as_json: bool) -> None:
    """List, run, pause, resume and preview schedules. Without a command, list them."""
    if context.invoked_subcommand is None:
        _print_schedules(as_json)


@schedules.command("list")
@json_option
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> None:
    """List the schedules that daemons have declared, with their next slots and last jobs.

    STATE is active, paused, over (no slot is left) or removed (no daemon that runs has it).
    """
    _print_schedules(as_json or (context.parent is not None and context.parent.params["as_json"]))


def _print_schedules(as_json: bool) -> None:
    with open_jobs() as connection:
        found = store.list_schedules(connection)
        is_awake = any(host.beat_age < SILENT_SECONDS for host in list_hosts(connection))
    if as_json:
        told = [
            {**row.to_json_dict(), "next_slots": schedule_orders.next_slots(row)} for row in found
        ]
        print_json(told)
        return
    print_table(COLUMNS, [_row(row) for row in found], NOTHING)
    if found and not is_awake:
        click.echo("No daemon is running on this database: no slot gets a job.", err=True)


def _row(row: ScheduleRow) -> tuple[object, ...]:
    job = None if row.last_job is None else f"{row.last_job} {row.last_state or 'dropped'}"
    return (
        row.name,
        row.state,
        when(json.loads(row.spec)),
        row.task,
        distance(row.next_at if row.state == "active" else None, row.now),
        distance(row.last_at, row.now),
        job,
        row.source,
    )


@schedules.command()
@click.argument("name", type=SCHEDULE)
@json_option
def run(name: str, as_json: bool) -> None:
    """Enqueue a job of a schedule now, beside its slots. Prints the job's id.

    Refused while its last job has not ended, unless the schedule says `overlap: queue`.
    """
    with open_jobs() as connection:
        row = _find(connection, name)
        with noted(connection, "schedules.run", name=name) as entry:
            job, busy = schedule_orders.run_now(connection, row)
            if job is None:
                raise Failure(
                    f"job {busy} of {name} has not ended, and its overlap is skip: "
                    "wait, or cancel the job"
                )
            entry.count = int(job > 0)
    if as_json:
        shown = {"id": abs(job), "schedule": name, "task": row.task, "is_new": job > 0}
        print_json(shown)
        return
    click.echo(abs(job))
    if job < 0:
        click.echo(f"Job {-job} holds the unique key already; no new one was made.", err=True)


@schedules.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=SCHEDULE)
def pause(names: tuple[str, ...]) -> None:
    """Let the slots of these schedules pass without jobs, until they are resumed.

    A pause survives restarts and deploys. What runs goes on.
    """
    with open_jobs() as connection:
        _find_all(connection, names)
        changed = {name: _pause(connection, name) for name in names}
    for name, is_new in changed.items():
        click.echo(f"{name} {'is paused now' if is_new else 'was paused already'}")


@schedules.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…", type=SCHEDULE)
def resume(names: tuple[str, ...]) -> None:
    """Let these schedules go on with their next slots; those that have passed are over."""
    with open_jobs() as connection:
        rows = _find_all(connection, names)
        lines = [_resume(connection, row) for row in rows]
    for line in lines:
        click.echo(line)


def _pause(connection: Connection, name: str) -> bool:
    with noted(connection, "schedules.pause", name=name) as entry:
        entry.count = int(store.pause_schedule(connection, name))
    return bool(entry.count)


def _resume(connection: Connection, row: ScheduleRow) -> str:
    """Let one go on; what to say of it."""
    with noted(connection, "schedules.resume", name=row.name) as entry:
        was_paused, next_at = schedule_orders.go_on(connection, row)
        entry.count = int(was_paused)
    if not was_paused:
        return f"{row.name} was not paused"
    coming = "no slot is left" if next_at is None else f"next {distance(next_at, row.now)}"
    return f"{row.name} goes on, {coming}"


def _find_all(connection: Connection, names: tuple[str, ...]) -> list[ScheduleRow]:
    """All of them, before anything is done to one."""
    return [_find(connection, name) for name in dict.fromkeys(names)]


def _find(connection: Connection, name: str) -> ScheduleRow:
    row = store.find_schedule(connection, name)
    if row is None:
        near = schedule_orders.near_names(connection, name)
        hint = f"did you mean {near}?" if near else "`taskd schedules` lists all"
        raise Failure(f"no schedule is named {name}: {hint}")
    return row


schedules.add_command(preview)
