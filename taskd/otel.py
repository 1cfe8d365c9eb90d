"""Traces for OpenTelemetry: the extra `taskd[otel]`.

    enqueue shop.sync ── its context travels with the job ──► run shop.sync ──► enqueue … ──► …
    in your program, a producer                               in a worker, a consumer

Both are spans of one trace, and each attempt is one, however long the job waits and wherever it
runs. `install()` where your program sets up OpenTelemetry, and in the modules that workers import;
or, for the workers alone, list `taskd.otel.Tracing` under `middleware` in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: pip install 'taskd[otel]'", name=error.name
    ) from error

import taskd
from taskd.errors import Interrupt, JobSignal, JobTimeout
from taskd.tasks.context import CurrentJob
from taskd.tasks.hooks.enqueueing import EnqueueCall
from taskd.tasks.hooks.middleware import Middleware, is_registered, middleware
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.hooks.workers import WorkerInfo, on_worker_stop
from taskd.tasks.job import Job

HEADER = "otel"
"""The header that carries the context of the enqueue, as the configured propagators write it."""

OUTERMOST = -100
FLUSH_MILLISECONDS = 1000


class Tracing(Middleware):
    """A span around each enqueue and each attempt, of the provider given, or else the global one.

    A worker that drains sends what has ended before it exits.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._provider = tracer_provider
        self._tracer = trace.get_tracer("taskd", taskd.__version__, tracer_provider)
        on_worker_stop(_flush)

    def enqueue(
        self, call: EnqueueCall, call_next: Callable[[EnqueueCall], list[Job[Any]]]
    ) -> list[Job[Any]]:
        """Let the context of a new span travel with the jobs."""
        with self._tracer.start_as_current_span(
            _name("enqueue", {one.task for one in call.calls}),
            kind=SpanKind.PRODUCER,
            attributes=_of_call(call),
        ) as span:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            jobs = call_next(call.with_headers(**{HEADER: carrier}) if carrier else call)
            if len(jobs) == 1 and isinstance(jobs[0].id, int):
                span.set_attribute("messaging.message.id", str(jobs[0].id))
            return jobs

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        """A span below that of the enqueue, whatever else this greenlet or thread has run."""
        with (
            self._tracer.start_as_current_span(
                _name("run", {job.task}),
                context=propagate.extract(_carrier(job.headers), Context()),
                kind=SpanKind.CONSUMER,
                attributes=_of_job(job),
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _judged(span),
        ):
            return call_next()

    def flush(self) -> None:
        """Send what has ended; waits for a second at most."""
        flush = getattr(self._provider or trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(FLUSH_MILLISECONDS)


def install(tracer_provider: TracerProvider | None = None, *, order: int = OUTERMOST) -> None:
    """Put `Tracing` around every enqueue and attempt of this process; once, however often called.

    With the order of middleware: by default outside of all other.
    """
    if not is_registered(Tracing):
        middleware(Tracing(tracer_provider), order=order)


def _flush(worker: WorkerInfo) -> None:
    """Before a worker exits: what a batching processor holds would be lost."""
    for one in hooks.around_attempt:
        if isinstance(one, Tracing):
            one.flush()


def _name(verb: str, tasks: set[str]) -> str:
    return f"{verb} {tasks.pop()}" if len(tasks) == 1 else verb


def _carrier(headers: Mapping[str, Any]) -> Mapping[str, str]:
    """What was injected; nothing, if the header is not ours."""
    found = headers.get(HEADER)
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _of_call(call: EnqueueCall) -> dict[str, AttributeValue]:
    """By the semantic conventions for messaging; of many calls what they share."""
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "taskd",
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
    }
    queues = {one.placement.queue for one in call.calls}
    tasks = {one.task for one in call.calls}
    if len(queues) == 1:
        attributes["messaging.destination.name"] = str(queues.pop())
    if len(tasks) == 1:
        attributes["taskd.task"] = tasks.pop()
    if len(call.calls) != 1:
        attributes["messaging.batch.message_count"] = len(call.calls)
    return attributes


def _of_job(job: CurrentJob) -> dict[str, AttributeValue]:
    return {
        "messaging.system": "taskd",
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "messaging.destination.name": job.queue,
        "messaging.message.id": str(job.id),
        "taskd.task": job.task,
        "taskd.attempt": job.attempt,
        "taskd.max_attempts": job.max_attempts,
    }


@contextmanager
def _judged(span: Span) -> Iterator[None]:
    """Tell in the span how the attempt ended; only what went wrong is an error."""
    try:
        yield
    except JobSignal as signal:
        span.set_attribute("taskd.outcome", type(signal).__name__)
        raise
    except Interrupt as interrupt:
        span.set_attribute("taskd.outcome", type(interrupt).__name__)
        if isinstance(interrupt, JobTimeout):
            span.set_status(StatusCode.ERROR, str(interrupt))
        raise
    except BaseException as failure:
        span.record_exception(failure)
        span.set_status(StatusCode.ERROR, f"{type(failure).__name__}: {failure}")
        raise
