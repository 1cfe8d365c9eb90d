"""The database: reachable, new enough, with the schema, hearing LISTEN, roomy enough."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, closing

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from taskd.cli.checks.demand import connections_needed
from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.cli.database import embedded_server
from taskd.clock import monotonic
from taskd.config.dsn import mask_dsn
from taskd.config.settings import Settings
from taskd.errors import (
    DatabaseError,
    DatabaseRefused,
    EncodingUnusable,
    SchemaForeign,
    SchemaMissing,
    SchemaTooNew,
    SchemaTooOld,
    TaskdError,
)
from taskd.maintenance.database import connections_for
from taskd.store import connect, notify, schema
from taskd.store.connect import Connection

OLDEST_SERVER = 14
HEARING_SECONDS = 2.0

_ROOM = """
SELECT current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int,
       NULLIF(r.rolconnlimit, -1), NULLIF(d.datconnlimit, -1)
FROM pg_roles r, pg_database d
WHERE r.rolname = current_user AND d.datname = current_database()
"""
_CAN_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"
_OWNER = "SELECT pg_get_userbyid(nspowner), current_user FROM pg_namespace WHERE nspname = 'taskd'"
_CAN_WRITE = "SELECT current_setting('transaction_read_only') = 'off', pg_is_in_recovery()"


def check_database(settings: Settings) -> Iterator[Finding]:
    """Look at the configured database, or start the embedded one and look at that."""
    with ExitStack() as held:
        try:
            server = embedded_server(settings.state_dir, connections_for(settings))
            dsn = settings.database or held.enter_context(server)
            connection = held.enter_context(closing(connect.connect(dsn)))
            started = monotonic()
            connection.execute("SELECT 1")
        except DatabaseRefused as error:
            yield fault("database", str(error), "correct `database`, or let the server allow it")
            return
        except TaskdError as error:
            yield fault("database", str(error), "start the server, or correct `database`")
            return
        took = monotonic() - started
        try:
            connect.check_encoding(connection)
        except EncodingUnusable as error:
            reason, _, remedy = str(error).partition(": ")
            yield fault("database", reason, remedy)
            return
        yield from _check_server(connection, dsn, took)
        try:
            yield _check_schema(connection)
            yield check_room(connections_needed(settings), *_room(connection))
            yield _check_listen(settings, dsn)
        except (psycopg.Error, DatabaseError) as error:
            words = " ".join(str(error).split())
            yield fault("database", f"refused to be looked at: {words}", "see the server's log")


def _check_server(connection: Connection, dsn: str, round_trip: float) -> Iterator[Finding]:
    version = connection.info.server_version
    shown = f"PostgreSQL {version // 10000}.{version % 10000}"
    if version < OLDEST_SERVER * 10000:
        yield fault("database", f"{shown} is too old", f"upgrade to {OLDEST_SERVER} or later")
        return
    yield fine(
        "database", f"{mask_dsn(dsn)}: {shown}, a round trip takes {round_trip * 1000:.1f} ms"
    )
    row = connection.execute(_CAN_WRITE).fetchone()
    if row is not None and not row[0]:
        why = "a standby" if row[1] else "read-only"
        yield fault("database", f"it is {why}", "name the primary; target_session_attrs=read-write")
    try:
        connect.check_isolation(connection)
    except DatabaseRefused as error:
        reason, _, remedy = str(error).partition(": ")
        yield fault("database", reason, remedy)


def _check_schema(connection: Connection) -> Finding:
    try:
        found = schema.check_compatible(connection)
    except SchemaTooNew as error:
        return fault("schema", str(error), "install a newer taskd")
    except SchemaForeign as error:
        return fault("schema", str(error), "DROP SCHEMA taskd CASCADE, or another database")
    except SchemaTooOld as error:
        return warning(
            "schema", str(error), "`taskd schema upgrade`; a daemon does it at its start"
        )
    except SchemaMissing:
        return _missing(connection)
    except InsufficientPrivilege:
        return _forbidden(connection)
    return fine("schema", f"version {found.version}")


def _missing(connection: Connection) -> Finding:
    row = connection.execute(_CAN_CREATE).fetchone()
    if row is not None and row[0]:
        return fine("schema", "not there yet; a daemon installs it at its start")
    return fault(
        "schema",
        "not there, and this user may not create it",
        f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {connection.info.user}",
    )


def _forbidden(connection: Connection) -> Finding:
    owner, user = connection.execute(_OWNER).fetchone() or ("its owner", "this user")
    return fault(
        "schema",
        f"belongs to {owner}, and {user} may not use it",
        f"GRANT {owner} TO {user}, or connect as {owner}",
    )


def _room(connection: Connection) -> tuple[int, str]:
    """How many connections there is room for, and which setting says so."""
    row = connection.execute(_ROOM).fetchone()
    server, role, database = row or (0, None, None)
    limits = {
        "max_connections": server,
        "the role's CONNECTION LIMIT": role,
        "the database's CONNECTION LIMIT": database,
    }
    setting = min((s for s in limits if limits[s] is not None), key=lambda s: int(limits[s]))
    return int(limits[setting]), setting


def check_room(needed: int, room: int, setting: str) -> Finding:
    """Compare what a busy daemon may need with what the server has room for."""
    if needed <= room:
        return fine("connections", f"a busy daemon needs up to {needed}, there is room for {room}")
    return warning(
        "connections",
        f"a busy daemon may need {needed}, {setting} leaves room for {room}",
        f"raise {setting} by {needed - room}, take fewer processes, or put PgBouncer in between",
    )


def _check_listen(settings: Settings, dsn: str) -> Finding:
    if settings.listen is False:
        return fine("listen", "off, as configured: jobs are found by polling")
    where = settings.listen if isinstance(settings.listen, str) else dsn
    try:
        with closing(connect.connect(where)) as ear, closing(connect.connect(dsn)) as mouth:
            heard = _hears(ear, mouth)
    except (psycopg.Error, DatabaseError) as error:
        return fault("listen", " ".join(str(error).split()), "correct `listen`")
    if heard:
        return fine("listen", "notifications arrive")
    return warning(
        "listen",
        f"no notification arrived within {HEARING_SECONDS:g} s: a pooler in transaction mode?",
        "`listen:` a direct connection string of the same database, or `listen: false` to poll",
    )


def _hears(ear: Connection, mouth: Connection) -> bool:
    """Whether what one connection says reaches the other; on a channel that nobody else uses."""
    channel = f"taskd_check_{os.getpid()}"
    ear.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    mouth.execute("SELECT pg_notify(%s, 'hello')", (channel,))
    deadline = monotonic() + HEARING_SECONDS
    poll = select.poll()
    poll.register(ear, select.POLLIN)
    while (left := deadline - monotonic()) > 0:
        poll.poll(left * 1000)
        if notify.read_notifications(ear):
            return True
    return False
