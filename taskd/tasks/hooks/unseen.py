"""Jobs whose failure no worker has seen, because it was their worker that died.

Whoever rescues the jobs of a dead worker has none of the users' code. If one of them fails for
good, and the published description of its task says that somebody wants to know, the database
enqueues a job of the task below, and a worker calls the failure handlers.
"""

from __future__ import annotations

from taskd.errors import (
    Cancel,
    DatabaseError,
    JobInterrupted,
    JobTimeout,
    JobUnknown,
    WorkerLost,
)
from taskd.store.rows import JobRow, State
from taskd.tasks.client import default_client
from taskd.tasks.hooks.failures import FailedJob, handlers_of
from taskd.tasks.registry import registry
from taskd.tasks.retry import Retry
from taskd.tasks.task import task

CALL_FAILURE_HANDLERS = "taskd.call_failure_handlers"
"""The name that tell_failures_v1 enqueues."""


@task(name=CALL_FAILURE_HANDLERS, retry=Retry(max=5, on=DatabaseError))
def call_failure_handlers(job_id: int) -> None:
    """Call all handlers for a job that has failed; what they raised, if any did, comes last."""
    job = _failed_job(job_id)
    found = registry.find(job.task)
    own = None if found is None else found.defaults.on_failure
    faults: list[Exception] = []
    for handler in handlers_of(own, job.exception):
        try:
            handler(job)
        except Exception as fault:  # the users' code
            fault.add_note(f"raised by failure handler {handler.name} for job {job_id}")
            faults.append(fault)
    if faults:
        raise ExceptionGroup(f"failure handlers of job {job_id}", faults)


def _failed_job(job_id: int) -> FailedJob:
    try:
        row = default_client().fetch(job_id)
    except JobUnknown as gone:
        raise Cancel(f"job {job_id} has been purged") from gone
    if row.state is not State.FAILED:
        raise Cancel(f"job {job_id} is {row.state}, not failed")
    return _of_row(row)


def _of_row(row: JobRow) -> FailedJob:
    return FailedJob(
        id=row.id,
        task=row.task,
        queue=row.queue,
        args=row.args,
        kwargs=row.kwargs,
        headers=row.extra.get("headers", {}),
        attempts=row.attempt,
        max_attempts=row.max_attempts,
        error=row.error or "",
        traceback=row.traceback,
        exception=_exception(row),
    )


def _exception(row: JobRow) -> BaseException:
    """What stands for the exception that no worker has seen; by the words of rescue_workers_v1."""
    kind, _, reason = (row.error or "").partition(": ")
    match kind:
        case "JobTimeout":
            timeout = JobTimeout(row.timeout or 0.0)
            timeout.args = (reason,)
            return timeout
        case "interrupted":
            return JobInterrupted(reason)
        case _:
            return WorkerLost(row.error)
