"""Who was enqueued, who ran, who ended: what a run of faults is judged by.

    enqueued   an id for each job, written in the transaction that enqueued it
    effect     a row for each execution, written by it as its first act
    booking    a row for each effect that was asked for exactly once

The judge knows nothing of how taskd works but its tables of jobs and of attempts.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from taskd import Task, enqueue_many
from tests.faults import work

TABLES = """
CREATE SCHEMA ledger;
CREATE TABLE ledger.enqueued (id bigint PRIMARY KEY, kind text NOT NULL);
CREATE TABLE ledger.effect (
    id bigint, attempt integer, fence bigint, pid integer,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE ledger.booking (id bigint, fence bigint);
CREATE INDEX ON ledger.effect (id);
"""

AnyTask = Task[..., Any]
QUICK: tuple[AnyTask, ...] = (
    work.note,
    work.book,
    work.hold,
    work.once,
    work.few,
    work.gather,
)
"""Jobs that leave something to be held for ever if an end goes wrong: resources, keys, limits,
dependencies; all of the greenlet pool."""

KINDS: tuple[AnyTask, ...] = (*QUICK, work.compute)
SHELVES = 7
KEYS = 100
SHOP = "shop"
"""What the client that enqueues calls itself."""

_STATES = """
CREATE TEMPORARY VIEW fate AS
SELECT e.id, e.kind, count(j.id) AS places, count(h.id) AS ends, min(j.state) AS state,
       min(j.error) AS error, min(h.fence) AS fence, min(h.finished_at) AS finished_at
FROM ledger.enqueued e LEFT JOIN taskd.job j USING (id) LEFT JOIN taskd.history h USING (id)
GROUP BY e.id, e.kind
"""

# Each finds the ids for which one promise is broken.
_FAULTS: Mapping[str, str] = {
    "lost": "SELECT id FROM fate WHERE places = 0",
    "doubled": "SELECT id FROM fate WHERE places > 1 OR ends > 1",
    "not ended": "SELECT id FROM fate WHERE places = 1 AND ends = 0",
    "failed": "SELECT id FROM fate WHERE state IN ('failed', 'cancelled')",
    # An end counts for the execution that held the fence: one that has not begun has no end.
    "stale end": """
        SELECT f.id FROM fate f WHERE f.state = 'succeeded' AND NOT EXISTS (
            SELECT FROM ledger.effect e
            WHERE e.id = f.id AND e.fence = f.fence AND e.at <= f.finished_at)""",
    # After the execution whose end counts none may begin: final is final.
    "run after its end": """
        SELECT f.id FROM fate f JOIN ledger.effect e USING (id)
        WHERE f.ends = 1 AND e.fence > f.fence""",
    "not booked once": """
        SELECT f.id FROM fate f LEFT JOIN ledger.booking b USING (id)
        WHERE f.kind = 'book' GROUP BY f.id, f.state
        HAVING count(b.id) <> CASE f.state WHEN 'succeeded' THEN 1 ELSE 0 END""",
    "running": "SELECT id FROM taskd.running",
    "waiting": """
        SELECT id FROM taskd.queued UNION ALL SELECT id FROM taskd.scheduled
        UNION ALL SELECT id FROM taskd.blocked""",
    "held": """
        SELECT count(*) FROM (
            SELECT FROM taskd.resource WHERE used <> 0 OR waiting
            UNION ALL SELECT FROM taskd.line UNION ALL SELECT FROM taskd.mail
            UNION ALL SELECT FROM taskd.dependency UNION ALL SELECT FROM taskd.unique_key
            UNION ALL SELECT FROM taskd.audit) AS held
        HAVING count(*) > 0""",
}

# Executions beyond the one that counts, and those of them of which no attempt tells the end.
_EXTRA = """
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM taskd.attempt a WHERE a.job = e.id AND a.fence = e.fence))
FROM ledger.effect e JOIN fate f USING (id) WHERE e.fence IS DISTINCT FROM f.fence
"""

_RESCUED = "SELECT count(*) FROM taskd.attempt WHERE outcome IN ('l', 'g', 'k')"

_UNEXPLAINED = """
SELECT e.*, f.fence, f.kind FROM ledger.effect e JOIN fate f USING (id)
WHERE e.fence IS DISTINCT FROM f.fence AND NOT EXISTS (
    SELECT FROM taskd.attempt a WHERE a.job = e.id AND a.fence = e.fence)
"""

# Of the executions that ended with these processes, when each job ran again.
_RESUMED = """
SELECT extract(epoch FROM min(next.at) - to_timestamp(%(at)s))::float8
FROM ledger.effect gone
JOIN taskd.attempt a ON a.job = gone.id AND a.fence = gone.fence AND a.outcome IN ('l', 'g', 'k')
JOIN ledger.effect next ON next.id = gone.id AND next.fence > gone.fence
WHERE gone.pid = ANY (%(pids)s) AND gone.at <= to_timestamp(%(at)s)
  AND a.ended_at >= to_timestamp(%(at)s)
GROUP BY gone.id, gone.fence ORDER BY 1
"""

_RUNNING = """
SELECT count(*) FROM ledger.effect e JOIN taskd.running r ON r.id = e.id AND r.fence = e.fence
WHERE e.pid = ANY (%(pids)s)
"""

_FIRST = """
SELECT extract(epoch FROM min(at) - to_timestamp(%(at)s))::float8 FROM ledger.effect
WHERE pid = ANY (%(pids)s) AND at > to_timestamp(%(at)s)
"""

_FIRST_END = """
SELECT extract(epoch FROM min(finished_at) - to_timestamp(%(at)s))::float8 FROM taskd.history
WHERE finished_at > to_timestamp(%(at)s)
"""

_RATE = """
SELECT count(*) / %(span)s::float8 FROM taskd.history
WHERE finished_at >= to_timestamp(%(begin)s)
  AND finished_at < to_timestamp(%(begin)s) + %(span)s * interval '1 second'
