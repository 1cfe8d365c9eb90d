"""Hosts and workers: who lives, and what becomes of the jobs of those who do not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from taskd.store.host_rows import USUAL_JUDGEMENT, Beat, Judgement, Request, Rescued
from taskd.store.literals import integer_array, text_array
from taskd.store.rows import WaitingLane

AnyConnection = psycopg.Connection[Any]

_RESCUE = """
SELECT given_back, failed
FROM taskd.rescue_workers_v1(%s::bigint[], %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[],
                              %s)
"""
MAX_LOSSES = USUAL_JUDGEMENT.max_losses
"""A job whose workers were lost this often, with nobody else to blame, fails as poisoned."""

SILENT_SECONDS = 60.0
"""A host whose last beat is older speaks for nobody: it beats every 5 s even when idle."""

_BEAT = """
SELECT alive, others, due, slot, requests, paused, mail, lanes, look_seconds
FROM taskd.beat_host_v1(%s, %s, %s)
"""
_NO_BEAT = (False, None, None, None, None, None, False, None, None)
_HOSTS = """
SELECT h.id, h.name, h.pid, h.version, h.started_at, h.beat, h.beat_at, h.idle, h.processes,
       h.reported_at, extract(epoch FROM clock_timestamp() - h.beat_at)::float8 AS beat_age
FROM taskd.host h
WHERE h.ended_at IS NULL
ORDER BY h.id
"""
_TASKS = """
SELECT DISTINCT ON (t.name) t.name, t.description,
       (SELECT array_agg(DISTINCT p.pool ORDER BY p.pool)
        FROM taskd.task p WHERE p.name = t.name) AS pools
FROM taskd.task t
JOIN taskd.host h ON h.id = t.host AND h.ended_at IS NULL
ORDER BY t.name, t.published_at DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A living host; processes is the JSON of its last report, beat_age in seconds."""

    id: int
    name: str
    pid: int
    version: str
    started_at: datetime
    beat: int
    beat_at: datetime
    beat_age: float
    idle: bool
    processes: str
    reported_at: datetime | None


def register_host(
    connection: AnyConnection, incarnation: UUID, name: str, pid: int, version: str
) -> int:
    """Enter a new host; its id."""
    return _number(
        connection,
        "SELECT taskd.register_host_v1(%s, %s, %s, %s)",
        (incarnation, name, pid, version),
    )


def find_host(connection: AnyConnection, incarnation: UUID) -> int | None:
    """The living host of an incarnation, if there is one."""
    row = connection.execute(
        "SELECT id FROM taskd.host WHERE incarnation = %s AND ended_at IS NULL", (incarnation,)
    ).fetchone()
    return int(row[0]) if row else None


def name_hosts(connection: AnyConnection, hosts: Sequence[int]) -> dict[int, str]:
    """The names of these hosts, also of those that have ended, as long as they are kept."""
    rows = connection.execute(
        "SELECT h.id, h.name FROM taskd.host h WHERE h.id = ANY (%s::bigint[])",
        (integer_array(hosts),),
    ).fetchall()
    return dict(rows)


def list_hosts_named(connection: AnyConnection, name: str) -> list[int]:
    """The ids of the hosts of a name: each start of a daemon there has one of its own."""
    rows = connection.execute("SELECT h.id FROM taskd.host h WHERE h.name = %s", (name,)).fetchall()
    return [row[0] for row in rows]


def register_worker(
    connection: AnyConnection,
    host: int,
    pid: int,
    pool: str,
    slot: int,
    generation: int,
    offers: Sequence[str] = (),
    greenlets: int = 1,
    queues: Iterable[str] = (),
) -> int | None:
    """Enter a new worker; its id, or None when its host is not among the living.

    `offers` are the versions of the code that jobs may require of it, `greenlets` how many jobs it
    runs at once, `queues` those that it claims from (none: all).
    """
    row = connection.execute(
        "SELECT taskd.register_worker_v1(%s, %s, %s, %s::smallint, %s, %s::text[], %s, %s::text[])",
        (host, pid, pool, slot, generation, text_array(offers), greenlets, text_array(queues)),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def find_workers(connection: AnyConnection, host: int, pids: Sequence[int]) -> list[int]:
    """The living workers of a host with these pids."""
    rows = connection.execute(
        "SELECT id FROM taskd.worker "
        "WHERE host = %s AND ended_at IS NULL AND pid = ANY (%s::int[])",
        (host, integer_array(pids)),
    ).fetchall()
    return [row[0] for row in rows]


def beat_host(connection: AnyConnection, host: int, idle: bool | None, looks: bool = False) -> Beat:
    """Say that a host lives, and look around; idle None leaves that flag as it is.

    If it `looks`, the beat also reads which lanes hold jobs, as jobs.all_lanes does.
    """
    row = connection.execute(_BEAT, (host, idle, looks)).fetchone()
    alive, others, due, slot, requests, paused, mail, lanes, look_seconds = row or _NO_BEAT
    return Beat(
        alive=alive,
        others={int(host_id): beat for host_id, beat in json.loads(others or "{}").items()},
        due=due,
        slot=slot,
        requests=requests or 0,
        paused=frozenset(json.loads(paused or "[]")),
        mail=mail,
        lanes=None if lanes is None else tuple(WaitingLane(*lane) for lane in json.loads(lanes)),
        look_seconds=look_seconds or 0.0,
    )


def list_workers(connection: AnyConnection, host: int) -> dict[int, int]:
    """The living workers of a host: their pids by their ids."""
    rows = connection.execute(
        "SELECT id, pid FROM taskd.worker WHERE host = %s AND ended_at IS NULL", (host,)
    ).fetchall()
    return dict(rows)


def rescue_workers(
    connection: AnyConnection,
    workers: Sequence[int],
    reason: str,
    charge: bool,
    judgement: Judgement = USUAL_JUDGEMENT,
) -> Rescued:
    """End workers and give their jobs back; `charge` counts a loss on each that had begun.

    Of a culprit that its worker was killed for, see Judgement, it is the crashes that are counted.
    """
    row = connection.execute(
        _RESCUE,
        (
            integer_array(workers),
            reason,
            charge,
            judgement.max_losses,
            judgement.max_crashes,
            judgement.culprit or None,
            judgement.why or None,
            judgement.stack or None,
            judgement.interrupted,
            None if judgement.begun is None else integer_array(judgement.begun),
            judgement.stood or None,
        ),
    ).fetchone()
    return Rescued(*row) if row else Rescued(0, 0)


def rescue_host(
    connection: AnyConnection,
    host: int,
    beat: int | None,
    reason: str,
    charge: bool,
    judgement: Judgement = USUAL_JUDGEMENT,
) -> Rescued:
    """End a host whose beat still stands at `beat` (None: in any case), with its workers."""
    row = connection.execute(
        "SELECT given_back, failed FROM taskd.rescue_host_v1(%s, %s, %s, %s, %s, %s)",
        (host, beat, reason, charge, judgement.max_losses, judgement.max_crashes),
    ).fetchone()
    return Rescued(*row) if row else Rescued(0, 0)


def take_requests(connection: AnyConnection, workers: Sequence[int]) -> list[Request]:
    """The orders for these workers' jobs that nobody has taken yet."""
    rows = connection.execute(
        "SELECT kind, worker, job FROM taskd.take_requests_v1(%s::bigint[])",
        (integer_array(workers),),
    ).fetchall()
    return [Request(*row) for row in rows]


