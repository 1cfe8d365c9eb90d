"""procrastinate's tasks; the database is that of the PG variables."""

from __future__ import annotations

import asyncio

import procrastinate

from benchmarks.peers import work

A_CALL = 1_000

app = procrastinate.App(connector=procrastinate.PsycopgConnector())


@app.task(queue="bench", name="noop")
async def noop(argument: float) -> None:
    work.noop()


@app.task(queue="bench", name="nap")
async def nap(argument: float) -> None:
    began = work.start()
    await asyncio.sleep(argument)
    work.end(began)


@app.task(queue="bench", name="stamp")
async def stamp(argument: float) -> None:
    work.stamp(argument)


_TASKS = {"noop": noop, "nap": nap, "stamp": stamp}
_is_open = False


def prepare() -> None:
    _open()
    app.schema_manager.apply_schema()


def enqueue(task: str, argument: float) -> None:
    _open()
    _TASKS[task].defer(argument=argument)


def enqueue_each(task: str, argument: float, count: int) -> None:
    for _ in range(count):
        enqueue(task, argument)


def enqueue_many(task: str, argument: float, count: int) -> None:
    _open()
    for start in range(0, count, A_CALL):
        calls = [{"argument": argument}] * min(A_CALL, count - start)
        _TASKS[task].batch_defer(*calls)


def _open() -> None:
    global _is_open
    if not _is_open:
        app.open()
        _is_open = True