"""


_ENQUEUED = """
INSERT INTO ledger.enqueued SELECT DISTINCT unnest(%s::bigint[]), %s ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found; `faults` names each broken promise with ids that show it."""

    jobs: int
    executions: int
    faults: Mapping[str, tuple[int, ...]]
    repeated: int
    """Executions beyond the one whose end counts."""
    rescued: int
    """Attempts that others ended because their worker was gone, or was taken for gone."""
    unexplained: int
    """Those of them of which no attempt says how they ended."""

    def __str__(self) -> str:
        return (
            f"{self.jobs} jobs, {self.executions} executions, {self.repeated} repeated "
            f"({self.rescued} rescued, {self.unexplained} unexplained), faults: "
            f"{dict(self.faults) or 'none'}"
        )


@dataclass
class Ledger:
    """The tables in one database; `dsn` leads there whatever happens in between."""

    dsn: str
    acknowledged: list[int] = field(default_factory=list)
    """Jobs whose enqueue has returned."""

    def create(self) -> None:
        self.execute(TABLES)

    def enqueue(
        self, count: int, kind: AnyTask, chance: random.Random, seconds: float = 0.05
    ) -> None:
        """Enqueue jobs of one kind in one transaction. Raises what psycopg and taskd raise.

        Half of those that gather are what they gather; of those with a key some are there already.
        """
        choices = {work.hold: SHELVES, work.once: KEYS}.get(kind)
        calls = [
            (seconds,) if choices is None else (seconds, chance.randrange(choices))
            for _ in range(count)
        ]
        with psycopg.connect(
            self.dsn, connect_timeout=5, prepare_threshold=None, application_name=SHOP
        ) as connection:
            ids: list[int] = []
            enqueued: list[int] = []
            parts = [(kind, calls)]
            if kind is work.gather:
                parts = [(work.note, calls[::2]), (kind, calls[1::2])]
            for part, some in parts:
                jobs = enqueue_many(part, some, after=ids, connection=connection)
                ids = [job.id for job in jobs]
                connection.execute(_ENQUEUED, [ids, part.__name__])
                enqueued += ids
        self.acknowledged.extend(enqueued)

    def left(self) -> int:
        """How many jobs have not ended yet."""
        ((left,),) = self.query("SELECT count(*) FROM taskd.live_job")
        return int(left)

    def judge(self) -> Verdict:
        """Judge a run that is over."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(_STATES)
            found = {name: _ids(connection, query) for name, query in _FAULTS.items()}
            known = set(_ids(connection, "SELECT id FROM ledger.enqueued"))
            found["acknowledged and gone"] = tuple(set(self.acknowledged) - known)
            repeated, unexplained = connection.execute(_EXTRA).fetchone() or (0, 0)
            (executions,) = connection.execute("SELECT count(*) FROM ledger.effect").fetchone() or (
                0,
            )
            (rescued,) = _ids(connection, _RESCUED)
        faults = {name: ids[:10] for name, ids in found.items() if ids}
        return Verdict(len(known), executions, faults, repeated, rescued, unexplained)

    def resumed(self, pids: Iterable[int], at: float) -> list[float]:
        """Seconds from a kill until each job that it interrupted ran again, the shortest first."""
        return [row[0] for row in self.query(_RESUMED, {"pids": list(pids), "at": at})]

    def unexplained(self) -> list[tuple[Any, ...]]:
        """Executions of which no attempt tells the end, for a failing test."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(_STATES)
            return connection.execute(_UNEXPLAINED).fetchall()

    def running(self, pids: Iterable[int]) -> int:
        """How many jobs have begun in these processes whose end is not stored."""
        return int(self.query(_RUNNING, {"pids": list(pids)})[0][0])

    def waiting(self) -> int:
        """How many jobs wait, to be claimed or for others."""
        queued, blocked = (
            self.query(f"SELECT count(*) FROM taskd.{table}")[0][0]
            for table in ("queued", "blocked")
        )
        return int(queued + blocked)

    def first_effect(self, pids: Iterable[int], since: float) -> float | None:
        """Seconds from `since` until the first job began in one of these processes, if any has."""
        ((seconds,),) = self.query(_FIRST, {"pids": list(pids), "at": since})
        return None if seconds is None else float(seconds)

    def first_end(self, since: float) -> float | None:
        """Seconds from `since` until the first job had ended, if any has."""
        ((seconds,),) = self.query(_FIRST_END, {"at": since})
        return None if seconds is None else float(seconds)

    def first_claim(self, since: float) -> bool:
        """Whether a job has begun since then, by the clock of the server."""
        begun = "SELECT count(*) > 0 FROM ledger.effect WHERE at > to_timestamp(%s)"
        try:
            return bool(self.query(begun, [since])[0][0])
        except psycopg.OperationalError:
            return False

    def rate(self, begin: float, span: float) -> float:
        """Jobs a second that ended in the `span` seconds from `begin`, seconds since 1970."""
        ((rate,),) = self.query(_RATE, {"begin": begin, "span": span})
        return float(rate)

    def query(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())


def _ids(connection: psycopg.Connection[Any], query: str) -> tuple[int, ...]:
    return tuple(row[0] for row in connection.execute(query.encode()))
