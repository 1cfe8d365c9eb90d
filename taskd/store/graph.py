"""Enqueueing jobs that depend on each other or on resources."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from taskd.errors import ParentUnknown
from taskd.store.rows import NewGraph

_ENQUEUE = "SELECT taskd.enqueue_graph_v1(%s::json, %s, %s)"
_NO_SUCH_PARENT = "TD001"


def enqueue_graph(connection: psycopg.Connection[Any], new: NewGraph) -> list[int]:
    """Store new jobs with their dependencies in one round trip; their ids, in order.

    -id instead: the job of that id held the unique key already, and no new one was made. Raises
    ParentUnknown for a parent that the database does not know.
    """
    document = json.dumps([job.to_json_dict() for job in new.jobs])
    try:
        with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
            row = cursor.execute(_ENQUEUE, (document, new.always_notify, new.self_id)).fetchone()
    except psycopg.Error as error:
        if error.sqlstate == _NO_SUCH_PARENT:
            raise ParentUnknown(str(error.diag.message_primary)) from error
        raise
    return list(row[0]) if row else []
