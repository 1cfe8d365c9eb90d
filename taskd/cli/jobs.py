"""`taskd jobs`: list and show; the others stand in `failures`, `orders` and `job_logs`."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.failure_marks import acknowledge, mute, note
from taskd.cli.failures import failures
from taskd.cli.job_logs import logs
from taskd.cli.job_sheet import job_lines, percent
from taskd.cli.moments import distance, took
from taskd.cli.orders import cancel, move, purge, requeue
from taskd.cli.output import Column, print_json, print_lines, print_table
from taskd.cli.parameters import JOB_ID, MAX_ID, json_option
from taskd.cli.selection import job_filter
from taskd.cli.why import why
from taskd.clock import utc_now
from taskd.store.log_rows import Progress
from taskd.store.logs import fetch_progress
from taskd.store.look import fetch_attempts, fetch_job, list_jobs
from taskd.store.rows import JobFilter, JobRow, State

COLUMNS = (
    Column("ID", right=True),
    Column("STATE", painted=True),
    Column("TASK", flexible=True),
    Column("QUEUE", flexible=True),
    Column("ATTEMPT", right=True),
    Column("DONE", right=True),
    Column("WHEN"),
    Column("TOOK", right=True),
    Column("ERROR", flexible=True),
)

LIST_EXAMPLES = """\b
Examples:
  taskd jobs list --state failed --limit 10
  taskd jobs list --since 1h --finished-until 2030-01-31T08:00
  taskd jobs list --task shop.tasks.fetch --json | jq '.[].error'
"""


@click.group()
def jobs() -> None:
    """List, show, explain, group, cancel, requeue, move and purge jobs, and read their logs."""


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
        progress = fetch_progress(connection, [job.id for job in found if job.state.is_running])
    if as_json:
        print_json([_with_progress(job, progress.get(job.id)) for job in found])
        return
    now = utc_now()
    rows = [_row(job, progress.get(job.id), now) for job in found]
    print_table(COLUMNS, rows, "No such jobs.")
    if len(found) == wanted.limit:
        click.echo(f"Older ones: --before {found[-1].id}", err=True)


def _with_progress(job: JobRow, progress: Progress | None) -> dict[str, Any]:
    return {**job.to_json_dict(), "progress": progress and progress.to_json_dict()}


def _row(job: JobRow, progress: Progress | None, now: datetime) -> tuple[object, ...]:
    return (
        job.id,
        job.state,
        job.task,
        job.queue,
        f"{job.attempt}/{job.max_attempts}",
        progress and percent(progress),
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
        progress = fetch_progress(connection, [job_id]).get(job_id)
    if job is None:
        raise Failure(f"job {job_id} is unknown: no such job, or its history has been dropped")
    if as_json:
        shown = _with_progress(job, progress)
        print_json({**shown, "attempts": [asdict(attempt) for attempt in attempts]})
    else:
        print_lines(job_lines(job, attempts, progress, utc_now()))


for verb in (why, failures, acknowledge, mute, note, logs, cancel, requeue, move, purge):
    jobs.add_command(verb)
