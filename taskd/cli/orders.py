"""Orders to jobs, by id or by filter: cancel, requeue, move, purge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import FAILED, Failure, leave
from taskd.cli.noting import note, noted, said_by
from taskd.cli.output import print_json, print_lines
from taskd.cli.parameters import QUEUE, TASK, Duration, json_option
from taskd.cli.selection import job_selection
from taskd.store import bulk
from taskd.store.jobs import cancel_jobs, move_jobs, requeue_again
from taskd.store.look import fetch_job
from taskd.store.rows import JobFilter, JobRow, Requeued, State

CANCEL_OUTCOMES = {
    "cancelled": "cancelled",
    "cancelling": "is running; its worker has been told to stop it",
    "ended": "had ended already",
    "unknown": "unknown: no such job, or its history has been dropped",
}
DONE = frozenset({"cancelled", "cancelling"})
FINAL_STATES = tuple(state for state in State if state.is_final)

CANCEL_EXAMPLES = """\b
Examples:
  taskd jobs cancel 4711 4712
  taskd jobs cancel --queue mail --older-than 2d --dry-run
  taskd jobs cancel --task shop.tasks.fetch --kwargs '{"shop": 7}'
"""
REQUEUE_EXAMPLES = """\b
Examples:
  taskd jobs requeue 4711
  taskd jobs requeue --state failed --task shop.tasks.fetch --error Timeout
"""
MOVE_EXAMPLES = """\b
Examples:
  taskd jobs move --to slow --queue sync --task shop.tasks.full_sync
"""
PURGE_EXAMPLES = """\b
Examples:
  taskd jobs purge --older-than 7d --state succeeded
