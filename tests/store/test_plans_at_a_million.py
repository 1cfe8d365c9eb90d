"""With a million jobs in each place, what is asked all the time reads the few rows it concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from taskd.store import health, hosts, jobs, look
from taskd.store.connect import Connection
from taskd.store.rows import JobFilter, NewJobs, State
from tests.store.explained import Scan, explained
from tests.store.graph_makers import add_exclusive, claim_one, complete, dispatch, retry
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of

MANY = 1_000_000
MOST = 500
"""Rows of a table for one call."""

TABLES = ("history", "queued", "scheduled", "blocked", "line")
"""Each has as many rows, with ids above those of the one before."""

QUEUED, SCHEDULED, BLOCKED = MANY, 2 * MANY, 3 * MANY
"""Below the first id there."""

FILL = """
INSERT INTO taskd.history (id, fence, worker, created_at, started_at, priority, attempt,
                           max_attempts, state, queue, task, args)
SELECT n, n, 0, now(), now(), 5, 1, 1, CASE WHEN n % 100 = 0 THEN 'f' ELSE 's' END::"char",
       'q' || n % 10, 'shop.sync', '[]'
FROM generate_series(1, {many}) n;

INSERT INTO taskd.queued (seq, id, created_at, lane, priority, attempt, max_attempts, queue,
                          task, args)
SELECT n, n, now(), 5, 5, 0, 1, 'q' || n % 10, 'shop.sync', '[]'
FROM generate_series({queued} + 1, {queued} + {many}) n;

INSERT INTO taskd.scheduled (run_at, id, created_at, priority, attempt, max_attempts, queue,
                             task, args)
SELECT now() + (n - {scheduled} - 50) * interval '1 minute', n, now(), 5, 0, 1, 'q', 'shop.sync',
       '[]'
FROM generate_series({scheduled} + 1, {scheduled} + {many}) n;

INSERT INTO taskd.blocked (id, created_at, stage, pending, priority, attempt, max_attempts,
                           queue, task, args, res, need, place)
SELECT n, now(), 'l', 1, 5, 0, 1, 'default', 'shop.sync', '[]', '{{x}}', '{{2147483647}}', n
FROM generate_series({blocked} + 1, {blocked} + {many}) n;

INSERT INTO taskd.line (res, turn, place, need, id)
SELECT 'x', 0, n, 2147483647, n FROM generate_series({blocked} + 1, {blocked} + {many}) n;

