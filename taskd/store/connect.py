"""Connections as taskd needs them: each statement has a deadline, errors are ours.

They work through PgBouncer in transaction mode and RDS Proxy: autocommit, no session state, and
nothing prepared on the server unless that is known to be at the other end (prepared.py).
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

from taskd.config.dsn import mask_dsn
from taskd.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    EncodingUnusable,
    StatementTimedOut,
)

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

Result = TypeVar("Result")

CONNECT_TIMEOUT = 10
STATEMENT_DEADLINE = 30.0

_SETTINGS = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

# What a server says when it is the server that is in trouble: class 08 connection, 57 operator
# intervention (restart, termination), 53 resources (disk full, too many connections).
UNAVAILABLE = (
    pg.OperationalError,
    pg.InterfaceError,
    pg.ReadOnlySqlTransaction,
    pg.LockNotAvailable,
    pg.DeadlockDetected,
    pg.SerializationFailure,
)
_REFUSALS = {
    "28000": "the server refuses this user: check the user name and pg_hba.conf",
    "28P01": "the password is wrong",
    "3D000": "the database does not exist: create it, or correct its name",
}


class Waiter(Protocol):
    """Drives a psycopg generator until it is done, waiting for its socket in between."""

    def __call__(self, gen: PQGen[Result], fileno: int, timeout: float) -> Result:
        """Return what `gen` returns; raise TimeoutError after `timeout` seconds."""


class Connection(psycopg.Connection[TupleRow]):
    """A psycopg connection whose statements cannot hang.

    After `deadline` seconds without an answer it closes itself and raises StatementTimedOut: a
    black-holed network answers nothing, and keepalives do not see it while data is under way.
    Under gevent, `waiter` is the one that waits on the hub; otherwise psycopg's own.
    """

    deadline: float = STATEMENT_DEADLINE
    waiter: Waiter | None = None
    can_prepare: bool | None = None
    """Whether statements can be prepared here; None: not known yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: dict[bytes, int] = {}  # by what they are prepared as

    def wait(
        self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None
    ) -> Result:
        """Drive one statement to its end, at most `deadline` seconds."""
        limit = self.deadline if timeout is None else timeout
        try:
            if self.waiter is not None:
                return self.waiter(gen, self.pgconn.socket, limit)
            return super().wait(gen, interval, limit)
        except (TimeoutError, pg._WaitTimeout) as late:
            self.pgconn.finish()
            raise StatementTimedOut(limit) from late

    @classmethod
    def open(cls, dsn: str, application_name: str, deadline: float) -> Self:
        """Connect; raises what psycopg raises."""
        connection = cls.connect(
            dsn,
            autocommit=True,
            prepare_threshold=None,
            **{**_SETTINGS, **_given(dsn), "application_name": application_name},
        )
        connection.deadline = deadline
        return connection


def _given(dsn: str) -> dict[str, Any]:
    """What the DSN itself sets of our settings: the user's word goes before ours."""
    named = psycopg.conninfo.conninfo_to_dict(dsn)
    return {key: value for key, value in named.items() if key in _SETTINGS and value is not None}


def connect(
    dsn: str, *, application_name: str = "taskd", deadline: float = STATEMENT_DEADLINE
) -> Connection:
    """Open a connection; blocks at most 10 seconds a host.

    Raises DatabaseRefused when trying again cannot help (wrong password, missing database) and
    DatabaseUnavailable when it may.
    """
    try:
        return Connection.open(dsn, application_name, deadline)
    except psycopg.Error as error:
        raise _connect_error(dsn, error) from error


def learn_parameters() -> None:
    """Let psycopg find out what it finds out for its first connection, and keeps; opens nothing."""
    # A folder, so no name is looked up; what is given, no variable such as PGPORT can spoil. A
    # psycopg that does this in another way finds it out later.
    with suppress(AttributeError, TypeError, psycopg.Error):
        psycopg.conninfo.conninfo_attempts({"host": "/", "hostaddr": "", "port": ""})
        psycopg.conninfo.make_conninfo(host="/")


def _connect_error(dsn: str, error: psycopg.Error) -> DatabaseRefused | DatabaseUnavailable:
    where = mask_dsn(dsn)
    text = " ".join(str(error).split())
    # libpq gives no SQLSTATE for a refused connection attempt, only the server's sentence.
    for state, sentence in _REFUSALS.items():
        if error.sqlstate == state:
            return DatabaseRefused(f"{where}: {sentence} ({text})")
    if "no password supplied" in text:
        sentence = "the server asks for a password, and none is given: put it into the database"
        return DatabaseRefused(f"{where}: {sentence} setting, PGPASSWORD or ~/.pgpass ({text})")
    if "password authentication failed" in text:
        return DatabaseRefused(f"{where}: {_REFUSALS['28P01']} ({text})")
    if "database " in text and "does not exist" in text:
        return DatabaseRefused(f"{where}: {_REFUSALS['3D000']} ({text})")
    if ("role " in text and "does not exist" in text) or "no pg_hba.conf entry" in text:
        return DatabaseRefused(f"{where}: {_REFUSALS['28000']} ({text})")
    if isinstance(error, psycopg.ProgrammingError):
        return DatabaseRefused(f"{where}: the database setting cannot be used ({text})")
    return DatabaseUnavailable(f"{where}: {text}")


def check_isolation(connection: psycopg.Connection[Any]) -> None:
    """Raise DatabaseRefused unless transactions are READ COMMITTED when nobody says otherwise.

    A rescue waits for a claim under way and must then see what it has claimed: an older snapshot
    would leave those jobs behind.
    """
    row = connection.execute("SHOW default_transaction_isolation").fetchone()
    if row is not None and row[0] != "read committed":
        raise DatabaseRefused(
            f"default_transaction_isolation is {row[0]!r} for this user: ALTER ROLE "
            f"{connection.info.user} SET default_transaction_isolation = 'read committed'"
        )


def check_encoding(connection: psycopg.Connection[Any]) -> None:
    """Raise EncodingUnusable unless the database's encoding is UTF8; costs no round trip."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding is not None and encoding != "UTF8":
        raise EncodingUnusable(connection.info.dbname, encoding)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn psycopg's "not now" errors into DatabaseUnavailable; let others through.

    A deadlock, a serialization failure and a lock that is not to be had are "not now" as well:
    everything taskd sends may be sent again. A missing privilege becomes DatabaseRefused.
    """
    try:
        yield
    except UNAVAILABLE as error:
        raise DatabaseUnavailable(" ".join(str(error).split())) from error
    except pg.InsufficientPrivilege as error:
        words = " ".join(str(error).split())
        raise DatabaseRefused(f"{words} (`taskd check` names the GRANT that is missing)") from error


def connection_pool(dsn: str, max_size: int) -> ConnectionPool[Connection]:
    """A pool of at most `max_size` connections, opened when first needed, thread-safe."""
    from taskd.store.pooled import PatientPool  # half a megabyte that only clients need

    kwargs = {
        "autocommit": True,
        "prepare_threshold": None,
        **_SETTINGS,
        **_given(dsn),
        "application_name": "taskd client",
    }
    return PatientPool(dsn, max_size, kwargs)


def check_connection(connection: psycopg.Connection[Any]) -> None:
    """Close an idle connection and raise OperationalError if it is dead; costs no round trip.

    An idle connection has nothing to read: if its socket is readable, the server has said
    goodbye or the connection is cut.
    """
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):
        connection.close()  # or a pool would take it for sound, and offer it again
        raise psycopg.OperationalError("the idle connection was closed by the server")