"""

dry_run = click.option("--dry-run", is_flag=True, help="Only tell how many it would be.")


@click.command(epilog=CANCEL_EXAMPLES)
@job_selection
@dry_run
@json_option
def cancel(ids: tuple[int, ...], wanted: JobFilter, dry_run: bool, as_json: bool) -> None:
    """Cancel jobs: what waits ends at once, what runs is interrupted by its worker.

    By id: status 1 if one of them had ended already or is unknown.
    """
    if ids:
        _cancel_by_id(ids, as_json)
        return
    with open_jobs() as connection:
        if dry_run:
            _tell({"would_cancel": bulk.count_live(connection, wanted)}, as_json)
        else:
            with noted(connection, "jobs.cancel", filter=said_by(wanted)) as entry:
                done = bulk.cancel_matching(connection, wanted)
                entry.count = done.get("cancelled", 0) + done.get("cancelling", 0)
            counts = {outcome: done.get(outcome, 0) for outcome in ("cancelled", "cancelling")}
            _tell(counts, as_json)


def _cancel_by_id(ids: tuple[int, ...], as_json: bool) -> None:
    with open_jobs() as connection, noted(connection, "jobs.cancel", ids=ids) as entry:
        outcomes = cancel_jobs(connection, ids)
        entry.count = sum(outcome in DONE for outcome in outcomes.values())
    if as_json:
        print_json([{"id": job_id, "outcome": outcomes[job_id]} for job_id in ids])
    else:
        print_lines(f"{job_id} {CANCEL_OUTCOMES[outcomes[job_id]]}" for job_id in ids)
    if not DONE.issuperset(outcomes.values()):
        leave(FAILED)


@click.command(epilog=REQUEUE_EXAMPLES)
@job_selection
@dry_run
@json_option
def requeue(ids: tuple[int, ...], wanted: JobFilter, dry_run: bool, as_json: bool) -> None:
    """Enqueue jobs that have ended once more, as new jobs.

    By filter: those that have not been requeued before. By id: prints the new ids; status 1 if one
    of them has not ended or is unknown.
    """
    if ids:
        _requeue_by_id(ids, as_json)
        return
    with open_jobs() as connection:
        if dry_run:
            count = bulk.count_ended(connection, replace(wanted, is_requeued=False))
            _tell({"would_requeue": count}, as_json)
        else:
            with noted(connection, "jobs.requeue", filter=said_by(wanted)) as entry:
                entry.count = bulk.requeue_matching(connection, wanted)
            _tell({"requeued": entry.count}, as_json)


def _requeue_by_id(ids: tuple[int, ...], as_json: bool) -> None:
    with open_jobs() as connection:
        with noted(connection, "jobs.requeue", ids=ids) as entry:
            renewed = requeue_again(connection, ids)
            entry.count = len(renewed)
        refused = {
            job_id: _why_not(fetch_job(connection, job_id))
            for job_id in ids
            if job_id not in renewed
        }
    if as_json:
        print_json([_record(job_id, renewed.get(job_id)) for job_id in ids])
    else:
        print_lines(_told(job_id, again) for job_id, again in renewed.items())
    if refused:
        raise Failure(*(f"job {job_id} {why}" for job_id, why in refused.items()))


def _record(job_id: int, again: Requeued | None) -> dict[str, int | None]:
    new_id, before = again or (None, None)
    return {"id": job_id, "new_id": new_id, "before": before}


def _told(job_id: int, again: Requeued) -> str:
    before = "" if again.before is None else f"; it had been requeued as {again.before} already"
    return f"{job_id} is now {again.new_id}{before}"


def _why_not(job: JobRow | None) -> str:
    if job is None:
        return f"is {CANCEL_OUTCOMES['unknown']}"
    return f"is {job.state}: only a job that has ended can be requeued"


@click.command(epilog=MOVE_EXAMPLES)
@job_selection
@click.option("--to", "target", required=True, type=QUEUE, help="The queue to wait in.")
@dry_run
@json_option
def move(
    ids: tuple[int, ...], wanted: JobFilter, target: str, dry_run: bool, as_json: bool
) -> None:
    """Let waiting jobs wait in another queue, behind what is there. What runs stays.

    By id: status 1 if one of them does not wait or is unknown.
    """
    if ids:
        _move_by_id(ids, target, dry_run, as_json)
        return
    with open_jobs() as connection:
        if dry_run:
            _tell({"would_move": bulk.count_live(connection, wanted)}, as_json)
        else:
            with noted(connection, "jobs.move", to=target, filter=said_by(wanted)) as entry:
                entry.count = bulk.move_matching(connection, wanted, target)
            _tell({"moved": entry.count}, as_json)


def _move_by_id(ids: tuple[int, ...], target: str, dry_run: bool, as_json: bool) -> None:
    # In one transaction, so that nobody claims what has moved before it is looked at.
    with open_jobs() as connection, connection.transaction(force_rollback=dry_run):
        with noted(connection, "jobs.move", ids=ids, to=target) as entry:
            moved = entry.count = move_jobs(connection, ids, target)
        refused = {
            job_id: why
            for job_id in ids
            if (why := _why_not_moved(fetch_job(connection, job_id), target))
        }
    _tell({"would_move" if dry_run else "moved": moved}, as_json)
    if refused:
        raise Failure(*(f"job {job_id} {why}" for job_id, why in refused.items()))


def _why_not_moved(job: JobRow | None, target: str) -> str | None:
    """Why a job does not wait in the target queue now; None if it does."""
    if job is None:
        return f"is {CANCEL_OUTCOMES['unknown']}"
    if job.state.is_final or job.state.is_running:
        return f"is {job.state}: only a job that waits can be moved"
    if job.queue != target:
        return f"is being claimed or changed at this moment, and stays in {job.queue}: try again"
    return None


@click.command(epilog=PURGE_EXAMPLES)
@click.option("--older-than", required=True, type=Duration(0), help="Ended at least so long ago.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in FINAL_STATES]),
    help="Only these; may be repeated.",
)
@click.option("--queue", type=QUEUE, help="Of this queue.")
@click.option("--task", type=TASK, metavar="PATH", help="Of this task.")
@dry_run
@json_option
def purge(
    older_than: float,
    states: tuple[str, ...],
    queue: str | None,
    task: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Forget jobs that have ended, with their results and attempts.

    In small steps that hold up nobody. Retention does this by itself, a day at a time. The audit
    log has when it began, and how many it were once it is done.
    """
    chosen = [State(state) for state in states] or FINAL_STATES
    with open_jobs() as connection:
        if dry_run:
            wanted = JobFilter(queue=queue, task=task, finished_until=older_than)
            filters = [replace(wanted, state=state) for state in chosen]
            count = sum(bulk.count_ended(connection, each) for each in filters)
            _tell({"would_purge": count}, as_json)
            return
        said = {"older_than": older_than, "states": states, "queue": queue, "task": task}
        note(connection, "jobs.purge.begin", said, 0)
        purged = sum(_shown(bulk.purge_jobs(connection, older_than, chosen, queue, task)))
        note(connection, "jobs.purge", said, purged)
    _tell({"purged": purged}, as_json)


def _shown(steps: Iterator[tuple[float, int]]) -> Iterator[int]:
    """The counts of the steps; a bar shows their progress, if there is a terminal for it."""
    with click.progressbar(length=1000, label="Purging", file=sys.stderr, show_pos=False) as bar:
        for share, count in steps:
            bar.update(int(share * 1000) - bar.pos)
            yield count


def _tell(counts: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json(counts)
    else:
        print_lines(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
