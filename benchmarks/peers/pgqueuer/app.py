"""pgqueuer's entry points; the database is that of the PG variables."""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import cache

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job

from benchmarks.peers import work

A_CALL = 1_000


async def main(batch_size: int, max_concurrent_tasks: int) -> None:
    """A worker, until SIGTERM."""
    connection = await asyncpg.connect()
    app = PgQueuer(AsyncpgDriver(connection))

    @app.entrypoint("noop")
    async def noop(job: Job) -> None:
        work.noop()

    @app.entrypoint("nap")
    async def nap(job: Job) -> None:
        began = work.start()
        await asyncio.sleep(_argument(job))
        work.end(began)

    @app.entrypoint("stamp")
    async def stamp(job: Job) -> None:
        work.stamp(_argument(job))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.shutdown.set)
    await app.run(batch_size=batch_size, max_concurrent_tasks=max_concurrent_tasks or None)
    await connection.close()


def prepare() -> None:
    queries = _queries()

    async def install() -> None:
        await queries.install()
        await queries.optimize_autovacuum()

    _loop().run_until_complete(install())


def enqueue(task: str, argument: float) -> None:
    _loop().run_until_complete(_queries().enqueue(task, _payload(argument)))


def enqueue_each(task: str, argument: float, count: int) -> None:
    queries = _queries()

    async def each() -> None:
        for _ in range(count):
            await queries.enqueue(task, _payload(argument))

    _loop().run_until_complete(each())


def enqueue_many(task: str, argument: float, count: int) -> None:
    queries = _queries()

    async def many() -> None:
        for start in range(0, count, A_CALL):
            size = min(A_CALL, count - start)
            await queries.enqueue([task] * size, [_payload(argument)] * size, [0] * size)

    _loop().run_until_complete(many())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@cache
def _queries() -> Queries:
    """On a connection of its own; first called while the loop does not run."""
    return Queries(AsyncpgDriver(_loop().run_until_complete(asyncpg.connect())))


def _payload(argument: float) -> bytes:
    return repr(argument).encode()


def _argument(job: Job) -> float:
    return float(job.payload or b"0")


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
