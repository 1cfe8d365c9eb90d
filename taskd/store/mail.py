"""The dispatcher of dependencies and resources."""

from __future__ import annotations

from typing import Any

import psycopg

LETTERS, ROUNDS, ARRIVALS = 100, 10, 500

BUSY = -1
"""Somebody else is at it."""

UNSETTLED = -2
"""Some letters cannot be settled yet: a transaction that is open moves the jobs they are about."""


def dispatch(connection: psycopg.Connection[Any]) -> int:
    """Work off waiting letters, in a transaction of its own; how many, or BUSY, or UNSETTLED."""
    row = connection.execute(
        "SELECT taskd.dispatch_v1(%s, %s, %s)", (LETTERS, ROUNDS, ARRIVALS)
    ).fetchone()
    return int(row[0]) if row else 0
