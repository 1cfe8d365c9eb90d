"""Daily partitions made ahead and dropped by retention, and the small tables kept small."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg import errors as pg
from psycopg import sql

from taskd.store.limits import prune_resources
from taskd.store.schedules import prune_schedules

DROP_WAITS_SECONDS = 0.1
"""Who completes a job queues behind whoever wants to drop a partition."""


class ExpiredPartition(NamedTuple):
    """A partition whose day is over for longer than it is kept."""

    parent: str
    partition: str
    attached: bool


def make_partitions(connection: psycopg.Connection[Any], ahead: int) -> int:
    """Make the partitions of today and the next `ahead` days; how many were missing."""
    row = connection.execute("SELECT taskd.make_partitions_v1(%s)", (ahead,)).fetchone()
    return int(row[0]) if row else 0


def partition_days_ahead(connection: psycopg.Connection[Any]) -> int:
    """How many whole days beyond today have their partition; -1 when even today's is missing."""
    row = connection.execute("SELECT taskd.partition_days_ahead_v1()").fetchone()
    return int(row[0]) if row else -1


def expired_partitions(
    connection: psycopg.Connection[Any], parent: str, keep_seconds: float
) -> list[ExpiredPartition]:
    """The partitions of a table that retention wants dropped, oldest first."""
    rows = connection.execute(
        "SELECT parent, part, attached FROM taskd.expired_partitions_v1(%s, %s)",
        (parent, keep_seconds),
    ).fetchall()
    return [ExpiredPartition(*row) for row in rows]


def drop_partition(connection: psycopg.Connection[Any], expired: ExpiredPartition) -> bool:
    """Detach and drop one partition; False when somebody reads it now: try again later.

    DETACH CONCURRENTLY waits for readers without blocking a completion; a plain DROP or DETACH
    would queue for an exclusive lock with every completion behind it. It must run outside of a
    transaction. One that was interrupted is finished with FINALIZE.
    """
    partition = sql.Identifier("taskd", expired.partition)
    try:
        if expired.attached:
            _detach(connection, sql.Identifier("taskd", expired.parent), partition)
        with connection.transaction():
            connection.execute("SELECT taskd.limit_locks_v1(%s)", (DROP_WAITS_SECONDS,))
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(partition))
    except (pg.LockNotAvailable, pg.QueryCanceled):
        return False
    return True


def _detach(
    connection: psycopg.Connection[Any], parent: sql.Identifier, partition: sql.Identifier
) -> None:
    detach = sql.SQL("ALTER TABLE {} DETACH PARTITION {} {}")
    try:
        connection.execute(detach.format(parent, partition, sql.SQL("CONCURRENTLY")))
    except pg.ObjectNotInPrerequisiteState:  # an earlier detach was interrupted
        connection.execute(detach.format(parent, partition, sql.SQL("FINALIZE")))


def prune_records(connection: psycopg.Connection[Any], keep_seconds: float) -> int:
    """Delete hosts, workers and schedules gone for more than `keep_seconds`, and what is stale.

    A worker is kept as long as the history that names it may be.
    """
    pruned = 0
    for statement in (
        "DELETE FROM taskd.worker w WHERE w.ended_at < now() - %s * interval '1 second' "
        "AND NOT EXISTS (SELECT FROM taskd.running r WHERE r.worker = w.id)",
        "DELETE FROM taskd.host h WHERE h.ended_at < now() - %s * interval '1 second' "
        "AND NOT EXISTS (SELECT FROM taskd.worker w WHERE w.host = h.id)",
    ):
        pruned += connection.execute(statement, (keep_seconds,)).rowcount
    for statement in (
        # A cancel is obeyed as long as its job runs; one whose job has just ended may be read yet.
        # A drain or stop is, as long as its worker lives: its maintenance may just be started anew.
        "DELETE FROM taskd.request r WHERE r.created_at < now() - interval '1 minute' "
        "AND NOT EXISTS (SELECT FROM taskd.running j WHERE j.id = r.job) "
        "AND NOT EXISTS (SELECT FROM taskd.worker w "
        "WHERE r.kind IN ('drain', 'stop') AND w.id = r.worker AND w.ended_at IS NULL)",
        "DELETE FROM taskd.answer a WHERE a.answered_at < now() - interval '5 minutes'",
        "DELETE FROM taskd.unique_key k WHERE k.expires_at < now()",
        "DELETE FROM taskd.waiter w WHERE w.expires_at < now()",
        # How far an attempt was that was lost with its worker.
        "DELETE FROM taskd.progress p WHERE p.updated_at < now() - interval '1 day' "
        "AND NOT EXISTS (SELECT FROM taskd.running r WHERE r.id = p.job AND r.fence = p.fence)",
    ):
        pruned += connection.execute(statement).rowcount
    pruned += connection.execute(
        "DELETE FROM taskd.task t WHERE NOT EXISTS "
        "(SELECT FROM taskd.host h WHERE h.id = t.host AND h.ended_at IS NULL)"
    ).rowcount
    pruned += prune_schedules(connection, keep_seconds)
    pruned += prune_resources(connection)
    return pruned
