"""Logging in as members of taskd's roles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from psycopg import sql
from psycopg.conninfo import make_conninfo

from taskd.store import connect, roles
from taskd.store.connect import Connection

DAEMON, WEB, OTHER, BOARD, STRANGER = "shop_daemon", "shop_web", "shop_mail", "shop_board", "shop_x"
MEMBERS = {
    DAEMON: "taskd_daemon",
    WEB: "taskd_enqueuer",
    OTHER: "taskd_enqueuer",
    BOARD: "taskd_reader",
    STRANGER: None,
}


def make_logins(connection: Connection) -> None:
    """Apply the roles to this database, and let members of them log in to its server."""
    roles.apply_roles(connection)
    for name, role in MEMBERS.items():
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if role is not None:
            grant = sql.SQL("GRANT {} TO {}")
            connection.execute(grant.format(sql.Identifier(role), sql.Identifier(name)))


def dsn_of(dsn: str, name: str) -> str:
    """The same database for another user."""
    return make_conninfo(dsn, user=name)


@contextmanager
def logged_in(dsn: str, name: str) -> Iterator[Connection]:
    """A connection of another user."""
    with closing(connect.connect(dsn_of(dsn, name))) as connection:
        yield connection
