"""How the database under the jobs is: what `taskd doctor` looks at, in a few cheap statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

AnyConnection = psycopg.Connection[Any]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """Something that keeps dead rows from being removed; kind "transaction" has a pid to end.

    xids: how many transactions have begun since. seconds: how long it is open, if that is known.
    """

    kind: str
    pid: int | None
    name: str
    state: str | None
    xids: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A table or partition: about how many rows live and dead, and whether it is cleaned up."""

    name: str
    live: int
    dead: int
    bytes: int
    vacuumed_at: datetime | None
    is_vacuumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitioned:
    """A table of daily partitions; days_ahead: beyond today, -1 if even today has none."""

    name: str
    partitions: int
    days_ahead: int
    detached: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Connections of the whole server, `room` for so many, and ours; hidden: of other roles."""

    room: int
    used: int
    ours: int
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a hot query would be run: `scanned` are the tables that it would read whole."""

    name: str
    scanned: tuple[str, ...]
    text: str


HOT_QUERIES = {
    "claim jobs": (
        "SELECT q.ctid FROM taskd.queued q "
        "WHERE q.queue = 'default' AND q.lane = 5::smallint AND q.seq > 0 ORDER BY q.seq LIMIT 100"
    ),
    "complete jobs": "SELECT r.ctid FROM taskd.running r WHERE r.id = ANY ('{1,2}'::bigint[])",
    "rescue workers": "SELECT r.id FROM taskd.running r WHERE r.worker = ANY ('{1}'::bigint[])",
    "let in what is due": (
        "SELECT s.ctid FROM taskd.scheduled s "
        "WHERE s.run_at <= now() ORDER BY s.run_at, s.id LIMIT 100"
    ),
    "dispatch letters": (
        "SELECT m.ctid FROM taskd.mail m WHERE NOT m.is_late AND m.seq > 0 ORDER BY m.seq LIMIT 100"
    ),
    "move up a line": (
        "SELECT l.id FROM taskd.line l "
        "WHERE l.res = 'x' AND (l.turn, l.place) > (0, 0) ORDER BY l.turn, l.place LIMIT 10"
    ),
    "show a job": "SELECT j.id, j.state FROM taskd.job j WHERE j.id = 1",
    "list failures": (
        "SELECT h.id FROM taskd.history h WHERE h.state = 'f' ORDER BY h.id DESC LIMIT 100"
    ),
    "sum statistics": (
        "SELECT s.task FROM taskd.statistic s "
        "WHERE s.span = 'm' AND s.at >= now() - interval '15 minutes'"
    ),
}
"""What is asked often or of large tables, as the functions of the schema ask it."""


def list_horizons(connection: AnyConnection) -> list[Horizon]:
    """What holds cleanup back, the oldest first; at most 10."""
    return _rows(connection, "list_horizons.sql", Horizon)


def list_tables(connection: AnyConnection) -> list[TableRow]:
    """All tables of taskd, those with the most dead rows first."""
    return _rows(connection, "list_tables.sql", TableRow)


def list_partitioned(connection: AnyConnection) -> list[Partitioned]:
    """The tables that have a partition a day, by name."""
    return _rows(connection, "list_partitioned.sql", Partitioned)


def count_connections(connection: AnyConnection) -> Connections:
    """The connections of the server."""
    (row,) = _rows(connection, "count_connections.sql", Connections)
    return row


def list_invalid_indexes(connection: AnyConnection) -> list[str]:
    """The indexes of taskd that a REINDEX or CREATE INDEX CONCURRENTLY has left unusable."""
    rows = connection.execute(
        "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relnamespace = 'taskd'::regnamespace AND NOT i.indisvalid ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


def first_letter(connection: AnyConnection) -> int | None:
    """The number of the first letter that no dispatcher has worked off; None: there is none."""
    row = connection.execute("SELECT min(m.seq) FROM taskd.mail m").fetchone()
    return None if row is None else row[0]


def explain_hot_queries(connection: AnyConnection) -> list[Plan]:
    """The plans of the hot queries, with the settings that the functions of the schema have.

    So a table is read whole only if there is no index for it, however small it is.
    """
    with connection.transaction():
        connection.execute("SELECT taskd.plan_by_index_v1()")
        return [_explain(connection, name, query.encode()) for name, query in HOT_QUERIES.items()]


def _explain(connection: AnyConnection, name: str, query: bytes) -> Plan:
    found = connection.execute(b"EXPLAIN (FORMAT JSON) " + query).fetchone()
    lines = connection.execute(b"EXPLAIN " + query).fetchall()
    if found is None:
        raise AssertionError("EXPLAIN returned no row")
    tree = found[0] if isinstance(found[0], list) else json.loads(found[0])
    scanned = dict.fromkeys(_scanned(tree[0]["Plan"]))
    return Plan(name=name, scanned=tuple(scanned), text="\n".join(line for (line,) in lines))


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for below in node.get("Plans", ()):
        yield from _scanned(below)


def _rows(connection: AnyConnection, name: str, kind: type[Row]) -> list[Row]:
    statement = files("taskd.store").joinpath("sql", name).read_text(encoding="utf-8")
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement.encode(), {}).fetchall()
