"""Jobs of taskd put straight into its tables: millions in a minute."""

from __future__ import annotations

import psycopg

from benchmarks.contest.stores import Database

QUEUES = 100
LANES = 10
A_STATEMENT = 100_000

# With one queue it is "bench", lane 5; with more they are bench0, bench1, …, lanes 0 to 9.
_FILL = """
INSERT INTO taskd.queued
    (seq, id, created_at, lane, priority, attempt, max_attempts, queue, task, args)
SELECT n, n, now(), lane, lane, 0, 1, queue, 'benchmarks.peers.taskd.app.noop', '[0.0]'
FROM (SELECT n,
             CASE WHEN %(lanes)s = 1 THEN 5 ELSE n / %(queues)s %% %(lanes)s END AS lane,
             CASE WHEN %(queues)s = 1 THEN 'bench' ELSE 'bench' || n %% %(queues)s END AS queue
      FROM (SELECT nextval('taskd.job_seq') AS n FROM generate_series(1, %(jobs)s)) numbers) jobs
"""
_SCHEDULE = """
INSERT INTO taskd.scheduled
    (run_at, id, created_at, priority, attempt, max_attempts, queue, task, args)
SELECT now() + interval '1 day' + n * interval '1 ms', n, now(), 5, 0, 1, 'bench',
       'benchmarks.peers.taskd.app.noop', '[0.0]'
FROM (SELECT nextval('taskd.job_seq') AS n FROM generate_series(1, %(jobs)s)) numbers
"""


def fill(store: Database, jobs: int, queues: int = 1, lanes: int = 1) -> None:
    """So many jobs that may run now."""
    _insert(store, _FILL, jobs, {"queues": queues, "lanes": lanes})


def schedule(store: Database, jobs: int) -> None:
    """So many jobs for tomorrow."""
    _insert(store, _SCHEDULE, jobs, {})


def _insert(store: Database, statement: str, jobs: int, values: dict[str, int]) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        for start in range(0, jobs, A_STATEMENT):
            size = min(A_STATEMENT, jobs - start)
            connection.execute(statement.encode(), {**values, "jobs": size})
