"""What the processes of daemons have held: written by maintenance, thinned with age.

    age          one row of a process in
    ----------   -----------------------
    up to 2 h    10 s
    up to 2 d    1 min
    older        10 min

Of a process that holds what it held there is one a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from taskd.store.literals import number_array, text_array

AnyConnection = psycopg.Connection[Any]

PERIOD_SECONDS = 10.0
MOST_POINTS = 100_000

_THINNED = ((10, 60, 2 * 3600.0), (60, 600, 2 * 86400.0))
"""Stretches of so many seconds become stretches of so many, when they are older than that."""

_WRITE = """
SELECT taskd.write_memory_v1(
    %s, %s::bigint[], %s::integer[], %s::text[], %s::text[], %s::smallint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
"""
_CURVE = """
SELECT m.at, m.seconds, m.host, m.worker, m.pid, m.role, m.pool, m.slot, m.jobs, m.bytes,
       m.children, m.low, m.high, m.live
FROM taskd.memory_reading m
WHERE m.seconds IN (10, 60, 600) AND m.at > now() - %(since)s * interval '1 second'
  AND (%(hosts)s::bigint[] IS NULL OR m.host = ANY (%(hosts)s::bigint[]))
  AND (%(pool)s::text IS NULL OR m.pool = %(pool)s)
  AND (%(worker)s::bigint IS NULL OR m.worker = %(worker)s)
ORDER BY m.at DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReading:
    """What one process holds, in bytes; `worker` is its id, None if it is none, as for its slot.

    `bytes` includes `children`, the processes below it; `low` and `high` are the extremes of the
    time that the reading covers. `live` is what its allocators have handed out, 0 if it does not
    tell. `jobs` is how many it has ended in its life.
    """

    worker: int | None
    pid: int
    role: str
    pool: str | None
    slot: int | None
    jobs: int
    bytes: int
    children: int
    low: int
    high: int
    live: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint(MemoryReading):
    """A reading as it is stored: it ends `at` a time of the server's and covers `seconds`."""

    at: datetime
    seconds: int
    host: int


def write_memory(connection: AnyConnection, host: int, readings: Sequence[MemoryReading]) -> None:
    """Store what processes of a host hold now."""
    numbers = ("jobs", "bytes", "children", "low", "high", "live")
    connection.execute(
        _WRITE,
        (
            host,
            number_array([one.worker for one in readings]),
            number_array([one.pid for one in readings]),
            text_array([one.role for one in readings]),
            text_array([one.pool for one in readings]),
            number_array([one.slot for one in readings]),
            *(number_array([getattr(one, name) for one in readings]) for name in numbers),
        ),
    )


def memory_curve(
    connection: AnyConnection,
    since: float,
    *,
    hosts: Sequence[int] | None = None,
    pool: str | None = None,
    worker: int | None = None,
    limit: int = MOST_POINTS,
) -> list[MemoryPoint]:
    """What was held in the last `since` seconds, oldest first; the `limit` youngest points of it.

    Of these hosts, one pool or one worker, if such is given. A worker that holds what it held
    before has no point for that; one a minute at least.
    """
    wanted = {
        "since": since,
        "hosts": None if hosts is None else number_array(hosts),
        "pool": pool,
        "worker": worker,
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(MemoryPoint)) as cursor:
        points = cursor.execute(_CURVE, wanted).fetchall()
    return points[::-1]


def prune_memory(connection: AnyConnection, keep_seconds: float) -> int:
    """Thin the readings by their age and drop those older than that; how many were thinned."""
    pruned = 0
    for before, after, older in _THINNED:
        row = connection.execute(
            "SELECT taskd.thin_memory_v1(%s::smallint, %s::smallint, %s)", (before, after, older)
        ).fetchone()
        pruned += int(row[0]) if row else 0
    connection.execute(
        "DELETE FROM taskd.memory_reading m WHERE m.seconds IN (10, 60, 600) "
        "AND m.at < now() - %s * interval '1 second'",
        (keep_seconds,),
    )
    return pruned
