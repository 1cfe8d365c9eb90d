"""The embedded server as its users see it: `ensure_server`."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from taskd.errors import EmbeddedServerFailed, EmbeddedServerNotReady
from taskd.store.embedded import binaries, locks, logfile, probe
from taskd.store.embedded.cluster import SUPERUSER
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.orders import ADOPTED, READY, Orders
from taskd.store.embedded.spawn import KeeperStart
from taskd.store.embedded.status import State, Status, read_status
from taskd.store.embedded.users import has_other_users, hold

START_SECONDS = 60.0
GRACE_SECONDS = 10.0
GRACE_VARIABLE = "TASKD_KEEPER_GRACE"
_PAUSE = 0.02
_SILENT_DEATHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The embedded server of a state directory, up when it was asked for."""

    dsn: str
    data_dir: str
    bin_dir: str
    """Where PostgreSQL's programs come from, psql and pg_dump among them if they are there."""
    version: str
    started: bool
    """Whether this call started it; otherwise it ran already, or another process was faster."""
    max_connections: int
    notes: tuple[str, ...] = ()
    """What the user should be told, a sentence each."""


def ensure_server(state_dir: str | os.PathLike[str], max_connections: int = 100) -> Server:
    """The embedded server of this state directory, started or adopted if need be.

    Call it with a hold on the server (`hold`), or the server may stop again. Blocks up to 60
    seconds: about 1 for the first start, 0.1 for a later one, some milliseconds if it runs. If it
    runs with fewer connections than asked for, it is restarted unless another process holds it.

    Raises EmbeddedServerFailed when trying again cannot help, EmbeddedServerNotReady when it may.
    """
    folder = Folder(state_dir)
    try:
        with hold(state_dir):
            return _Search(folder, max_connections).run()
    except OSError as error:
        raise EmbeddedServerFailed(str(error), folder.data) from error


def wait_until_stopped(state_dir: str | os.PathLike[str], seconds: float = 60.0) -> bool:
    """Whether the server of this state directory has stopped within that time; blocks for it.

    It stops some seconds after its last user has gone. For whoever wants to remove the directory.
    """
    folder = Folder(state_dir)
    deadline = time.monotonic() + seconds
    while not _is_without_keeper(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _is_without_keeper(folder: Folder) -> bool:
    try:
        lock = locks.take(folder.keeper_lock)
    except FileNotFoundError:
        return True
    if lock is not None:
        os.close(lock)
    return lock is not None


class _Search:
    """One call of `ensure_server`: looks, starts, waits, until the server answers."""

    def __init__(self, folder: Folder, max_connections: int) -> None:
        self._folder = folder
        self._wanted = max_connections
        self._began = time.monotonic()
        self._deadline = self._began + START_SECONDS
        self._has_started = False
        self._has_grown = False
        self._silent_deaths = 0
        self._last_error = ""

    def run(self) -> Server:
        """The server, once it answers."""
        while time.monotonic() < self._deadline:
            lock = locks.take(self._folder.keeper_lock)
            if lock is not None:
                self._start_keeper(lock)
            status = read_status(self._folder)
            if status is not None and self._is_up(status):
                if not self._should_grow(status):
                    return self._server(status)
                self._end_keeper(status)
                continue
            time.sleep(_PAUSE)
        raise EmbeddedServerNotReady(self._why_not(), self._folder.data, START_SECONDS)

    # -- looking ----------------------------------------------------------------------------------

    def _is_up(self, status: Status) -> bool:
        match status.state:
            case State.READY:
                return probe.answers(status.socket_dir)
            case State.FAILED if status.is_after(self._began):
                raise self._failure(status.error)
            case State.RESTARTING if status.error and status.is_after(self._began):
                waited = time.monotonic() - self._began
                raise EmbeddedServerNotReady(status.error, self._folder.data, waited)
        return False

    def _server(self, status: Status) -> Server:
        notes = []
        if status.max_connections < self._wanted:
            notes.append(
                f"the embedded PostgreSQL allows {status.max_connections} connections where "
                f"{self._wanted} are wanted: it is in use, so it was not restarted for that"
            )
        return Server(
            dsn=_dsn(status.socket_dir),
            data_dir=self._folder.data,
            bin_dir=status.bin_dir,
            version=status.version,
            started=self._has_started,
            max_connections=status.max_connections,
            notes=tuple(notes),
        )

    def _why_not(self) -> str:
        return f"{self._folder.log} ends:\n{logfile.tail(self._folder)}"

    # -- starting ---------------------------------------------------------------------------------

    def _start_keeper(self, lock: int) -> None:
        """Start a keeper and wait for what becomes of it; `lock` is that of keeper.lock."""
        try:
            orders = self._orders()
        except EmbeddedServerFailed:
            os.close(lock)
            raise
        try:
            start = KeeperStart(self._folder, lock, orders)
        except OSError as error:
            raise self._failure(f"its keeper cannot be started: {error}") from error
        try:
            outcome = start.wait(self._deadline - time.monotonic())
        finally:
            start.close()
        if outcome == READY:
            self._has_started = True
        elif outcome == b"":
            self._count_silent_death()
        elif outcome not in (None, ADOPTED):
            raise self._failure(os.fsdecode(outcome))

    def _count_silent_death(self) -> None:
        self._silent_deaths += 1
        if self._silent_deaths >= _SILENT_DEATHS:
            raise self._failure(f"its keeper died {_SILENT_DEATHS} times; {self._why_not()}")

    def _failure(self, reason: str) -> EmbeddedServerFailed:
        return EmbeddedServerFailed(reason, self._folder.data)

    def _orders(self) -> Orders:
        environ = os.environ
        programs = binaries.candidate_folders(environ)
        named = environ.get("TASKD_PG_BIN")
        if named and not os.path.exists(os.path.join(named, "postgres")):
            raise self._failure(f"TASKD_PG_BIN is {named}: there is no program postgres in it")
        return Orders(
            self._folder.state_dir,
            self._wanted,
            self._grace(environ.get(GRACE_VARIABLE, "")),
            environ.get("TASKD_PG_USER", ""),
            programs,
        )

    def _grace(self, text: str) -> float:
        try:
            return float(text or GRACE_SECONDS)
        except ValueError:
            raise self._failure(f"{GRACE_VARIABLE} is {text}: give a number of seconds") from None

    # -- growing ----------------------------------------------------------------------------------

    def _should_grow(self, status: Status) -> bool:
        return (
            status.max_connections < self._wanted
            and not self._has_grown
            and not has_other_users(self._folder)
        )

    def _end_keeper(self, status: Status) -> None:
        """Let the server stop, to be started with more connections in the next turn."""
        self._has_grown = True
        try:
            os.kill(status.keeper, signal.SIGTERM)
        except ProcessLookupError:
            return  # it has ended by itself
        wait_until_stopped(self._folder.state_dir, self._deadline - time.monotonic())


def _dsn(socket_dir: str) -> str:
    """All that a variable such as PGPORT could change is said here."""
    return f"host={_quoted(socket_dir)} port=5432 user={SUPERUSER} dbname=postgres"


def _quoted(value: str) -> str:
    if not set(value) & set(" \t\n'\\"):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
