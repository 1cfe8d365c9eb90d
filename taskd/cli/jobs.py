"""`taskd jobs`: list, show, cancel, requeue."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import FAILED, Failure, leave
from taskd.cli.job_sheet import job_lines
from taskd.cli.moments import distance, took
from taskd.cli.output import Column, print_json, print_lines, print_table
from taskd.cli.parameters import JOB_ID, MAX_ID, QUEUE, TASK, job_ids, json_option
from taskd.clock import utc_now
from taskd.store.jobs import cancel_jobs, requeue_jobs
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
CANCEL_OUTCOMES = {
    "cancelled": "cancelled",
    "cancelling": "is running; its worker has been told to stop it",
    "ended": "had ended already",
    "unknown": "unknown: no such job, or its history has been dropped",
}

LIST_EXAMPLES = """\b
Examples:
  taskd jobs list --state failed --limit 10
  taskd jobs list --task shop.tasks.fetch --json | jq '.[].error'
"""


@click.group()
def jobs() -> None:
    """List, show, cancel and requeue jobs."""


@jobs.command("list", epilog=LIST_EXAMPLES)
@click.option("--state", type=click.Choice([str(state) for state in State]), help="In this state.")
@click.option("--queue", type=QUEUE, help="Of this queue.")
@click.option("--task", type=TASK, metavar="PATH", help="Of this task.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--before", type=click.IntRange(1, MAX_ID), metavar="ID", help="Older than this job.")
@json_option
def list_command(
    state: str | None, queue: str | None, task: str | None, as_json: bool, **page: Any
) -> None:
    """List jobs, the newest first."""
    wanted = JobFilter(State(state) if state else None, queue, task, **page)
    with open_jobs() as connection:
        found = list_jobs(connection, wanted)
    if as_json:
        print_json([job.to_json_dict() for job in found])
        return
    now = utc_now()
    print_table(COLUMNS, [_row(job, now) for job in found])
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


@jobs.command()
@job_ids
@json_option
def cancel(ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel jobs: what waits ends at once, what runs is interrupted by its worker.

    Status 1 if one of them had ended already or is unknown.
    """
    with open_jobs() as connection:
        outcomes = cancel_jobs(connection, ids)
    if as_json:
        print_json([{"id": job_id, "outcome": outcomes[job_id]} for job_id in ids])
    else:
        print_lines(f"{job_id} {CANCEL_OUTCOMES[outcomes[job_id]]}" for job_id in ids)
    if not {"cancelled", "cancelling"}.issuperset(outcomes.values()):
        leave(FAILED)


@jobs.command()
@job_ids
@json_option
def requeue(ids: tuple[int, ...], as_json: bool) -> None:
    """Enqueue jobs that have ended once more, as new jobs, and print the new ids.

    Status 1 if one of them has not ended or is unknown.
    """
    with open_jobs() as connection:
        renewed = requeue_jobs(connection, ids)
        refused = {
            job_id: _why_not(fetch_job(connection, job_id))
            for job_id in ids
            if job_id not in renewed
        }
    if as_json:
        print_json([{"id": job_id, "new_id": renewed.get(job_id)} for job_id in ids])
    else:
        print_lines(f"{job_id} is now {new_id}" for job_id, new_id in renewed.items())
    if refused:
        raise Failure(*(f"job {job_id} {why}" for job_id, why in refused.items()))


def _why_not(job: JobRow | None) -> str:
    if job is None:
        return f"is {CANCEL_OUTCOMES['unknown']}"
    return f"is {job.state}: only a job that has ended can be requeued"
