"""celery's tasks; the socket of Redis is BENCH_REDIS."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks.peers import work

_URL = f"redis+socket://{os.environ['BENCH_REDIS']}"

app = Celery("bench", broker=_URL, backend=_URL if work.keeps_history() else None)
app.conf.update(
    task_default_queue="bench",
    task_ignore_result=not work.keeps_history(),
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(_: float) -> None:
    work.noop()


@app.task(name="nap")
def nap(seconds: float) -> None:
    work.nap(seconds)


@app.task(name="stamp")
def stamp(sent: float) -> None:
    work.stamp(sent)


_TASKS = {"noop": noop, "nap": nap, "stamp": stamp}


def prepare() -> None:
    """Redis needs nothing."""


def enqueue(task: str, argument: float) -> None:
    _TASKS[task].apply_async((argument,))


def enqueue_each(task: str, argument: float, count: int) -> None:
    for _ in range(count):
        enqueue(task, argument)


def enqueue_many(task: str, argument: float, count: int) -> None:
    """One producer for all; it has no way to send many at once."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            _TASKS[task].apply_async((argument,), producer=producer)
