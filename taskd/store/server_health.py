"""How the database itself is: dead rows, who holds their cleanup back, sizes, connections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import class_row

AnyConnection = psycopg.Connection[Any]
Row = TypeVar("Row")

FIRST_TRANSACTIONS = 20
_TABLES = """
SELECT s.relname::text AS name, s.n_live_tup AS live, s.n_dead_tup AS dead,
       pg_total_relation_size(s.relid) AS bytes,
       (SELECT p.relname::text FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
        WHERE i.inhrelid = s.relid LIMIT 1) AS partition_of,
       greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at
FROM pg_stat_user_tables s
WHERE s.schemaname = 'taskd'
ORDER BY s.relname
"""
# What keeps dead rows from being removed: a snapshot (backend_xmin), here or in a prepared
# transaction, or a replication slot. The oldest first.
_TRANSACTIONS = """
SELECT a.pid, a.usename::text AS user_name, a.application_name, a.state,
       a.xact_start AS began_at,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
       age(a.backend_xmin)::bigint AS holds_back
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (a.xact_start IS NOT NULL OR a.backend_xmin IS NOT NULL)
ORDER BY age(a.backend_xmin) DESC NULLS LAST, a.xact_start
LIMIT %s
"""
_CONNECTIONS = """
SELECT coalesce(nullif(a.application_name, ''), '-') AS application_name,
       coalesce(a.state, 'unknown') AS state, count(*) AS connections
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2
"""
_SERVER = """
SELECT current_setting('server_version') AS version, current_database()::text AS database,
       pg_database_size(current_database()) AS bytes,
       current_setting('max_connections')::int AS max_connections,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
           AS connections,
       (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared,
       (SELECT max(age(coalesce(xmin, catalog_xmin)))::bigint FROM pg_replication_slots)
           AS slots_hold_back
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHealth:
    """A table of taskd; live and dead rows as the statistics know them, bytes with indexes."""

    name: str
    partition_of: str | None
    live: int
    dead: int
    bytes: int
    vacuumed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransaction:
    """A transaction under way; holds_back: transactions whose dead rows stay because of it.

    What a user may not see of others is None. What it executes is told to nobody: that may hold
    anything.
    """

    pid: int
    user_name: str | None
    application_name: str | None
    state: str | None
    began_at: datetime | None
    seconds: float | None
    holds_back: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCount:
    """Connections to this database of one kind of program in one state."""

    application_name: str
    state: str
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """The server; connections are those of all its databases.

    prepared: prepared transactions; slots_hold_back: transactions whose dead rows stay because of a
    replication slot, None without one.
    """

    version: str
    database: str
    bytes: int
    max_connections: int
    connections: int
    prepared: int
    slots_hold_back: int | None


def list_tables(connection: AnyConnection) -> list[TableHealth]:
    """All tables of taskd, partitions included, by name."""
    return _rows(connection, TableHealth, _TABLES)


def list_transactions(connection: AnyConnection) -> list[OpenTransaction]:
    """Transactions in this database: first who holds the cleanup of dead rows back the most."""
    return _rows(connection, OpenTransaction, _TRANSACTIONS, FIRST_TRANSACTIONS)


def count_connections(connection: AnyConnection) -> list[ConnectionCount]:
    """Connections to this database, the most numerous first."""
    return _rows(connection, ConnectionCount, _CONNECTIONS)


def find_server(connection: AnyConnection) -> ServerHealth:
    """The server and the database as a whole."""
    (found,) = _rows(connection, ServerHealth, _SERVER)
    return found


def _rows(
    connection: AnyConnection, kind: type[Row], statement: LiteralString, *parameters: Any
) -> list[Row]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement, parameters).fetchall()
