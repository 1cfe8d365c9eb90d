"""Pausing and resuming queues."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from taskd.store.notify import notify

_PAUSE = """
INSERT INTO taskd.queue AS q (name, paused) VALUES (%s, true)
ON CONFLICT (name) DO UPDATE SET paused = true WHERE NOT q.paused
"""
_RESUME = "UPDATE taskd.queue SET paused = false WHERE name = %s AND paused"


def pause_queue(connection: psycopg.Connection[Any], name: str) -> bool:
    """Let no host claim from a queue any more; what runs goes on. False if it was paused."""
    return _change(connection, _PAUSE, name)


def resume_queue(connection: psycopg.Connection[Any], name: str) -> bool:
    """Let a paused queue be claimed from again. False if it was not paused."""
    return _change(connection, _RESUME, name)


def _change(connection: psycopg.Connection[Any], statement: LiteralString, name: str) -> bool:
    """Change a queue and make all hosts look at once, in one transaction."""
    with connection.transaction():
        changed = connection.execute(statement, (name,)).rowcount > 0
        if changed:
            notify(connection, '"request"')
    return changed
