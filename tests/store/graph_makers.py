"""Short ways to enqueue jobs that need others or resources, and to see what stands where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from taskd.store import jobs, mail
from taskd.store.graph import enqueue_graph
from taskd.store.rows import JobEnd, JobRetry, NewGraph, NewJob
from tests.store.makers import AnyConnection, claim, fence_of
from tests.waiting import eventually

Value = TypeVar("Value")

EXCLUSIVE = 2147483647
"""The need of an exclusive holder: all there is."""


def new_job(args: str = "[]", *, needs: dict[str, int] | None = None, **options: Any) -> NewJob:
    """A job of shop.sync that needs units of resources by name."""
    needs = needs or {}
    return NewJob(
        task="shop.sync", args=args, res=tuple(needs), need=tuple(needs.values()), **options
    )


def add_graph(
    connection: AnyConnection, *new: NewJob, foreign: bool = False, self_id: int | None = None
) -> list[int]:
    """Enqueue jobs in one call; `foreign`: as in a caller's own transaction."""
    return enqueue_graph(connection, NewGraph(new, always_notify=foreign, self_id=self_id))


def add_one(connection: AnyConnection, *, foreign: bool = False, **options: Any) -> int:
    """Enqueue one job; its id."""
    (job,) = add_graph(connection, new_job(**options), foreign=foreign)
    return job


def add_exclusive(connection: AnyConnection, *names: str, foreign: bool = False) -> int:
    """Enqueue a job that needs these resources for itself alone."""
    return add_one(connection, needs=dict.fromkeys(names, EXCLUSIVE), foreign=foreign)


def dispatch(connection: AnyConnection) -> int:
    """One call of the dispatcher."""
    return mail.dispatch(connection)


def complete(
    connection: AnyConnection, worker: int, rows: Sequence[Sequence[Any]], state: str = "s"
) -> list[int]:
    """End claimed jobs; the ids that were lost."""
    ends = [JobEnd(row[0], fence_of(row), 0.1, state) for row in rows]
    return jobs.complete_jobs(connection, worker, ends)


def retry(
    connection: AnyConnection,
    worker: int,
    row: Sequence[Any],
    delay: float = 0.0,
    release: bool = False,
) -> list[int]:
    """End an attempt but not its job; the ids that were lost."""
    again = JobRetry(row[0], fence_of(row), 0.1, "r", delay, release=release)
    return jobs.retry_jobs(connection, worker, [again])


def claim_one(connection: AnyConnection, worker: int) -> list[Any]:
    """Claim and insist that there is exactly one job to claim."""
    (row,) = claim(connection, worker)
    return row


def is_settled(connection: AnyConnection) -> bool:
    """Whether the counters agree with what the jobs hold, and no letter is left."""
    audit = connection.execute("SELECT * FROM taskd.audit").fetchall()
    assert audit == []
    return connection.execute("SELECT count(*) FROM taskd.mail").fetchone() == (0,)


def set_capacity(connection: AnyConnection, name: str, units: int | None) -> None:
    """Say how much there is of a resource."""
    connection.execute("SELECT taskd.set_capacity_v1(%s, %s)", (name, units))


def used(connection: AnyConnection, name: str) -> int:
    """The units of a resource that are held."""
    row = connection.execute("SELECT used FROM taskd.resource WHERE name = %s", (name,)).fetchone()
    return int(row[0]) if row else 0


def state_of(connection: AnyConnection, job: int) -> str | None:
    """How a job ended, or None."""
    row = connection.execute("SELECT state FROM taskd.history WHERE id = %s", (job,)).fetchone()
    return None if row is None else str(row[0])


def is_asked_to_stop(connection: AnyConnection, job: int) -> bool:
    """Whether the worker of a job has been told to cancel it."""
    return connection.execute(
        "SELECT count(*) FROM taskd.request WHERE job = %s AND kind = 'cancel'", (job,)
    ).fetchone() == (1,)


class Waiting:
    """A call in a thread of its own that is known to wait for a lock."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def result(self) -> Any:
        """What the call returned; it must end now that it need not wait any more."""
        return self._future.result(10)


@contextmanager
def one_that_waits(
    watcher: AnyConnection, connection: AnyConnection, call: Callable[[], Any]
) -> Any:
    """Run `call`, which uses `connection`, in a thread; enter once the server says it waits."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        eventually(lambda: future.done() or is_waiting(watcher, connection))
        assert not future.done(), f"did not wait: {future.result()!r}"
        yield Waiting(future)


def is_waiting(watcher: AnyConnection, connection: AnyConnection) -> bool:
    """Whether the statement of this connection waits for a lock."""
    row = watcher.execute(
        "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
        (connection.info.backend_pid,),
    ).fetchone()
    return bool(row and row[0])


def wait_for_nobody(*connections: psycopg.Connection[Any]) -> None:
    """Let every statement of these fail that waits for a lock for a second."""
    for connection in connections:
        connection.execute("SET lock_timeout = '1s'")
