"""`taskd jobs`: list and show; the orders to jobs stand in `orders`."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.job_sheet import job_lines
from taskd.cli.moments import distance, took
from taskd.cli.orders import cancel, move, purge, requeue
from taskd.cli.output import Column, print_json, print_lines, print_table
from taskd.cli.parameters import JOB_ID, MAX_ID, json_option
from taskd.cli.selection import job_filter
from taskd.clock import utc_now
from taskd.store.look import fetch_attempts, fetch_job, list_jobs
from taskd.store.rows import JobFilter, JobRow, State

COLUMNS = (
    Column("ID", right=True),
    Column("STATE", painted=True),
    Column("TASK", flexible=True),
    Column("QUEUE", flexible=True),
    Column("ATTEMPT", right=True),
    Column("WHEN"),
    Column("TOOK", right=True),
    Column("ERROR", flexible=True),
)

LIST_EXAMPLES = """\b
Examples:
  taskd jobs list --state failed --limit 10
  taskd jobs list --task shop.tasks.fetch --json | jq '.[].error'
"""


@click.group()
def jobs() -> None:
    """List, show, cancel, requeue, move and purge jobs."""


@jobs.command("list", epilog=LIST_EXAMPLES)
@job_filter
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--before", type=click.IntRange(1, MAX_ID), metavar="ID", help="Older than this job.")
@json_option
def list_command(wanted: JobFilter, as_json: bool, limit: int, before: int | None) -> None:
    """List jobs, the newest first."""
    wanted = replace(wanted, limit=limit, before=before)
    with open_jobs() as connection:
        found = list_jobs(connection, wanted)
    if as_json:
        print_json([job.to_json_dict() for job in found])
        return
    now = utc_now()
    print_table(COLUMNS, [_row(job, now) for job in found], "No such jobs.")
    if len(found) == wanted.limit:
        click.echo(f"Older ones: --before {found[-1].id}", err=True)


def _row(job: JobRow, now: datetime) -> tuple[object, ...]:
    return (
        job.id,
        job.state,
        job.task,
        job.queue,
        f"{job.attempt}/{job.max_attempts}",
        distance(_moment(job), now),
        took(job.started_at, job.finished_at or (now if job.state.is_running else None)),
        job.error or "",
    )


def _moment(job: JobRow) -> datetime | None:
    """The time that tells most about a job in its state."""
    match job.state:
        case State.SCHEDULED:
            return job.run_at
        case State.QUEUED | State.BLOCKED:
            return job.ready_at or job.created_at
        case State.RUNNING | State.CANCELLING:
            return job.started_at
        case State.SUCCEEDED | State.FAILED | State.CANCELLED:
            return job.finished_at


@jobs.command()
@click.argument("job_id", type=JOB_ID, metavar="ID")
@json_option
def show(job_id: int, as_json: bool) -> None:
    """Show all that is known of a job: arguments, result, error, attempts."""
    with open_jobs() as connection:
        job = fetch_job(connection, job_id)
        attempts = fetch_attempts(connection, job_id)
    if job is None:
        raise Failure(f"job {job_id} is unknown: no such job, or its history has been dropped")
    if as_json:
        print_json({**job.to_json_dict(), "attempts": [asdict(attempt) for attempt in attempts]})
    else:
        print_lines(job_lines(job, attempts, utc_now()))


for order in (cancel, requeue, move, purge):
    jobs.add_command(order)
