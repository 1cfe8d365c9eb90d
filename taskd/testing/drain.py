"""Running the jobs of a real database in the test's own process, one after the other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

from taskd import __version__
from taskd.board import priority_of
from taskd.board.layout import SLOT_FIELDS
from taskd.config.versions import read_part
from taskd.errors import JobFailed
from taskd.events import Events
from taskd.pool.claims import Row
from taskd.pool.ending import put, refusal
from taskd.pool.outbox import Outbox
from taskd.store import hosts, jobs, mail
from taskd.store.connect import Connection
from taskd.store.literals import integer_array, text_array
from taskd.store.look import fetch_job
from taskd.tasks.client import default_client
from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import Failed
from taskd.testing.attempt import run_attempt

MOST_JOBS = 100_000


class Drained(NamedTuple):
    """How many jobs ended, and how: attempts that were retried are told apart."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0


def drain(
    queues: Sequence[str] = (), *, scheduled: bool = False, raise_errors: bool = True
) -> Drained:
    """Run the jobs that wait in these queues (none given: in all) until none is left.

    Whichever version of the code they require: that is the one that is tested.
    Each runs in this thread as a worker would run it: claimed, ended and recorded in the database.
    `scheduled`: also those that wait for their time, such as retries, as if it had come. Raises
    JobFailed for the first job that fails for good, unless told otherwise.
    """
    with _worker() as (connection, worker):
        counts: Counter[str] = Counter()
        while sum(counts.values()) < MOST_JOBS:
            row = _claim(connection, worker, queues)
            if row is None and scheduled and _bring_forward(connection, queues):
                continue
            if row is None:
                break
            counts[_run(connection, worker, row, raise_errors)] += 1
    return Drained(**counts)


@contextmanager
def _worker() -> Iterator[tuple[Connection, int]]:
    """A connection, and the registration of a worker on it that ends with the block."""
    with default_client().connection() as connection:
        host = hosts.register_host(connection, uuid4(), "a test", os.getpid(), __version__)
        worker = hosts.register_worker(connection, host, os.getpid(), "test", 0, 1)
        try:
            yield connection, worker or 0
        finally:
            hosts.rescue_host(connection, host, None, "the test is over", False)


def _claim(connection: Connection, worker: int, queues: Sequence[str]) -> Row | None:
    mail.dispatch(connection)
    lanes = [
        lane
        for lane in jobs.all_lanes(connection)
        if not queues or read_part(lane.queue).queue in queues
    ]
    lanes.sort(key=lambda lane: (-priority_of(lane.lane), lane.seq))
    if not lanes:
        return None
    literals = (
        text_array([lane.queue for lane in lanes]),
        integer_array([lane.lane for lane in lanes]),
        integer_array([0] * len(lanes)),
    )
    rows = jobs.claim_jobs(connection, worker, literals, 1)
    if not rows:
        return None
    rows[0][2] = read_part(lanes[rows[0][2]].queue).queue
    return rows[0]


def _bring_forward(connection: Connection, queues: Sequence[str]) -> bool:
    """Let what waits for its time be due now; whether there was any."""
    connection.execute(
        "UPDATE taskd.scheduled SET run_at = now() "
        "WHERE cardinality(%(queues)s::text[]) = 0 "
        "OR taskd.queue_of_v1(queue) = ANY (%(queues)s::text[])",
        {"queues": text_array(queues)},
    )
    return jobs.promote_jobs(connection, MOST_JOBS).promoted > 0


def _run(connection: Connection, worker: int, row: Row, raise_errors: bool) -> str:
    job, _, queue, fence, number, most, _, task, args, kwargs, extra = row
    attempt = JobAttempt(job, fence, number, most, task, queue, worker, extra)
    outcome = refusal(extra) or run_attempt(attempt, args, kwargs)
    outbox = Outbox("a test", Events())
    put(
        outbox,
        memoryview(bytearray(8 * SLOT_FIELDS)).cast("Q"),
        row,
        perf_counter() - attempt.started,
        outcome,
    )
    outbox.flush(connection, worker)
    if raise_errors and isinstance(outcome, Failed):
        raise JobFailed(job, task, outcome.error, outcome.traceback)
    found = fetch_job(connection, job)
    return str(found.state) if found is not None and found.state.is_final else "retried"
