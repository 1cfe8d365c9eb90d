"""Who has ordered what: the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

AnyConnection = psycopg.Connection[Any]

NOTED_IDS = 100
"""Of a long list of ids so many are noted."""

_WRITE = """
INSERT INTO taskd.audit_log (role, address, action, parameters, count)
VALUES (%s, %s, %s, %s::jsonb, %s)
"""
_LIST = """
SELECT a.id, a.at, a.role, a.address, a.action, a.parameters, a.count
FROM taskd.audit_log a
WHERE %(before)s::bigint IS NULL OR a.id < %(before)s
ORDER BY a.id DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """An order: when, by whom, what, and how many jobs or other things it has changed.

    role: operator, reader (who signs in), or cli; address: from where, or of cli the user and host.
    """

    id: int
    at: datetime
    role: str
    address: str
    action: str
    parameters: dict[str, Any]
    count: int


def write_audit(
    connection: AnyConnection,
    who: tuple[str, str],
    action: str,
    parameters: Mapping[str, Any],
    count: int,
) -> None:
    """Note an order, in the transaction that carries it out. `who`: role and address."""
    connection.execute(_WRITE, (*who, action, json.dumps(parameters), count))


def list_audit(connection: AnyConnection, before: int | None, limit: int) -> list[AuditRow]:
    """At most `limit` orders, newest first; only those before an id, if one is given."""
    with connection.cursor(row_factory=class_row(AuditRow)) as cursor:
        return cursor.execute(_LIST, {"before": before, "limit": limit}).fetchall()


def prune_audit(connection: AnyConnection, keep_seconds: float) -> int:
    """Forget orders that are older; how many."""
    return connection.execute(
        "DELETE FROM taskd.audit_log a WHERE a.at < now() - %s * interval '1 second'",
        (keep_seconds,),
    ).rowcount
