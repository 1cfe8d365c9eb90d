"""Waiting for the end of a job: by notification where one arrives, else by looking again.

    register as a waiter ─► the end of the job notifies ─► look
    no LISTEN gets through (a pooler in between) ─► return soon, so that the caller looks again

Completions notify only jobs that somebody waits for.
"""

from __future__ import annotations

import select
import uuid
from contextlib import closing

from taskd.clock import monotonic
from taskd.store.connect import Connection, connect, translate_errors
from taskd.store.notify import read_notifications

PROOF_SECONDS = 0.5
"""A notification that takes longer does not arrive: a pooler lets none through."""

LOOK_SECONDS = 5.0
"""After this we look in any case: a notification may have been lost."""

LONGEST_SECONDS = 55.0
POLL_SECONDS = 0.25

_WAIT = "INSERT INTO taskd.waiter VALUES (%s, %s, now() + interval '1 minute')"
_WAIT_NO_MORE = "DELETE FROM taskd.waiter WHERE job = %s AND token = %s"


def wait_for_end(dsn: str, job: int, seconds: float) -> None:
    """Block until the job has ended, as far as can be told, or `seconds` are over.

    It may return early: look, and call it again. Raises DatabaseError.
    """
    deadline = monotonic() + min(seconds, LONGEST_SECONDS)
    token = uuid.uuid4().hex
    with closing(connect(dsn, application_name="taskd waits")) as connection, translate_errors():
        connection.execute("LISTEN taskd_ended")
        connection.execute("SELECT pg_notify('taskd_ended', %s)", (token,))
        if not _hears(connection, token, min(deadline, monotonic() + PROOF_SECONDS)):
            _sleep(connection, min(POLL_SECONDS, deadline - monotonic()))
            return
        connection.execute(_WAIT, (job, token))
        while monotonic() < deadline and not _has_ended(connection, job):
            if _hears(connection, token, min(deadline, monotonic() + LOOK_SECONDS)):
                break
        connection.execute(_WAIT_NO_MORE, (job, token))


def _has_ended(connection: Connection, job: int) -> bool:
    """Whether it ended, perhaps before anybody could know that we wait."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM taskd.history WHERE id = %s)", (job,)
    ).fetchone()
    return bool(row and row[0])


def _hears(connection: Connection, token: str, deadline: float) -> bool:
    """Whether the token is notified before the deadline."""
    while True:
        if token in read_notifications(connection):
            return True
        left = deadline - monotonic()
        if left <= 0:
            return False
        _sleep(connection, left)


def _sleep(connection: Connection, seconds: float) -> None:
    """Wait until the server has something to say."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    poll.poll(max(seconds, 0.0) * 1000)
