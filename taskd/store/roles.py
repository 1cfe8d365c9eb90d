"""The roles of PostgreSQL that keep daemons, clients and dashboards apart; see sql/roles.sql."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, LiteralString

import psycopg

from taskd.store.schema import check_compatible


def print_roles() -> str:
    """What `apply_roles` runs, as one script for those who review it or run it by hand."""
    return f"BEGIN;\n{_script()}COMMIT;\n"


def apply_roles(connection: psycopg.Connection[Any]) -> None:
    """Make the three roles and give each what it needs in this database, no more; all or nothing.

    May be called again at any time. The first time it waits for short locks on all tables, at most
    10 s for each. Raises Schema… Missing, TooOld, TooNew or Foreign, and what psycopg raises:
    InsufficientPrivilege unless the user owns the schema and may create roles.
    """
    check_compatible(connection)
    with connection.transaction():
        connection.execute(_script())


def _script() -> LiteralString:
    return files("taskd.store").joinpath("sql", "roles.sql").read_text(encoding="utf-8")
