"""A pool of connections that is there again as soon as the server is.

psycopg_pool waits longer and longer between its tries, up to minutes, also when a server is long
back; and whoever meets idle connections that an outage has cut waits a second at the first, two at
the next. Here each caller who waits has it tried anew, and dead connections cost no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from taskd.clock import monotonic
from taskd.store.connect import Connection, check_connection

TRY_SECONDS = 1.0
"""How long a caller waits before he has a new connection tried …"""

GIVE_UP_SECONDS = 0.4
"""… and when the pool gives a try up, so that it does not count as one that is under way."""


class PatientPool(ConnectionPool[Connection]):
    """Connections that are opened when first needed, and checked before they are given out."""

    def __init__(self, dsn: str, max_size: int, kwargs: dict[str, Any]) -> None:
        super().__init__(
            dsn,
            connection_class=Connection,
            kwargs=kwargs,
            min_size=0,
            max_size=max_size,
            max_idle=60.0,
            timeout=30.0,
            reconnect_timeout=GIVE_UP_SECONDS,
            open=True,
            name="taskd",
        )

    def getconn(self, timeout: float | None = None) -> Connection:
        """A living connection; waits `timeout` seconds (30) for one, also through an outage.

        Raises PoolTimeout, which is an OperationalError.
        """
        seconds = self.timeout if timeout is None else timeout
        deadline = monotonic() + seconds
        while (left := deadline - monotonic()) > 0:
            try:
                connection = super().getconn(min(left, TRY_SECONDS))
            except PoolTimeout:
                self._forget_who_gave_up()
                continue
            if self._is_sound(connection):
                return connection
        raise PoolTimeout(f"couldn't get a connection after {seconds:.2f} sec")

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[Connection]:
        """A connection until the block ends; waits as `getconn` does.

        There is nothing to commit or to roll back: they are in autocommit, and a block of
        `transaction` ends itself.
        """
        connection = self.getconn(timeout)
        try:
            yield connection
        finally:
            self.putconn(connection)

    def _is_sound(self, connection: Connection) -> bool:
        """Whether it lives; a dead one goes back, to be replaced."""
        try:
            check_connection(connection)
        except psycopg.OperationalError:
            self.putconn(connection)
            return False
        except BaseException:  # a job that is interrupted here; what it was given is no loss
            self.putconn(connection)
            raise
        return True

    def _forget_who_gave_up(self) -> None:
        """Keep the line short; the pool itself only tidies it when it has a connection to give."""
        with self._lock:
            while self._waiting and self._waiting[0].error:
                self._waiting.popleft()
