"""huey's tasks; the store is BENCH_REDIS, or without it the database of the PG variables."""

from __future__ import annotations

import os

from huey import PostgresHuey, RedisHuey

from benchmarks.peers import work

_KEPT = {"store_none": work.keeps_history()}

if "BENCH_REDIS" in os.environ:
    huey = RedisHuey("bench", url=f"unix://{os.environ['BENCH_REDIS']}", **_KEPT)
else:
    huey = PostgresHuey("bench", **_KEPT)


@huey.task()
def noop(_: float) -> None:
    work.noop()


@huey.task()
def nap(seconds: float) -> None:
    work.nap(seconds)


@huey.task()
def stamp(sent: float) -> None:
    work.stamp(sent)


_TASKS = {"noop": noop, "nap": nap, "stamp": stamp}


def prepare() -> None:
    """It makes its tables when it is imported."""


def enqueue(task: str, argument: float) -> None:
    _TASKS[task](argument)


def enqueue_each(task: str, argument: float, count: int) -> None:
    for _ in range(count):
        enqueue(task, argument)


enqueue_many = enqueue_each
"""It has no way to enqueue many at once."""
