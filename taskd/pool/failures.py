"""Calls the users' failure handlers when a job has failed for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

from taskd.errors import JobFailed
from taskd.events import Events
from taskd.pool.events import HookFailed
from taskd.pool.hook_faults import HookLimit, describe_fault
from taskd.tasks.context import JobAttempt, running_attempt
from taskd.tasks.hooks.failures import FailedJob, FailureHandler, handlers_of
from taskd.tasks.outcome import Failed
from taskd.tasks.registry import registry

HANDLER_SECONDS = 10.0
"""What a handler may take: its job holds its slot for so long."""


class FailureHandlers:
    """The handlers, as one worker calls them; `limit` bounds the time of each."""

    def __init__(self, worker: str, events: Events, limit: HookLimit) -> None:
        self._worker = worker
        self._events = events
        self._limit = limit

    def call(
        self,
        attempt: JobAttempt,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        failed: Failed,
    ) -> None:
        """Call all that concern the failure, one after the other; raises nothing.

        Before the end of the job is stored: if the worker dies now, the job runs again.
        """
        exception = failed.exception
        if exception is None:
            exception = JobFailed(attempt.id, attempt.task, failed.error, failed.traceback)
        handlers = self._choose(attempt, exception)
        if not handlers:
            return
        job = FailedJob(
            id=attempt.id,
            task=attempt.task,
            queue=attempt.queue,
            args=args,
            kwargs=kwargs or {},
            headers=attempt.extra.get("headers", {}),
            attempts=attempt.number,
            max_attempts=attempt.max_attempts,
            error=failed.error,
            traceback=failed.traceback,
            exception=exception,
        )
        journal = attempt.journal
        with nullcontext() if journal is None else journal.extended(attempt):
            for handler in handlers:
                copy_context().run(self._call_one, attempt, handler, job)

    def _choose(self, attempt: JobAttempt, exception: BaseException) -> list[FailureHandler]:
        task = registry.find(attempt.task)
        try:
            return handlers_of(None if task is None else task.defaults.on_failure, exception)
        except BaseException as error:  # a class of the users' may say itself what is one of it
            self._tell("of some exception", attempt.id, error)
            return []

    def _call_one(self, attempt: JobAttempt, handler: FailureHandler, job: FailedJob) -> None:
        running_attempt.set(attempt)
        try:
            with self._limit(HANDLER_SECONDS):
                handler(job)
        except BaseException as error:  # the users' code; it must not become the job's end
            self._tell(handler.name, job.id, error)

    def _tell(self, hook: str, job: int, error: BaseException) -> None:
        fault = describe_fault(error)
        self._events.emit(HookFailed(self._worker, "on_failure", hook, f"job {job}", fault))
