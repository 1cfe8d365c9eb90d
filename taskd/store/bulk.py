"""Many jobs at once, chosen by a filter: count, cancel, requeue, move, purge.

The first four are one statement each, whatever the number of jobs. A purge walks over the history
in steps, each a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
from psycopg import errors as pg

from taskd.store.filters import also, conditions, days
from taskd.store.literals import text_array
from taskd.store.rows import JobFilter, State

AnyConnection = psycopg.Connection[Any]

PURGE_BLOCKS = 500
"""Blocks of 8 KiB that one step of a purge reads and deletes from: tens of thousands of jobs."""

_LIVE: LiteralString = "SELECT j.id FROM taskd.live_job j"
_ENDED: LiteralString = "SELECT j.id FROM taskd.ended_job j"
_PARTITIONS = """
SELECT c.relname, pg_relation_size(c.oid) / 8192
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'taskd.history'::regclass
ORDER BY c.relname
"""
_PURGE = 'SELECT taskd.purge_jobs_v1(%s, %s, %s, %s, %s::"char"[], %s, %s)'
_STATE_LETTERS = {State.SUCCEEDED: "s", State.FAILED: "f", State.CANCELLED: "c"}


def count_live(connection: AnyConnection, wanted: JobFilter) -> int:
    """How many jobs that have not ended match."""
    return _number(connection, "SELECT count(*) FROM (", _LIVE, wanted, ") found")


def count_ended(connection: AnyConnection, wanted: JobFilter) -> int:
    """How many jobs that have ended match."""
    return _number(connection, "SELECT count(*) FROM (", _ENDED, wanted, ") found")


def cancel_matching(connection: AnyConnection, wanted: JobFilter) -> dict[str, int]:
    """Cancel the jobs that match; how many are "cancelled", and how many "cancelling"."""
    where, parameters = conditions(wanted)
    rows = connection.execute(
        "SELECT outcome, count(*) FROM taskd.cancel_jobs_v1(ARRAY("
        + _LIVE
        + where
        + ")) GROUP BY outcome",
        parameters,
    ).fetchall()
    return dict(rows)


def requeue_matching(connection: AnyConnection, wanted: JobFilter) -> int:
    """Enqueue the ended jobs that match, and were not yet, once more, as new jobs; how many."""
    return _number(
        connection,
        "SELECT count(*) FROM taskd.requeue_jobs_v1(ARRAY(",
        _ENDED,
        replace(wanted, is_requeued=False),
        " ORDER BY j.id), true)",
    )


def move_matching(connection: AnyConnection, wanted: JobFilter, queue: str) -> int:
    """Let the waiting jobs that match wait in another queue; how many moved."""
    where, parameters = conditions(wanted)
    row = connection.execute(
        "SELECT taskd.move_jobs_v1(ARRAY(" + _LIVE + where + "), %(target)s)",
        {**parameters, "target": queue},
    ).fetchone()
    return int(row[0]) if row else 0


def purge_jobs(
    connection: AnyConnection,
    older_than: float,
    states: Sequence[State],
    queue: str | None = None,
    task: str | None = None,
) -> Iterator[tuple[float, int]]:
    """Forget jobs that ended at least `older_than` seconds ago, with their results and attempts.

    A generator: each step is one short transaction, and yields the share of the history that has
    been read, and how many jobs it forgot.
    """
    row = connection.execute("SELECT now() - %s * interval '1 second'", (older_than,)).fetchone()
    before = row[0] if row else None
    letters = text_array(_STATE_LETTERS[state] for state in states)
    partitions = connection.execute(_PARTITIONS).fetchall()
    total = sum(blocks for _, blocks in partitions) or 1
    read = 0
    for partition, blocks in partitions:
        for first in range(0, blocks, PURGE_BLOCKS):
            step = (partition, first, PURGE_BLOCKS, before, letters, queue, task)
            try:
                row = connection.execute(_PURGE, step).fetchone()
            except pg.UndefinedTable:  # retention has dropped that day meanwhile, and all its jobs
                yield (read + blocks) / total, 0
                break
            yield (read + min(first + PURGE_BLOCKS, blocks)) / total, int(row[0]) if row else 0
        read += blocks


def _number(
    connection: AnyConnection,
    head: LiteralString,
    jobs: LiteralString,
    wanted: JobFilter,
    tail: LiteralString,
) -> int:
    where, parameters = conditions(wanted)
    where = also(where, days(wanted) if jobs is _ENDED else [])
    row = connection.execute(head + jobs + where + tail, parameters).fetchone()
    return int(row[0]) if row else 0
