"""A connection that one thread waits at, and another uses now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskd.errors import DatabaseUnavailable
from taskd.store.connect import Connection, translate_errors
from taskd.store.link import Link


class SharedLink(Link):
    """The link of one thread, who lends its connection for short statements of others.

    `lock` is held meanwhile. The owner takes it for whatever it does with libpq itself, which
    knows of no threads.
    """

    def __init__(
        self,
        dsn: str | Callable[[], str | None],
        name: str,
        deadline: float | None = None,
    ) -> None:
        super().__init__(dsn, name, deadline)
        self.lock = threading.RLock()

    @property
    def is_lendable(self) -> bool:
        """Whether there is a connection, sound as far as is known; nobody else opens one."""
        connection = self._connection
        return connection is not None and not connection.closed

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """The connection, for another thread; what the block raises closes it.

        Raises DatabaseUnavailable, also if there is none any more.
        """
        with self.lock:
            connection = self._connection
            if connection is None:
                raise DatabaseUnavailable("the connection was closed meanwhile")
            try:
                with translate_errors():
                    yield connection
            except BaseException:
                connection.close()  # its owner finds out, and opens another
                raise

    def close(self) -> None:
        """Close the connection, not while it is lent."""
        with self.lock:
            super().close()