def list_requests(connection: AnyConnection, host: int, workers: Sequence[int]) -> list[Request]:
    """The orders that wait for a host and for these workers; they stay until they are taken."""
    rows = connection.execute(
        "SELECT kind, worker, job, pool FROM taskd.request "
        "WHERE taken_at IS NULL AND (host = %s OR worker = ANY (%s::bigint[])) ORDER BY id",
        (host, integer_array(workers)),
    ).fetchall()
    return [Request(*row) for row in rows]


def ask_reports(connection: AnyConnection) -> None:
    """Ask all living hosts to report their processes now."""
    connection.execute("SELECT taskd.ask_reports_v1()")


def take_reports(connection: AnyConnection, host: int) -> int:
    """Take the requests for a report of this host; how many there were."""
    return connection.execute(
        "DELETE FROM taskd.request WHERE host = %s AND kind = 'report'", (host,)
    ).rowcount


def take_hunts(connection: AnyConnection, host: int) -> None:
    """Take the requests for canaries of this host."""
    connection.execute("DELETE FROM taskd.request WHERE host = %s AND kind = 'hunt'", (host,))


def write_report(connection: AnyConnection, host: int, processes: str) -> None:
    """Store what `taskd workers` shows of a host, as JSON."""
    connection.execute(
        "UPDATE taskd.host SET processes = %s, reported_at = clock_timestamp() WHERE id = %s",
        (processes, host),
    )


def list_hosts(connection: AnyConnection) -> list[HostRow]:
    """The living hosts, oldest first."""
    with connection.cursor(row_factory=class_row(HostRow)) as cursor:
        return cursor.execute(_HOSTS).fetchall()


def publish_tasks(
    connection: AnyConnection, host: int, pool: str, tasks: Sequence[Mapping[str, Any]]
) -> None:
    """Store what a pool's code offers, in place of what it offered before."""
    with connection.transaction():
        connection.execute("DELETE FROM taskd.task WHERE host = %s AND pool = %s", (host, pool))
        connection.execute(
            "INSERT INTO taskd.task (name, host, pool, description) "
            "SELECT u.name, %s, %s, u.description "
            "FROM unnest(%s::text[], %s::text[]) AS u (name, description)",
            (
                host,
                pool,
                text_array([task["name"] for task in tasks]),
                text_array([json.dumps(task) for task in tasks]),
            ),
        )


def list_tasks(connection: AnyConnection) -> list[dict[str, Any]]:
    """What may be run, by name, with the pools that run it."""
    rows = connection.execute(_TASKS).fetchall()
    return [{**json.loads(description), "pools": pools} for _, description, pools in rows]


def describe_queues(connection: AnyConnection, descriptions: Mapping[str, str]) -> None:
    """Store the descriptions that the configuration gives its queues."""
    connection.execute(
        "INSERT INTO taskd.queue (name, description) SELECT * FROM unnest(%s::text[], %s::text[]) "
        "ON CONFLICT (name) DO UPDATE SET description = excluded.description "
        "WHERE queue.description <> excluded.description",
        (text_array(list(descriptions)), text_array(list(descriptions.values()))),
    )


def _number(connection: AnyConnection, statement: Any, parameters: tuple[Any, ...]) -> int:
    row = connection.execute(statement, parameters).fetchone()
    if row is None:
        raise AssertionError("a function returned no row")
    return int(row[0])
