"""A connection that comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskd.clock import monotonic
from taskd.errors import DatabaseUnavailable, StatementTimedOut
from taskd.store.connect import Connection, connect, translate_errors

NOTICE_SECONDS = 10.0
"""A statement that got no answer for so long is taken for one of a dead connection …"""

LONGEST_SECONDS = 80.0
"""… and the next may take twice as long, up to this: perhaps it is the server that is slow."""

PATIENT_SECONDS = 120.0
"""For so long after the last that was too slow."""


class Link:
    """The connection of one thread or greenlet: opened when it is needed, replaced after it failed.

    `dsn` may be asked for at each opening; None: it is not known yet. The server shows `name` with
    "taskd" before it. Each statement gets `deadline` seconds.

    Without `deadline` it gets ten: nobody tells of a connection whose other side is gone. After one
    that was too slow those of the next two minutes get twice that, so that a server that needs
    longer is not asked the same thing in vain for ever, whatever else it answers in between.
    """

    def __init__(
        self,
        dsn: str | Callable[[], str | None],
        name: str,
        deadline: float | None = None,
    ) -> None:
        self.name = name
        self._dsn = dsn
        self._usual_deadline = self._deadline = NOTICE_SECONDS if deadline is None else deadline
        self._longest_deadline = LONGEST_SECONDS if deadline is None else deadline
        self._slow_at = -PATIENT_SECONDS
        self._connection: Connection | None = None
        self._users = 0

    @property
    def is_open(self) -> bool:
        """Whether the server holds a connection for us."""
        return self._connection is not None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection, opened if need be; whatever the block raises closes it.

        Raises DatabaseUnavailable, also for what happens inside the block, and DatabaseRefused.
        """
        self._users += 1
        try:
            with translate_errors():
                connection = self._open()
                yield connection
        except StatementTimedOut:
            self._deadline = min(self._deadline * 2, self._longest_deadline)
            self._slow_at = monotonic()
            self.close()
            raise
        except BaseException:
            self.close()
            raise
        else:
            if self._deadline > self._usual_deadline and self._has_calmed_down():
                self._deadline = connection.deadline = self._usual_deadline
        finally:
            self._users -= 1

    def _open(self) -> Connection:
        if self._connection is None:
            dsn = self._dsn if isinstance(self._dsn, str) else self._dsn()
            if dsn is None:
                raise DatabaseUnavailable("the database is not open yet")
            self._connection = connect(
                dsn, application_name=f"taskd {self.name}", deadline=self._deadline
            )
        return self._connection

    def _has_calmed_down(self) -> bool:
        return monotonic() - self._slow_at > PATIENT_SECONDS

    def close(self) -> None:
        """Close the connection; the next use opens another. Closing twice is harmless."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def give_back(self) -> None:
        """Close the connection unless somebody uses it right now."""
        if not self._users:
            self.close()
