"""Waiting for the end of a job: by notification where one arrives, else by looking again.

    register as a waiter ─► the end of the job notifies ─► look
    no notification arrives (a pooler stands in between) ─► say so: the caller looks again and again

Completions notify only jobs that somebody waits for.
"""

from __future__ import annotations

import select
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, closing

from taskd.clock import monotonic
from taskd.store.connect import Connection, connect, translate_errors
from taskd.store.notify import read_notifications

PROOF_SECONDS = 0.5
"""A notification that takes longer does not arrive: a pooler lets none through."""

LOOK_SECONDS = 5.0
"""After this we look in any case: a notification may have been lost."""

LONGEST_SECONDS = 55.0
POLL_SECONDS = 0.25

Connect = Callable[[], AbstractContextManager[Connection]]

_WAIT = "INSERT INTO taskd.waiter VALUES (%s, %s, now() + interval '1 minute')"
_WAIT_NO_MORE = "DELETE FROM taskd.waiter WHERE job = %s AND token = %s"


def wait_for_end(dsn: str, job: int, seconds: float, other: Connect) -> bool:
    """Block until the job has ended, as far as can be told, or `seconds` are over.

    It may return early: look, and call it again. False: no notification sent on the connection that
    `other` gives arrives here, so there is no point in waiting for one. Raises DatabaseError.
    """
    deadline = monotonic() + min(seconds, LONGEST_SECONDS)
    with closing(connect(dsn, application_name="taskd waits")) as connection, translate_errors():
        ear = _Ear(connection)
        with other() as sender:
            sender.execute("SELECT pg_notify('taskd_ended', %s)", (ear.token,))
        if not ear.hears(monotonic() + PROOF_SECONDS):
            return False
        connection.execute(_WAIT, (job, ear.token))
        while monotonic() < deadline and not _has_ended(connection, job):
            if ear.hears(min(deadline, monotonic() + LOOK_SECONDS)):
                break
        connection.execute(_WAIT_NO_MORE, (job, ear.token))
    return True


def _has_ended(connection: Connection, job: int) -> bool:
    """Whether it ended, perhaps before anybody could know that we wait."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM taskd.history WHERE id = %s)", (job,)
    ).fetchone()
    return bool(row and row[0])


class _Ear:
    """Hears one token. What arrives together with a result, psycopg hands to the handler."""

    def __init__(self, connection: Connection) -> None:
        self.token = uuid.uuid4().hex
        self._connection = connection
        self._heard: list[str] = []
        connection.add_notify_handler(lambda notify: self._heard.append(notify.payload))
        connection.execute("LISTEN taskd_ended")

    def hears(self, deadline: float) -> bool:
        """Whether the token is notified before the deadline."""
        while True:
            self._heard += read_notifications(self._connection)
            heard, self._heard = self._heard, []
            if self.token in heard:
                return True
            left = deadline - monotonic()
            if left <= 0:
                return False
            _wait_for_socket(self._connection, left)


def _wait_for_socket(connection: Connection, seconds: float) -> None:
    """Wait until the server has something to say."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    poll.poll(max(seconds, 0.0) * 1000)
