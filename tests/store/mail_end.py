"""What the machine does to the database alone: time passes, and in the end all jobs do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from taskd.store import jobs, mail
from taskd.store.literals import integer_array, text_array
from tests.store.mail_jobs import PAUSE
from tests.store.mail_snapshot import Snapshot, take_snapshot

_PASS_TIME = """
WITH later AS (SELECT %(minutes)s * interval '1 minute' AS by),
     s AS (UPDATE taskd.scheduled SET run_at = run_at - later.by FROM later),
     b AS (UPDATE taskd.blocked SET run_at = run_at - later.by FROM later),
     r AS (UPDATE taskd.resource SET empty_at = empty_at - later.by,
                                     retry_at = retry_at - later.by FROM later)
UPDATE taskd.unique_key SET expires_at = expires_at - later.by FROM later
"""


_EXPIRE = """
UPDATE taskd.{} SET extra = extra || jsonb_build_object('expires', (extra->>'expires')::float8 - %s)
WHERE extra ? 'expires'
"""

_PASS_TIME_IN_CALLS = """
UPDATE taskd.mail m SET calls = (
    SELECT jsonb_agg(c.call
        || jsonb_build_object('due', (c.call->>'due')::timestamptz - later.by,
                              'run_at', (c.call->>'run_at')::timestamptz - later.by)
        || CASE WHEN c.call->'extra' ? 'expires'
                THEN jsonb_build_object('extra', c.call->'extra' || jsonb_build_object('expires',
                    (c.call->'extra'->>'expires')::float8 - extract(epoch FROM later.by)))
                ELSE '{}' END
        ORDER BY c.place)
    FROM jsonb_array_elements(m.calls) WITH ORDINALITY AS c (call, place))
FROM (SELECT %(minutes)s * interval '1 minute') AS later (by)
WHERE m.kind = 'u'
"""


def pass_time(connection: psycopg.Connection[Any], minutes: int) -> None:
    """As if all that waits for its time had begun to so much earlier."""
    connection.execute(_PASS_TIME, {"minutes": minutes})
    connection.execute(_PASS_TIME_IN_CALLS, {"minutes": minutes})
    for table in ("queued", "scheduled", "blocked", "running"):
        connection.execute(SQL(_EXPIRE).format(Identifier(table)), (minutes * 60,))


def stretch_pause(connection: psycopg.Connection[Any], job: int) -> float:
    """The seconds that a job pauses since this transaction began; it will pause PAUSE minutes."""
    row = connection.execute(
        "SELECT extract(epoch FROM run_at - now())::float8 FROM taskd.scheduled WHERE id = %s",
        (job,),
    ).fetchone()
    assert row is not None
    connection.execute(
        "UPDATE taskd.scheduled SET run_at = now() + %s * interval '1 minute' WHERE id = %s",
        (PAUSE, job),
    )
    return float(row[0])


def claim(
    connection: psycopg.Connection[Any],
    worker: int,
    count: int,
    lanes: Sequence[tuple[str, int]],
) -> list[list[Any]]:
    """Claim from these lanes of queues, in this order."""
    queues, numbers = zip(*lanes, strict=True)
    wanted = (text_array(queues), integer_array(numbers), integer_array([0] * len(lanes)))
    rows = jobs.claim_jobs(connection, worker, wanted, count)
    assert rows is not None
    return rows


def end_everything(
    connection: psycopg.Connection[Any], worker: int, lanes: Sequence[tuple[str, int]]
) -> Snapshot:
    """Let all jobs run, as long as that takes; what is left beside history."""
    for _ in range(100):
        pass_time(connection, 600)
        mail.dispatch(connection)
        jobs.promote_jobs(connection, 1000)
        rows = claim(connection, worker, 1000, lanes)
        if not rows and not _left(connection):
            break
        if rows:
            ids, fences = [row[0] for row in rows], [row[3] for row in rows]
            jobs.complete_succeeded(connection, worker, ids, fences, [0.1] * len(ids))
    return _left(connection)


def _left(connection: psycopg.Connection[Any]) -> Snapshot:
    found = take_snapshot(connection)
    return {
        name: found[name] for name in found.keys() - {"history", "attempts", "keys", "capacity"}
    }
