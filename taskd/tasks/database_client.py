"""The client of a real database: its pools of connections, opened when first used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from taskd.config.client import ClientSettings
from taskd.config.dsn import mask_dsn
from taskd.errors import ConnectionUnfit, DatabaseRefused, JobUnknown, SchemaMissing
from taskd.store.rows import JobRow, NewGraph, NewJobs

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from taskd.store.connect import Connection
    from taskd.store.job_transaction import CallersConnection
    from taskd.store.jobs import AnyConnection

R = TypeVar("R")

MAX_TRANSACTIONS = 1000
"""Of jobs, each on a connection of its own: as many as a process runs at once, so none waits."""

MAX_CONNECTIONS = 4
"""Of a process; enqueueing holds one for a round trip, so more wait in line for a moment."""


class DatabaseClient:
    """The client of a real database. Thread- and greenlet-safe; not to be taken over a fork."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()  # guards the opening and closing of what follows
        self._pool: ConnectionPool[Connection] | None = None
        self._transactions: ConnectionPool[Connection] | None = None
        self._dsn = ""
        self._is_deaf = False  # no notification comes through: a pooler stands in between
        self._sees_states_only = False  # the tables were refused: the user may only enqueue
        self._held = ExitStack()

    @property
    def max_args(self) -> int:
        """Bytes that the arguments of a job may take."""
        return self._settings.max_args

    def store(self, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        """Store new jobs, all or none; blocks for a round trip a batch. Raises DatabaseError."""
        if not batches:
            return []
        from taskd.store.storing import store_batches

        with self.connection() as connection:
            return store_batches(connection, batches)

    def store_parts(
        self, parts: Iterable[NewJobs], read: Callable[[list[int]], list[R]]
    ) -> list[R]:
        """As `store`; what `read` makes of the ids of each part, one after the other.

        A part is asked for, and the ids of another are read, while the server stores one. What
        that raises comes out as it is, and nothing is stored.
        """
        from taskd.store.storing import store_parts

        with (
            self.connection() as connection,
            connection.transaction(),
            closing(store_parts(connection, parts)) as stored,  # before the transaction ends
        ):
            return [one for ids in stored for one in read(ids)]

    def store_on(
        self, connection: CallersConnection, batches: Sequence[NewJobs | NewGraph]
    ) -> list[int]:
        """Store new jobs in the transaction of a caller's connection.

        What psycopg raises there is the caller's, who knows how to repeat the transaction.
        """
        from taskd.store.storing import store_batches

        return store_batches(psycopg_connection(connection), batches)

    def fetch(self, job_id: int) -> JobRow:
        """One job as it is now. Raises JobUnknown and DatabaseError."""
        rows = self.fetch_many([job_id])
        if not rows:
            raise JobUnknown(job_id, self._where())
        return rows[0]

    def fetch_many(self, job_ids: Sequence[int]) -> list[JobRow]:
        """Jobs as they are now, in this order; unknown ones are left out. Raises DatabaseError.

        A user who may do no more than enqueue sees the states of his own; the rest is unknown.
        """
        from taskd.store.look import fetch_jobs
        from taskd.store.own_jobs import fetch_own_states

        if not self._sees_states_only:
            try:
                with self.connection() as connection:
                    return fetch_jobs(connection, job_ids)
            except DatabaseRefused:
                with self.connection() as connection:
                    rows = fetch_own_states(connection, job_ids)  # else he may not even do that
                self._sees_states_only = True
                return rows
        with self.connection() as connection:
            return fetch_own_states(connection, job_ids)

    def cancel(self, job_ids: Sequence[int]) -> dict[int, str]:
        """Cancel jobs; for each id "cancelled", "cancelling" (it runs), "ended" or "unknown"."""
        from taskd.store.jobs import cancel_jobs

        with self.connection() as connection:
            return cancel_jobs(connection, job_ids)

    def requeue(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Enqueue ended jobs once more; the new id of each that was found ended."""
        from taskd.store.jobs import requeue_jobs

        with self.connection() as connection:
            return requeue_jobs(connection, job_ids)

    def wait_for_end(self, job_id: int, seconds: float) -> None:
        """Return when a job has probably ended, or the time is over; look for yourself then.

        Waits for a notification on a connection of its own, if one arrives there at all.
        """
        from taskd.store.waiters import POLL_SECONDS, wait_for_end

        self._opened()
        listen = self._settings.listen
        if not self._is_deaf and not self._sees_states_only and listen is not False:
            dsn = self._dsn if listen is True else listen
            self._is_deaf = not wait_for_end(dsn, job_id, seconds, self.connection)
        else:
            time.sleep(min(seconds, POLL_SECONDS))

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of the pool until the block ends. Raises DatabaseError."""
        from taskd.store.connect import translate_errors

        with translate_errors(), self._opened().connection() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction that commits with the block; what it raises rolls back."""
        from taskd.store.connect import translate_errors

        with ExitStack() as held:
            with translate_errors():
                connection = held.enter_context(self._opened_for_transactions().connection())
            with connection.transaction():
                yield connection

    @contextmanager
    def all_or_nothing(self, connection: CallersConnection | None) -> Iterator[AnyConnection]:
        """A connection to store on: the caller's, or one of ours; a block that raises undoes it.

        What the block raises comes out as it is, and no more than the block is undone of a
        caller's transaction. Raises ConnectionUnfit and DatabaseError.
        """
        from taskd.store.transactions import own_transaction, part_of_transaction

        if connection is None:
            with own_transaction(self.transaction()) as own:
                yield own
            return
        callers = psycopg_connection(connection)
        with part_of_transaction(callers):
            yield callers

    def find_offer(
        self, name: str, connection: CallersConnection | None
    ) -> Mapping[str, Any] | None:
        """What a daemon has published of a task; asked on the caller's connection if given."""
        from taskd.store.tasks import find_task

        if connection is not None:
            return find_task(psycopg_connection(connection), name)
        with self.connection() as own:
            return find_task(own, name)

    def close(self) -> None:
        """Close the connections; closing twice, or what was never opened, is harmless."""
        with self._lock:
            pools = self._pool, self._transactions
            self._pool = self._transactions = None
            for pool in pools:
                if pool is not None:
                    pool.close(timeout=1.0)
            self._held.close()

    def _opened(self) -> ConnectionPool[Connection]:
        pool = self._pool
        if pool is not None:
            return pool
        with self._lock:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _opened_for_transactions(self) -> ConnectionPool[Connection]:
        """A pool of its own: a job may enqueue, or ask for results, while it holds one of these."""
        from taskd.store import connect

        self._opened()
        with self._lock:
            if self._transactions is None:
                self._transactions = connect.connection_pool(self._dsn, MAX_TRANSACTIONS)
            return self._transactions

    def _open(self) -> ConnectionPool[Connection]:
        from taskd.store import connect, schema

        with ExitStack() as held:
            dsn = self._settings.database or self._start_embedded(held)
            # A pool waits long before it says less: the first failure is told at once.
            with closing(connect.connect(dsn, application_name="taskd client")) as connection:
                try:
                    schema.check_compatible(connection)
                except SchemaMissing:
                    if self._settings.database is not None:
                        raise
                    schema.install_or_upgrade(connection)
            pool = connect.connection_pool(dsn, MAX_CONNECTIONS)
            self._dsn = dsn
            self._held = held.pop_all()
        return pool

    def _start_embedded(self, held: ExitStack) -> str:
        from taskd.store.embedded import ensure_server, hold

        held.callback(hold(self._settings.state_dir).release)
        return ensure_server(self._settings.state_dir).dsn

    def _where(self) -> str:
        if self._settings.database is None:
            return f"the embedded database in {self._settings.state_dir}"
        return mask_dsn(self._settings.database)


def psycopg_connection(connection: object) -> AnyConnection:
    """The caller's connection, maybe out of its job's transaction.

    Raises ConnectionUnfit unless it is an open, synchronous one of psycopg.
    """
    import psycopg

    from taskd.store.job_transaction import JobTransaction

    if isinstance(connection, JobTransaction):
        connection = connection.connection
    if isinstance(connection, psycopg.AsyncConnection):
        raise ConnectionUnfit(
            "connection is an AsyncConnection: enqueue with a psycopg.Connection, or in a thread "
            "without connection, once the transaction has committed"
        )
    if not isinstance(connection, psycopg.Connection):
        kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise ConnectionUnfit(
            f"connection is a {kind}, no psycopg connection: pass the driver's own, such as "
            "django.db.connection.connection, or .connection.driver_connection of SQLAlchemy's"
        )
    if connection.closed:
        raise ConnectionUnfit("connection is closed: open a new one, and enqueue in that")
    return connection
