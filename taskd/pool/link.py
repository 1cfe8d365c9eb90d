"""A worker's connection to the database, which comes and goes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.pool.events import DatabaseAnswersAgain, DatabaseDoesNotAnswer
from taskd.store.connect import STATEMENT_DEADLINE, Connection, connect, translate_errors

PATIENCE_SECONDS = 5.0
"""An outage that lasts longer is told by the worker; maintenance tells of it at once."""


KEEP_SECONDS = 60.0
"""A worker gives its connections back when it had nothing to do for so long."""


class Link:
    """One connection: opened when it is needed, replaced after it failed."""

    def __init__(self, dsn: str, name: str, deadline: float = STATEMENT_DEADLINE) -> None:
        self._dsn = dsn
        self._name = name
        self._deadline = deadline
        self._connection: Connection | None = None
        self._users = 0

    @property
    def is_open(self) -> bool:
        """Whether the server holds a connection for us."""
        return self._connection is not None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection, opened if need be; whatever the block raises closes it.

        Raises DatabaseUnavailable, or DatabaseRefused when opening it.
        """
        self._users += 1
        try:
            with translate_errors():
                yield self._open()
        except BaseException:
            self.close()
            raise
        finally:
            self._users -= 1

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = connect(
                self._dsn, application_name=self._name, deadline=self._deadline
            )
        return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another. Closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def give_back(self) -> None:
        """Close the connection unless somebody uses it right now."""
        if not self._users:
            self.close()


class Outage:
    """How long the database has failed one loop, and how long that loop should pause."""

    FIRST, LAST = 0.05, 5.0

    def __init__(self, name: str, events: Events) -> None:
        self._name = name
        self._events = events
        self._pause = self.FIRST
        self._since: float | None = None
        self._told = False

    def failed(self, error: DatabaseError) -> float:
        """Note a failure; the seconds to pause, growing and a little random."""
        now = monotonic()
        if self._since is None:
            self._since = now
        if not self._told and now - self._since >= PATIENCE_SECONDS:
            self._told = True
            self._events.emit(DatabaseDoesNotAnswer(self._name, str(error)))
        pause, self._pause = self._pause, min(self._pause * 2, self.LAST)
        return pause * random.uniform(0.8, 1.2)

    def over(self) -> None:
        """Note that the database answered."""
        if self._since is None:
            return
        if self._told:
            self._events.emit(DatabaseAnswersAgain(self._name, monotonic() - self._since))
        self._since, self._told, self._pause = None, False, self.FIRST
