# shop_hooks.py
"""A shop whose jobs know which request they come from."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

import taskd
from taskd import CurrentJob, EnqueueCall, FailedJob, Job, WorkerInfo, task

request: ContextVar[str | None] = ContextVar("request", default=None)
prices: dict[str, int] = {}


@taskd.middleware
class Tracing(taskd.Middleware):
    """Lets the id of a request travel with its jobs, and on to the jobs that those enqueue."""

    def enqueue(
        self, call: EnqueueCall, call_next: Callable[[EnqueueCall], list[Job[Any]]]
    ) -> list[Job[Any]]:
        """Around each enqueue."""
        return call_next(call.with_headers(request=request.get() or uuid4().hex))

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        """Around each attempt."""
        token = request.set(job.headers.get("request"))
        try:
            return call_next()
        finally:
            request.reset(token)


@taskd.on_worker_start
def load_prices(worker: WorkerInfo) -> None:
    """Fetch what every job needs, once a process."""
    prices.update(tea=3, coffee=4)


class OutOfStock(Exception):
    """The shop has none."""


@taskd.on_failure(OutOfStock)
def tell_the_buyer(job: FailedJob) -> None:
    """Do what is left to do when the last attempt has failed; no middleware is around it."""
    request.set(job.headers["request"])
    note.enqueue(f"no {job.args[0]}")


@task
def sell(item: str, count: int) -> int:
    """Sell some."""
    if item not in prices:
        raise OutOfStock(item)
    return prices[item] * count


@task
def note(text: str) -> str:
    """Keep a note, and to which request it belongs."""
    return f"{text} ({request.get()})"
