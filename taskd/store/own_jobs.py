"""What members of taskd_enqueuer see of the jobs that they enqueued: where each is, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from taskd.store.literals import integer_array
from taskd.store.rows import JobRow, State

_STATES = """
SELECT id, task, queue, requires, state, priority, attempt, max_attempts, losses, crashes, timeout,
       has_result, created_at, run_at, ready_at, started_at, finished_at
FROM taskd.own_states_v1(%s::bigint[])
"""


def fetch_own_states(connection: psycopg.Connection[Any], job_ids: Sequence[int]) -> list[JobRow]:
    """The jobs of these that this user has enqueued, in that order; others are left out.

    The rows are `states_only`: without arguments, result, error and worker.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_STATES, (integer_array(job_ids),)).fetchall()
    by_id = {row["id"]: _row(row) for row in rows}
    return [by_id[job_id] for job_id in job_ids if job_id in by_id]


def _row(row: dict[str, Any]) -> JobRow:
    return JobRow(
        **row | {"state": State(row["state"])},
        args=[],
        kwargs={},
        result=None,
        error=None,
        traceback=None,
        worker=None,
        states_only=True,
    )
