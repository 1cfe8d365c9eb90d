"""A connection that comes and goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskd.errors import DatabaseUnavailable
from taskd.store.connect import STATEMENT_DEADLINE, Connection, connect, translate_errors


class Link:
    """The connection of one thread or greenlet: opened when it is needed, replaced after it failed.

    `dsn` may be asked for at each opening; None: it is not known yet. The server shows `name` with
    "taskd" before it. Each statement gets `deadline` seconds.
    """

    def __init__(
        self,
        dsn: str | Callable[[], str | None],
        name: str,
        deadline: float = STATEMENT_DEADLINE,
    ) -> None:
        self.name = name
        self._dsn = dsn
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

        Raises DatabaseUnavailable, also for what happens inside the block, and DatabaseRefused.
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
            dsn = self._dsn if isinstance(self._dsn, str) else self._dsn()
            if dsn is None:
                raise DatabaseUnavailable("the database is not open yet")
            self._connection = connect(
                dsn, application_name=f"taskd {self.name}", deadline=self._deadline
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
