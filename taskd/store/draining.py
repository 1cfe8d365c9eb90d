"""Orders to workers to end: they finish what they run or give it back, and are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from taskd.store.literals import integer_array

AnyConnection = psycopg.Connection[Any]


def list_workers_of(connection: AnyConnection, hosts: Sequence[int]) -> dict[int, list[int]]:
    """The workers that live, of those of these hosts that live, by host."""
    rows = connection.execute(
        "SELECT h.id, array(SELECT w.id FROM taskd.worker w "
        "                   WHERE w.host = h.id AND w.ended_at IS NULL ORDER BY w.id) "
        "FROM taskd.host h WHERE h.id = ANY (%s::bigint[]) AND h.ended_at IS NULL ORDER BY h.id",
        (integer_array(hosts),),
    ).fetchall()
    return dict(rows)


def drain_workers(connection: AnyConnection, workers: Sequence[int]) -> list[int]:
    """Order workers to claim no more, finish what they run, and end; those of them that live.

    Their masters hear of it within a moment, and start others before they go. What still runs
    after the pool's `shutdown_timeout` is interrupted, as at any other drain.
    """
    return _order(connection, workers, now=False)


def stop_workers(connection: AnyConnection, workers: Sequence[int]) -> list[int]:
    """Order workers to end now: what they run is interrupted and given back, at no cost to it.

    Those of them that live. Others are started as soon as they take no more, while they end.
    """
    return _order(connection, workers, now=True)


def _order(connection: AnyConnection, workers: Sequence[int], *, now: bool) -> list[int]:
    row = connection.execute(
        "SELECT taskd.drain_workers_v1(%s::bigint[], %s)", (integer_array(workers), now)
    ).fetchone()
    return list(row[0]) if row else []


def take_drains(connection: AnyConnection, workers: Sequence[int]) -> list[int]:
    """Take the orders to these workers; the workers."""
    rows = connection.execute(
        "DELETE FROM taskd.request WHERE kind IN ('drain', 'stop') AND worker = ANY (%s::bigint[]) "
        "RETURNING worker",
        (integer_array(workers),),
    ).fetchall()
    return sorted({row[0] for row in rows})
