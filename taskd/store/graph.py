"""Enqueueing jobs that depend on each other or on resources."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from taskd.errors import ParentUnknown
from taskd.store import mail
from taskd.store.rows import NewGraph

# As in enqueue_jobs, the second is for those who may do no more than enqueue.
_ENQUEUE = """
SELECT CASE WHEN has_table_privilege('taskd.queued', 'INSERT')
            THEN taskd.enqueue_graph_v1(%(jobs)s::json, %(always)s, %(self)s)
            ELSE taskd.enqueue_own_graph_v1(%(jobs)s::json, %(always)s) END
"""
_NO_SUCH_PARENT = "TD001"


def enqueue_graph(connection: psycopg.Connection[Any], new: NewGraph) -> list[int]:
    """Store new jobs with their dependencies in one round trip; their ids, in order.

    One more, outside of a transaction, when they come after jobs of earlier calls.

    -id instead: the job of that id held the unique key already, and no new one was made. Raises
    ParentUnknown for a parent that the database does not know.
    """
    parameters = {
        "jobs": json.dumps([job.to_json_dict() for job in new.jobs]),
        "always": new.always_notify,
        "self": new.self_id,
    }
    try:
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            row = cursor.execute(_ENQUEUE, parameters).fetchone()
    except psycopg.Error as error:
        if error.sqlstate == _NO_SUCH_PARENT:
            raise ParentUnknown(str(error.diag.message_primary)) from error
        raise
    ids: list[int] = list(row[0]) if row else []
    is_committed = connection.info.transaction_status is TransactionStatus.IDLE
    if is_committed and not new.always_notify and _has_outer_parents(new, ids):
        # They may have ended already, and the check of that needs our commit: see enqueue_graph_v1.
        with suppress(psycopg.Error):  # the jobs are stored, and maintenance has been told
            mail.dispatch(connection)
    return ids


def _has_outer_parents(new: NewGraph, ids: list[int]) -> bool:
    """Whether a new one of them comes after a job that was there before."""
    stored = (job for job, job_id in zip(new.jobs, ids, strict=True) if job_id > 0)
    parents = {parent for job in stored for parent in job.parents}
    return any(parent > 0 or ids[-parent - 1] < 0 for parent in parents)