UPDATE taskd.resource SET waiting = true WHERE name = 'x';
SELECT setval('taskd.job_seq', 5 * {many}), setval('taskd.place_seq', 5 * {many});
"""


def fill(connection: Connection) -> None:
    """A holder of x waits for a worker, a million jobs wait for x, and as many are elsewhere."""
    add_exclusive(connection, "x")
    while dispatch(connection):
        pass
    statement = FILL.format(many=MANY, queued=QUEUED, scheduled=SCHEDULED, blocked=BLOCKED)
    with psycopg.connect(connection.info.dsn) as patient:
        patient.execute(statement.encode())


Asked = dict[str, tuple[Callable[[], object], object]]
"""By name: a call, and what it must return, so that none is judged that did nothing."""


class Calls:
    """What clients, workers and maintenance ask, each once, of jobs that are there for it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._worker = add_worker(connection)
        self._host = hosts.list_hosts(connection)[-1].id
        self._holder = claim_one(connection, self._worker)
        add_jobs(connection, 40, queue="mine")
        self._taken = [self._claim(10, "mine", 5) for _ in range(4)]

    def of_clients(self) -> Asked:
        """Enqueue, look, cancel, move."""
        c = self._connection
        unique = NewJobs("shop.sync", ["[]"], [None], unique='{"keys": ["k"], "until": "finished"}')
        each = [MANY * place + 7 for place in range(4)]
        states = ["succeeded", "queued", "scheduled", "blocked"]
        failed = JobFilter(state=State.FAILED, limit=10)
        queued, scheduled, blocked = QUEUED + MANY // 2, SCHEDULED + MANY // 2, BLOCKED + MANY // 2
        return {
            "enqueue": (lambda: len(add_jobs(c, 1)), 1),
            "enqueue many": (lambda: len(add_jobs(c, 100)), 100),
            "enqueue unique": (lambda: len(jobs.enqueue_jobs(c, unique)), 1),
            "enqueue for x": (lambda: add_exclusive(c, "x") > MANY, True),
            "show": (
                lambda: [job.state for one in each if (job := look.fetch_job(c, one))],
                states,
            ),
            "state": (lambda: [look.fetch_state(c, one) for one in each], states),
            "list": (lambda: len(look.list_jobs(c, JobFilter(limit=10))), 10),
            "list failed": (lambda: len(look.list_jobs(c, failed)), 10),
            "cancel queued": (lambda: jobs.cancel_jobs(c, [queued]), {queued: "cancelled"}),
            "cancel scheduled": (
                lambda: jobs.cancel_jobs(c, [scheduled]),
                {scheduled: "cancelled"},
            ),
            "cancel blocked": (lambda: jobs.cancel_jobs(c, [blocked]), {blocked: "cancelled"}),
            "requeue": (lambda: list(jobs.requeue_jobs(c, [100])), [100]),
            "move": (lambda: jobs.move_jobs(c, [queued + 1], "elsewhere"), 1),
        }

    def of_workers(self) -> Asked:
        """Claim, and end in each way."""
        c, worker = self._connection, self._worker
        good, bad, again, returned = self._taken
        return {
            "claim": (lambda: len(self._claim(10, "q3", 5)), 10),
            "succeed": (
                lambda: jobs.complete_succeeded(c, worker, ids_of(good), fences(good), [0.1] * 10),
                [],
            ),
            "fail": (lambda: complete(c, worker, bad, "f"), []),
            "retry": (lambda: [retry(c, worker, row, delay=9.0) for row in again], [[]] * 10),
            "give back": (
                lambda: jobs.give_back_jobs(c, worker, ids_of(returned), fences(returned)),
                10,
            ),
            "hand off": (lambda: complete(c, worker, [self._holder]), []),
            "claim what got x": (lambda: ids_of(self._claim(10, "default", 25)), [BLOCKED + 1]),
        }

    def of_maintenance(self) -> Asked:
        """Let in what is due, look around, beat, rescue."""
        c = self._connection
        return {
            "let in": (lambda: jobs.promote_jobs(c, 10).promoted, 10),
            "look for lanes": (lambda: len(jobs.all_lanes(c)) > 10, True),
            "beat": (lambda: hosts.beat_host(c, self._host, None).alive, True),
            "rescue": (
                lambda: hosts.rescue_workers(c, [self._worker], "it died", charge=True).given_back,
                11,
            ),
        }

    def _claim(self, count: int, queue: str, lane: int) -> list[list[Any]]:
        return claim(self._connection, self._worker, count, (queue, lane, 0))


def fences(rows: list[list[Any]]) -> list[int]:
    return [fence_of(row) for row in rows]


@pytest.mark.one_server
@pytest.mark.timeout(300)
def test_no_hot_query_reads_along_a_million(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    fill(connection)

    for is_analyzed in (False, True):
        if is_analyzed:
            connection.execute("ANALYZE")
        again = connect_again()  # a session makes its plans anew
        with again.transaction(force_rollback=True):
            calls = Calls(again)
            asked = calls.of_clients() | calls.of_workers() | calls.of_maintenance()
            found = {name: read_by(again, *one) for name, one in asked.items()}
        assert {name: scans for name, scans in found.items() if scans} == {}
    assert [plan.name for plan in health.explain_hot_queries(connection) if plan.scanned] == []


def read_by(connection: Connection, call: Callable[[], object], expected: object) -> list[Scan]:
    """What a call reads that it should not: all of a large table, or more than a few rows of it."""
    with explained(connection) as scans:
        assert call() == expected
    large = [scan for scan in scans if scan.table.startswith(TABLES)]
    return [scan for scan in large if scan.rows > MOST or (scan.rows and scan.kind == "Seq Scan")]
