# shop_hooks.py
"""A shop whose jobs know which request they come from."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from taskd import (
    CurrentJob,
    EnqueueCall,
    FailedJob,
    Job,
    Middleware,
    WorkerInfo,
    middleware,
    on_failure,
    on_worker_start,
    on_worker_stop,
    task,
)

log = logging.getLogger(__name__)
request: ContextVar[str | None] = ContextVar("request", default=None)
prices: dict[str, int] = {}


@middleware
class Tracing(Middleware):
    """Lets the request's id travel from the code that enqueues to the job, and to jobs of that."""

    def enqueue(
        self, call: EnqueueCall, call_next: Callable[[EnqueueCall], list[Job[Any]]]
    ) -> list[Job[Any]]:
        """Put the request's id, or a new one, on the call."""
        return call_next(call.with_headers(request=request.get() or uuid4().hex))

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        """Let the job's code, and what it enqueues, know the id."""
        token = request.set(job.headers.get("request"))
        try:
            return call_next()
        finally:
            request.reset(token)


class OutOfStock(Exception):
    """The shop has none."""


@on_worker_start
def load_prices(worker: WorkerInfo) -> None:
    """Fetch what every job needs, once a process."""
    prices.update(tea=3, coffee=4)


@on_worker_stop
def say_goodbye(worker: WorkerInfo) -> None:
    """Flush what the process has gathered."""
    log.info("%s stops", worker.name)


@task
def note(text: str) -> str:
    """Keep a note, and which request it belongs to."""
    return f"{text} ({request.get()})"


@on_failure(OutOfStock)
def tell_the_buyer(job: FailedJob) -> None:
    """Called once the last attempt has failed."""
    note.enqueue(f"job {job.args}: {job.error}")


@task
def sell(item: str, count: int) -> int:
    """Sell some."""
    if item not in prices:
        raise OutOfStock(item)
    return prices[item] * count
