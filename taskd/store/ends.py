"""Which workers have ended, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from taskd.store.literals import integer_array

AnyConnection = psycopg.Connection[Any]

MOST_ENDS = 10_000
_LIST = """
SELECT w.id AS worker, w.host, w.pid, w.pool, w.slot, w.started_at, w.ended_at,
       w.end_reason AS reason
FROM taskd.worker w
WHERE w.ended_at > now() - %(since)s * interval '1 second'
  AND (%(hosts)s::bigint[] IS NULL OR w.host = ANY (%(hosts)s::bigint[]))
  AND (%(pool)s::text IS NULL OR w.pool = %(pool)s)
  AND (%(worker)s::bigint IS NULL OR w.id = %(worker)s)
ORDER BY w.ended_at DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnd:
    """A worker that has ended; `reason` None: nobody has told."""

    worker: int
    host: int
    pid: int
    pool: str
    slot: int
    started_at: datetime
    ended_at: datetime
    reason: str | None


def list_worker_ends(
    connection: AnyConnection,
    since: float,
    *,
    hosts: Sequence[int] | None = None,
    pool: str | None = None,
    worker: int | None = None,
) -> list[WorkerEnd]:
    """Those that ended in the last `since` seconds, oldest first; the MOST_ENDS last of them."""
    wanted = {
        "since": since,
        "hosts": None if hosts is None else integer_array(hosts),
        "pool": pool,
        "worker": worker,
        "limit": MOST_ENDS,
    }
    with connection.cursor(row_factory=class_row(WorkerEnd)) as cursor:
        return cursor.execute(_LIST, wanted).fetchall()[::-1]


def note_end(connection: AnyConnection, worker: int, reason: str) -> None:
    """Note why a worker has ended, unless that is known."""
    connection.execute(
        "UPDATE taskd.worker SET end_reason = %s WHERE id = %s AND end_reason IS NULL",
        (reason, worker),
    )
