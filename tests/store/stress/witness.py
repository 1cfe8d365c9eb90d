"""Tables that know nothing of taskd's own counters, and what they say must be true."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.store.graph_makers import EXCLUSIVE

Connection = psycopg.Connection[Any]

CAPACITY = {"c1": 1, "c3": 3, "c10": 10, "m0": 2}
"""Counted resources; all others have no capacity."""

_SETUP = """
CREATE SCHEMA stress;
CREATE TABLE stress.enqueued (job bigint PRIMARY KEY);
CREATE TABLE stress.held (res text, job bigint, worker bigint, need bigint, PRIMARY KEY (res, job));
CREATE TABLE stress.dead (worker bigint PRIMARY KEY);
CREATE TABLE stress.violation (what text);
CREATE TABLE stress.done (what text, n bigint);

-- Each entry into a queue by a holder. The numbers are drawn under the dispatch lock, so they are
-- in the order of the grants.
CREATE TABLE stress.granted (n bigserial, place bigint, res text[], need integer[]);
CREATE FUNCTION stress.note_grants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stress.granted (place, res, need)
    SELECT n.place, n.res, n.need FROM new_rows n WHERE n.place IS NOT NULL ORDER BY n.seq;
    RETURN NULL;
END $$;
CREATE TRIGGER note_grants AFTER INSERT ON taskd.queued
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION stress.note_grants();
"""
_TOO_MANY = """
INSERT INTO stress.violation
SELECT format('%s: %s holders with %s units', h.res, count(*), sum(h.need))
FROM stress.held h LEFT JOIN taskd.capacity c ON c.name = h.res
GROUP BY h.res
HAVING count(*) > 1 AND sum(h.need) > coalesce(min(c.units), 2147483647)
"""
_HOLD = """
WITH mine AS (
    SELECT r.id, r.res, r.need FROM taskd.running r
    WHERE r.id = ANY (%(jobs)s) AND r.worker = %(worker)s ORDER BY r.id FOR KEY SHARE
)
INSERT INTO stress.held (res, job, worker, need)
SELECT u.name, m.id, %(worker)s, u.need FROM mine m, unnest(m.res, m.need) AS u (name, need)
"""
_LEFT = """
SELECT 'queued', count(*) FROM taskd.queued
UNION ALL SELECT 'running', count(*) FROM taskd.running
UNION ALL SELECT 'scheduled', count(*) FROM taskd.scheduled
UNION ALL SELECT 'blocked', count(*) FROM taskd.blocked
UNION ALL SELECT 'line', count(*) FROM taskd.line
UNION ALL SELECT 'dependency', count(*) FROM taskd.dependency
UNION ALL SELECT 'mail', count(*) FROM taskd.mail
UNION ALL SELECT 'audit', count(*) FROM taskd.audit
UNION ALL SELECT 'held', count(*) FROM taskd.resource WHERE used <> 0 OR waiting
UNION ALL SELECT 'keys', count(*) FROM taskd.unique_key
UNION ALL SELECT 'lost', count(*) FROM stress.enqueued e
    WHERE NOT EXISTS (SELECT FROM taskd.history h WHERE h.id = e.job)
UNION ALL SELECT 'ended twice', count(*) - count(DISTINCT id) FROM taskd.history
UNION ALL SELECT 'deadlocks', deadlocks FROM pg_stat_database WHERE datname = current_database()
"""


def set_up(connection: Connection) -> None:
    """Make the tables, and give the counted resources their capacities."""
    connection.execute(_SETUP)
    for name, units in CAPACITY.items():
        connection.execute("INSERT INTO taskd.capacity VALUES (%s, %s)", (name, units))


def hold(connection: Connection, worker: int, jobs: list[int]) -> None:
    """A worker says that it runs these jobs, and looks whether anybody should not."""
    connection.execute(_HOLD, {"jobs": jobs, "worker": worker})
    look(connection)


def look(connection: Connection) -> None:
    """Note what is held by more than may hold it."""
    connection.execute(_TOO_MANY)


def let_go(connection: Connection, worker: int, jobs: list[int]) -> None:
    """In the transaction that ends these runs: they hold nothing any more."""
    connection.execute(
        "DELETE FROM stress.held WHERE worker = %s AND job = ANY (%s)", (worker, jobs)
    )


def what_is_left(connection: Connection) -> dict[str, int]:
    """What should be none at the end, and is not."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    return {what: n for what, n in connection.execute(_LEFT).fetchall() if n}


def overtakings(connection: Connection) -> list[tuple[str, int]]:
    """Who was granted a resource before one that stood before it and could not share it.

    A holder that comes back to its queue is there a second time: only the first counts.
    """
    seen: set[tuple[str, int]] = set()
    last: dict[str, int] = {}
    last_exclusive: dict[str, int] = {}
    found = []
    rows = connection.execute("SELECT place, res, need FROM stress.granted ORDER BY n").fetchall()
    for place, names, needs in rows:
        for name, need in zip(names, needs, strict=True):
            if (name, place) in seen:
                continue
            seen.add((name, place))
            before = last if need == EXCLUSIVE else last_exclusive
            if place < before.get(name, -1):
                found.append((name, place))
            last[name] = max(place, last.get(name, -1))
            if need == EXCLUSIVE:
                last_exclusive[name] = max(place, last_exclusive.get(name, -1))
    return found
