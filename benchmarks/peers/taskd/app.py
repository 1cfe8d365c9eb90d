"""taskd's tasks; the database is TASKD_DATABASE."""

from __future__ import annotations

import os
from contextlib import closing

from benchmarks.peers import work
from taskd import enqueue_many as _enqueue_many
from taskd import task

A_CALL = 10_000
"""From 1,000 on, the next jobs are encoded while the server stores others."""


@task(queue="bench")
def noop(argument: float) -> None:
    work.noop()


@task(queue="bench")
def nap(argument: float) -> None:
    work.nap(argument)


@task(queue="bench")
def stamp(argument: float) -> None:
    work.stamp(argument)


_TASKS = {"noop": noop, "nap": nap, "stamp": stamp}


def prepare() -> None:
    from taskd.store import connect, schema

    with closing(connect.connect(os.environ["TASKD_DATABASE"])) as connection:
        schema.install_or_upgrade(connection)


def enqueue(task: str, argument: float) -> None:
    _TASKS[task].enqueue(argument)


def enqueue_each(task: str, argument: float, count: int) -> None:
    call = _TASKS[task].enqueue
    for _ in range(count):
        call(argument)


def enqueue_many(task: str, argument: float, count: int) -> None:
    for start in range(0, count, A_CALL):
        _enqueue_many(_TASKS[task], [(argument,)] * min(A_CALL, count - start))
