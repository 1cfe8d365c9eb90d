"""Errors for Sentry: the extra `taskd[sentry]`.

A job that has failed for good becomes one event, with the job as its context and what the attempt
had noted (tags, breadcrumbs): each attempt has a scope of its own, also where many greenlets run at
once. `install()` in the modules that workers import, beside your `sentry_sdk.init(…)`; or list
`taskd.sentry.Reporting` under `middleware` in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

try:
    import sentry_sdk
    from sentry_sdk.scope import Scope, use_isolation_scope, use_scope
    from sentry_sdk.utils import event_from_exception
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: pip install 'taskd[sentry]'", name=error.name
    ) from error

from taskd.errors import Interrupt, JobSignal, JobTimeout
from taskd.tasks.context import CurrentJob
from taskd.tasks.hooks.enqueueing import EnqueueCall
from taskd.tasks.hooks.failures import FailedJob, on_failure
from taskd.tasks.hooks.middleware import Middleware, is_registered, middleware
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.hooks.workers import WorkerInfo, on_worker_stop
from taskd.tasks.job import Job

HEADER = "sentry"
"""The header that carries the trace of the enqueue."""

OUTERMOST = -100
FLUSH_SECONDS = 2.0
_NOTED = "_taskd_sentry_scope"
"""The attribute of an exception under which the scopes of its attempt are kept."""
_REPORTED = "_taskd_sentry_reported"


class Reporting(Middleware):
    """A scope and a transaction around each attempt, and an event for each job that fails.

    `retried=True`: also for each attempt that failed and will be followed by another. Transactions
    are sent if `sentry_sdk.init` was given a `traces_sample_rate`; they continue the trace of the
    enqueue. `arguments=True`: also the arguments of jobs, which may hold what is nobody's business.
    """

    def __init__(self, *, retried: bool = False, arguments: bool = False) -> None:
        self._retried = retried
        self.tells_arguments = arguments
        on_failure(_report)
        on_worker_stop(_flush)

    def enqueue(
        self, call: EnqueueCall, call_next: Callable[[EnqueueCall], list[Job[Any]]]
    ) -> list[Job[Any]]:
        """Let the trace travel with the jobs."""
        with sentry_sdk.start_span(op="queue.publish", name=_names(call)):
            carrier = {"sentry-trace": sentry_sdk.get_traceparent()}
            carrier["baggage"] = sentry_sdk.get_baggage()
            told = {name: value for name, value in carrier.items() if value}
            return call_next(call.with_headers(**{HEADER: told}) if told else call)

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        """Keep what the attempt notes from all others, and for the event if it fails."""
        with sentry_sdk.isolation_scope() as scope:
            _describe(scope, job.id, job.task, job.queue, job.attempt, job.max_attempts)
            transaction = sentry_sdk.continue_trace(
                _carrier(job.headers), op="queue.task", name=job.task, source="task"
            )
            with sentry_sdk.start_transaction(transaction):
                try:
                    return call_next()
                except JobSignal:
                    raise
                except BaseException as failure:
                    if not isinstance(failure, Interrupt) or isinstance(failure, JobTimeout):
                        self._note(failure, scope)
                    raise

    def _note(self, failure: BaseException, scope: Scope) -> None:
        with suppress(AttributeError):  # an exception of the user's with slots takes none
            setattr(failure, _NOTED, (scope, sentry_sdk.get_current_scope().fork()))
        if self._retried:
            _capture(failure)


def install(*, retried: bool = False, arguments: bool = False, order: int = OUTERMOST) -> None:
    """Put `Reporting` around every enqueue and attempt of this process; once, however often called.

    With the order of middleware: by default outside of all other.
    """
    if not is_registered(Reporting):
        middleware(Reporting(retried=retried, arguments=arguments), order=order)


def _report(job: FailedJob) -> None:
    """Send the event of a job that has failed for good, unless its last attempt was sent."""
    failure = job.exception
    if getattr(failure, _REPORTED, False):
        return
    isolation, current = getattr(failure, _NOTED, None) or (Scope(), Scope())
    with use_isolation_scope(isolation.fork()) as scope, use_scope(current):
        _describe(scope, job.id, job.task, job.queue, job.attempts, job.max_attempts)
        current.set_transaction_name(job.task, source="task")  # it may have another's
        if any(isinstance(one, Reporting) and one.tells_arguments for one in hooks.around_attempt):
            scope.set_context("arguments", {"args": list(job.args), "kwargs": dict(job.kwargs)})
        _capture(failure)


def _capture(failure: BaseException) -> None:
    event, hint = event_from_exception(
        failure,
        client_options=sentry_sdk.get_client().options,
        mechanism={"type": "taskd", "handled": False},
    )
    sentry_sdk.capture_event(event, hint=hint)
    with suppress(AttributeError):
        setattr(failure, _REPORTED, True)


def _flush(worker: WorkerInfo) -> None:
    """Before a worker exits: what has not been sent would be lost."""
    sentry_sdk.flush(timeout=FLUSH_SECONDS)


def _describe(
    scope: Scope, job: int, task: str, queue: str, attempt: int, max_attempts: int
) -> None:
    scope.set_transaction_name(task, source="task")
    scope.set_tag("taskd.task", task)
    scope.set_tag("taskd.queue", queue)
    scope.set_context(
        "job",
        {
            "id": job,
            "task": task,
            "queue": queue,
            "attempt": attempt,
            "max_attempts": max_attempts,
        },
    )


def _names(call: EnqueueCall) -> str:
    tasks = sorted({one.task for one in call.calls})
    return tasks[0] if len(tasks) == 1 else f"{len(call.calls)} jobs"


def _carrier(headers: Mapping[str, Any]) -> dict[str, Any]:
    found = headers.get(HEADER)
    return found if isinstance(found, dict) else {}
