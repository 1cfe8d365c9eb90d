"""Which enqueues middleware sees: each line of the table on the page about hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskd import (
    EnqueueCall,
    Job,
    Middleware,
    chain,
    chord,
    configure,
    enqueue,
    enqueue_many,
    group,
    middleware,
)
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry
from taskd.tasks.calls import Call, Target
from taskd.tasks.flow import TaskCall
from taskd.tasks.options import DEFAULTS, read_placement
from tests.commands import run_taskd
from tests.crew import Crew
from tests.hook_lines import no_hooks
from tests.store.keepers import crew
from tests.store.makers import add_worker, claim, fence_of
from tests.store.timetables import declare, make_chore, make_due, nightly, settle

__all__ = ["crew"]

pytestmark = pytest.mark.one_server

Next = Callable[[EnqueueCall], list[Job[Any]]]
QUEUE = {"catch_up": "one", "catch_up_limit": 100, "overlap": "queue"}


@pytest.fixture
def seen(dsn: str) -> Iterator[list[int]]:
    """How many calls the middleware has seen, a number for each time."""
    found: list[int] = []

    class Counting(Middleware):
        def enqueue(self, call: EnqueueCall, call_next: Next) -> list[Job[Any]]:
            found.append(len(call.calls))
            return call_next(call.with_headers(trace="a"))

    configure(database=dsn)
    with no_hooks():
        middleware(Counting())
        yield found
    configure()


def sync() -> None:
    """A function that is enqueued as such."""


def call_of(number: int) -> TaskCall[Any]:
    return TaskCall(Target("shop.sync"), Call((number,), {}), read_placement(DEFAULTS, {}))


def headers(connection: Connection) -> list[Any]:
    """Those of all jobs, the oldest job first."""
    found = connection.execute("SELECT extra->'headers' FROM taskd.job ORDER BY id").fetchall()
    return [each for (each,) in found]


def end_of(connection: Connection, job: int) -> tuple[int, JobEnd]:
    """A worker that runs a job, and the end that lets it fail."""
    worker = add_worker(connection)
    [row] = claim(connection, worker)
    assert row[0] == job
    return worker, JobEnd(job, fence_of(row), 0.1, "f", None, "E: 1")


@pytest.mark.parametrize("task", [sync, "shop.sync"])
def test_a_call_by_function_or_by_name_is_seen(seen: list[int], task: Any) -> None:
    enqueue(task)

    assert seen == [1]


def test_many_calls_are_seen_at_once(seen: list[int]) -> None:
    enqueue_many("shop.sync", [(1,), (2,), (3,)])

    assert seen == [3]


def test_a_flow_is_seen_once_with_all_its_jobs(seen: list[int]) -> None:
    chain(call_of(1), call_of(2)).enqueue()
    group([call_of(3), call_of(4)]).enqueue()
    chord([call_of(5), call_of(6)], call_of(7)).enqueue()

    assert seen == [2, 2, 3]


def test_a_job_of_a_flow_is_not_seen_again_when_it_starts(
    seen: list[int], connection: Connection
) -> None:
    chain(call_of(1), call_of(2)).enqueue()
    worker = add_worker(connection)
    [first] = claim(connection, worker)

    jobs.complete_jobs(connection, worker, [JobEnd(first[0], fence_of(first), 0.1, "s", None)])

    assert claim(connection, worker)[0][0] == first[0] + 1
    assert seen == [2]


def test_the_command_is_not_seen(seen: list[int], dsn: str, connection: Connection) -> None:
    assert run_taskd("--database", dsn, "enqueue", "shop.sync").exit_code == 0

    assert (seen, headers(connection)) == ([], [None])


@pytest.mark.parametrize("source", ["yaml", "code"])
def test_a_schedule_is_not_seen_neither_at_its_slot_nor_by_command(
    seen: list[int], dsn: str, crew: Crew, connection: Connection, source: str
) -> None:
    crew.board.host = declare(connection, nightly(source=source, options=QUEUE))
    settle(connection)
    make_due(connection)

    make_chore(crew).run(connection)
    assert run_taskd("--database", dsn, "schedules", "run", "nightly").exit_code == 0

    assert (seen, headers(connection)) == ([], [None, None])


@pytest.mark.parametrize("by_command", [True, False])
def test_a_requeue_is_not_seen_and_keeps_the_headers(
    seen: list[int], dsn: str, connection: Connection, by_command: bool
) -> None:
    job = enqueue("shop.sync")
    worker, end = end_of(connection, job.id)
    jobs.complete_jobs(connection, worker, [end])

    if by_command:
        assert run_taskd("--database", dsn, "jobs", "requeue", str(job.id)).exit_code == 0
    else:
        job.requeue()

    assert (seen, headers(connection)) == ([1], [{"trace": "a"}] * 2)


@pytest.mark.parametrize("kind", ["r", "z", "i"])
def test_a_retry_a_snooze_and_an_interrupt_are_not_seen(
    seen: list[int], connection: Connection, kind: str
) -> None:
    job = enqueue("shop.sync")
    worker, end = end_of(connection, job.id)

    jobs.retry_jobs(connection, worker, [JobRetry(job.id, end.fence, 0.1, kind, 0.0)])

    assert claim(connection, worker)[0][0] == job.id
    assert (seen, headers(connection)) == ([1], [{"trace": "a"}])
