"""Opens the database at the start, and keeps the embedded one up."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

from taskd.config.settings import Settings
from taskd.errors import DatabaseError, DatabaseUnavailable
from taskd.events import Events
from taskd.maintenance.events import EmbeddedServerDown
from taskd.maintenance.loop import Backoff, Loop
from taskd.store import schema
from taskd.store.connect import (
    STATEMENT_DEADLINE,
    Connection,
    check_encoding,
    check_isolation,
)
from taskd.store.link import Link
from taskd.tasks.database_client import MAX_CONNECTIONS

if TYPE_CHECKING:
    from taskd.store.embedded import Hold

CONNECTIONS_A_WORKER = 2 + MAX_CONNECTIONS
"""One or, while jobs are tiny, two, and those of what its jobs do through taskd."""
CONNECTIONS_OF_A_DASHBOARD = 6
CONNECTIONS_BESIDE = 20
LEAST_CONNECTIONS = 100
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


class Opening(Protocol):
    """Who is told how the start goes."""

    def enter(self, connection: Connection) -> int:
        """Enter the host, the schema being ready; its id."""

    def waiting(self, error: str) -> None:
        """One try has failed; there will be another."""

    def ready(self, host: int, notes: tuple[str, ...]) -> None:
        """The database is open."""

    def failed(self, error: str) -> None:
        """Trying again cannot help."""


class Database:
    """The database of this daemon: opened once, in a thread, with as many tries as it takes.

    `is_known_good`: the daemon has used it before, so a refusal now is taken for a passing one.
    """

    def __init__(
        self, settings: Settings, opening: Opening, events: Events, is_known_good: bool
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._events = events
        self._is_known_good = is_known_good
        self._hold: Hold | None = None
        self._dsn = settings.database
        self._notes: tuple[str, ...] = ()
        self._is_open = self._is_over = False
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._link = Link(self.dsn, "start", STATEMENT_DEADLINE)
        self._loop = Loop(self._link, self.step, events)

    def dsn(self) -> str | None:
        """Where the database is; None while that is not known."""
        return self._dsn

    def start(self) -> None:
        """Begin to open it."""
        self._loop.start()

    def give_up(self) -> None:
        """Try no more; waits a second for a try under way, so that it has entered a host or not."""
        self._is_over = True
        self._loop.stop(1.0)

    def stop(self) -> None:
        """Try no more, and let go. An embedded server stays up while others use it."""
        self.give_up()
        if self._hold is not None:
            self._hold.release()

    def revive(self) -> None:
        """The database does not answer: if it is the embedded one, see to it that it runs."""
        if self._is_open and self._settings.database is None:
            self._loop.hurry()

    def step(self) -> float:
        """Try once to open the database, or see to an embedded server that does not answer."""
        if self._is_over:
            return inf
        return self._revive() if self._is_open else self._open()

    def _open(self) -> float:
        try:
            host = self._enter()
        except DatabaseUnavailable as error:
            return self._wait(error)
        except DatabaseError as error:
            return self._wait(error) if self._is_known_good else self._fail(str(error))
        except Exception as error:  # a border: what no try again would mend ends the start
            return self._fail(f"{type(error).__name__}: {' '.join(str(error).split())}")
        if host is not None:
            self._is_open = True
            self._opening.ready(host, self._notes)
        return inf

    def _enter(self) -> int | None:
        """The id of this host; None if it is to stop before it has entered."""
        if self._settings.database is None:
            self._ensure_server()
        try:
            with self._link.connection() as connection:
                check_encoding(connection)  # before anything is read: SQL_ASCII gives bytes
                check_isolation(connection)
                schema.install_or_upgrade(connection)
                return None if self._is_over else self._opening.enter(connection)
        finally:
            self._link.close()

    def _wait(self, error: Exception) -> float:
        pause = self._backoff.next()
        self._opening.waiting(f"{error} (the next try in {pause:.1f} s)")
        return pause

    def _fail(self, error: str) -> float:
        self._is_over = True
        self._opening.failed(error)
        return inf

    def _revive(self) -> float:
        try:
            self._ensure_server()
        except Exception as error:  # a border: the next beat that fails tries again
            self._events.emit(EmbeddedServerDown(" ".join(str(error).split())))
            return self._backoff.next()
        self._backoff.reset()
        return inf

    def _ensure_server(self) -> None:
        """Start the embedded server unless it runs; blocks up to a minute."""
        from taskd.store import embedded  # only who has no database of his own pays for it

        folder = self._settings.state_dir
        if self._hold is None:
            self._hold = embedded.hold(folder)
        server = embedded.ensure_server(folder, max_connections=connections_for(self._settings))
        self._dsn = server.dsn
        where = f"PostgreSQL {server.version} (embedded), its data is in {server.data_dir}"
        self._notes = (where, *server.notes)


def connections_for(settings: Settings) -> int:
    """How many connections the embedded server must allow for this configuration."""
    workers = sum(pool.processes for pool in settings.pools.values())
    beside = CONNECTIONS_BESIDE + dashboard_connections(settings)
    return max(LEAST_CONNECTIONS, CONNECTIONS_A_WORKER * workers + beside)


def dashboard_connections(settings: Settings) -> int:
    """How many connections the daemon's dashboard opens at most."""
    return 0 if settings.dashboard.listen is None else CONNECTIONS_OF_A_DASHBOARD
