"""What running daemons offer, by name."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.rows import tuple_row

_FIND = """
SELECT t.description
FROM taskd.task t JOIN taskd.host h ON h.id = t.host AND h.ended_at IS NULL
WHERE t.name = %s
ORDER BY t.published_at DESC
LIMIT 1
"""


def find_task(connection: psycopg.Connection[Any], name: str) -> dict[str, Any] | None:
    """What the youngest code among the living hosts says of a task; None if none offers it."""
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(_FIND, (name,)).fetchone()
    return dict(json.loads(row[0])) if row else None
