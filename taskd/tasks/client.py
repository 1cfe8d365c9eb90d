"""Which database this process enqueues into, and what is asked of it.

What `configure` was given goes first, then TASKD_DATABASE, then the configuration file, then the
embedded server in the state directory. Nothing is read or opened before it is needed.

The client of a process is module-level mutable state, as the registry is: `fetch.enqueue(…)` has
nobody to get it from. A forked child starts without one: a connection cannot be shared.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from taskd.config.client import client_settings
from taskd.config.dsn import check_dsn, mask_dsn
from taskd.errors import OptionInvalid
from taskd.store.rows import JobRow, NewGraph, NewJobs
from taskd.tasks.database_client import DatabaseClient

if TYPE_CHECKING:
    from taskd.store.connect import Connection
    from taskd.store.job_transaction import CallersConnection
    from taskd.store.jobs import AnyConnection

R = TypeVar("R")


class Client(Protocol):
    """What tasks and job handles ask of the store."""

    @property
    def max_args(self) -> int:
        """Bytes that the arguments of a job may take."""

    def store(self, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        """Store new jobs, all or none; their ids in order. Raises DatabaseError."""

    def store_parts(
        self, parts: Iterable[NewJobs], read: Callable[[list[int]], list[R]]
    ) -> list[R]:
        """As `store`; what `read` makes of the ids of each part, one after the other.

        A part is asked for, and the ids of another are read, while one is being stored. What that
        raises comes out as it is, and nothing is stored.
        """

    def store_on(
        self, connection: CallersConnection, batches: Sequence[NewJobs | NewGraph]
    ) -> list[int]:
        """Store new jobs in the transaction of a caller's connection; their ids in order."""

    def fetch(self, job_id: int) -> JobRow:
        """One job as it is now. Raises JobUnknown and DatabaseError."""

    def fetch_many(self, job_ids: Sequence[int]) -> list[JobRow]:
        """Jobs as they are now, in this order; unknown ones are left out."""

    def cancel(self, job_ids: Sequence[int]) -> dict[int, str]:
        """Cancel jobs; for each id "cancelled", "cancelling" (it runs), "ended" or "unknown"."""

    def requeue(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Enqueue ended jobs once more; the new id of each that was found ended."""

    def wait_for_end(self, job_id: int, seconds: float) -> None:
        """Return when a job has probably ended, or the time is over; look for yourself then."""

    def connection(self) -> AbstractContextManager[Connection]:
        """A connection of the pool until the block ends. Raises DatabaseError."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction that commits with the block."""

    def all_or_nothing(
        self, connection: CallersConnection | None
    ) -> AbstractContextManager[AnyConnection]:
        """A connection to store on: the caller's, or one of ours; a block that raises undoes it."""

    def find_offer(
        self, name: str, connection: CallersConnection | None
    ) -> Mapping[str, Any] | None:
        """What a daemon has published of a task, as `publish` describes it; None if none has."""

    def close(self) -> None:
        """Let go of the connections; closing twice is harmless."""


class ProcessClient:
    """The client that this process uses, made when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the other fields
        self._client: Client | None = None
        self._make: Callable[[], Client] = _from_environment
        self._abandoned: list[Client] = []

    @property
    def maker(self) -> Callable[[], Client]:
        """What makes the client when it is first needed."""
        return self._make

    def get(self) -> Client:
        """The client; raises ConfigurationInvalid if the settings cannot be used."""
        client = self._client
        if client is not None:
            return client
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def replace(self, make: Callable[[], Client]) -> None:
        """Close the client, if there is one, and make the next one so."""
        with self._lock:
            client, self._client = self._client, None
            self._make = make
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close the client; a later use opens a new one."""
        self.replace(self._make)

    def forget(self) -> None:
        """Start anew in a forked child.

        The parent's client is kept, unused: closing it would end the parent's connections, and
        another thread of the parent may have held the lock.
        """
        self._lock = threading.Lock()
        if self._client is not None:
            self._abandoned.append(self._client)
            self._client = None


def configure(
    *, database: str | None = None, state_dir: str | None = None, max_args: int | None = None
) -> None:
    """Say which database this process enqueues into; what is left out is resolved as ever.

    `database` is a PostgreSQL connection string, `state_dir` the folder of the embedded server,
    `max_args` the bytes that the arguments of one job may take. Opens nothing yet; closes what was
    open. Raises OptionInvalid.
    """
    given: dict[str, Any] = {}
    if database is not None:
        given["database"] = _checked_database(database)
    if state_dir is not None:
        given["state_dir"] = os.path.abspath(state_dir)
    if max_args is not None:
        if isinstance(max_args, bool) or not isinstance(max_args, int) or max_args < 1:
            raise OptionInvalid("max_args", max_args, "is not a number of bytes above 0")
        given["max_args"] = max_args
    _process.replace(lambda: _from_environment(**given))


def _checked_database(database: object) -> str:
    if not isinstance(database, str):
        raise OptionInvalid("database", database, "is no text: give a connection string")
    try:
        return check_dsn(database)
    except ValueError as error:
        raise OptionInvalid("database", mask_dsn(database), str(error)) from None


def _from_environment(**given: Any) -> Client:
    environ: dict[str, str] = dict(os.environ)
    if "database" in given:
        environ["TASKD_DATABASE"] = given["database"]  # then no file is looked for
    return DatabaseClient(replace(client_settings(environ), **given))


def default_client() -> Client:
    """The client of this process. Raises ConfigurationInvalid if its settings cannot be used."""
    return _process.get()


def use_client(make: Callable[[], Client]) -> None:
    """Let this process use a client of another kind from now on; for tests."""
    _process.replace(make)


@contextmanager
def with_client(client: Client) -> Iterator[None]:
    """Let this process use another client until the block ends, and then one as before."""
    before = _process.maker
    _process.replace(lambda: client)
    try:
        yield
    finally:
        _process.replace(before)


_process = ProcessClient()
os.register_at_fork(after_in_child=_process.forget)
atexit.register(_process.close)
