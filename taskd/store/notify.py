"""Notifications on taskd's channel: sent to all hosts, heard on a direct connection alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from taskd.store.connect import translate_errors


def listen(
    connection: psycopg.Connection[Any], overheard: Callable[[str], None] | None = None
) -> None:
    """Subscribe this connection; a pooler between it and the server loses what comes.

    `overheard` is called with the payloads that arrive while a statement is under way.
    """
    if overheard is not None:
        connection.add_notify_handler(lambda notification: overheard(notification.payload))
    connection.execute("LISTEN taskd")


def notify(connection: psycopg.Connection[Any], payload: str) -> None:
    """Send a notification to all who listen."""
    connection.execute("SELECT pg_notify('taskd', %s)", (payload,))


def read_notifications(connection: psycopg.Connection[Any]) -> list[str]:
    """The payloads that have arrived, in order; never waits.

    Wait for the connection's socket to become readable, then call. Raises DatabaseUnavailable
    when it became so because the connection is gone.
    """
    payloads = []
    with translate_errors():
        connection.pgconn.consume_input()
        while notification := connection.pgconn.notifies():
            payloads.append(notification.extra.decode())
    return payloads
