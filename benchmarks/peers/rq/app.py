"""rq's functions; the socket of Redis is BENCH_REDIS."""

from __future__ import annotations

import os
from functools import cache

from redis import Redis
from rq import Queue

from benchmarks.peers import work
from benchmarks.peers.work import nap, noop, stamp

A_CALL = 1_000
_FUNCTIONS = {"noop": noop, "nap": nap, "stamp": stamp}
_KEPT = 500 if work.keeps_history() else 0


@cache
def _queue() -> Queue:
    return Queue("bench", connection=Redis.from_url(f"unix://{os.environ['BENCH_REDIS']}"))


def prepare() -> None:
    """Redis needs nothing."""


def enqueue(task: str, argument: float) -> None:
    _queue().enqueue(_FUNCTIONS[task], *_arguments(task, argument), result_ttl=_KEPT)


def enqueue_each(task: str, argument: float, count: int) -> None:
    for _ in range(count):
        enqueue(task, argument)


def enqueue_many(task: str, argument: float, count: int) -> None:
    for start in range(0, count, A_CALL):
        jobs = [
            Queue.prepare_data(_FUNCTIONS[task], _arguments(task, argument), result_ttl=_KEPT)
            for _ in range(min(A_CALL, count - start))
        ]
        _queue().enqueue_many(jobs)


def _arguments(task: str, argument: float) -> tuple[float, ...]:
    return () if task == "noop" else (argument,)
