"""The keeper: a small detached process that owns the embedded server, so that no user has to.

It starts PostgreSQL (or adopts one whose keeper was killed), starts it again if it crashes, and
stops it cleanly some seconds after the last hold is gone. Locks make it safe:

    keeper.lock   ours from before our birth: whoever found it free locked it, and we inherited it
    users.lock    taken alone for a moment to see whether anybody holds it; taken for good, and held
                  until we have ended, to stop the server: nobody becomes a user meanwhile
    server.lock   not ours: all processes of the server hold it, so a later keeper can tell whether
                  something of the server is left, whatever was killed

Its memory counts, as it lives as long as its users: it loads nothing but what its loop needs.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence

from taskd.store.embedded import locks, logfile, postmaster
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.logfile import say
from taskd.store.embedded.orders import ADOPTED, LOCK_FD, OUTCOME_FD, READY, Orders
from taskd.store.embedded.postmaster import Postmaster
from taskd.store.embedded.start import NotStarted, Started, start_postgres
from taskd.store.embedded.status import State, Status, read_status, write_status

TICK_SECONDS = 1.0
START_TICK_SECONDS = 0.01
CLEAN_STOP_SECONDS = 60.0
ABRUPT_STOP_SECONDS = 15.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 10.0
LOW_SPACE_BYTES = 1024 * 1024

_SIGNALS = {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP}


def main(words: Sequence[str]) -> int:
    """Keep the server of these orders until nobody needs it; the exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # they wait until the loop takes them
    orders = Orders.from_words(words)
    return Keeper(Folder(orders.state_dir), orders).run()


class Keeper:
    """One keeper. `run` is all of its life; `step` is one turn of its loop."""

    def __init__(self, folder: Folder, orders: Orders) -> None:
        self._folder = folder
        self._orders = orders
        self._users = locks.open_lock(folder.users_lock)
        self._server: Started | None = None
        self._is_told_to_end = False
        self._unused_since: float | None = None
        self._ready_since = 0.0
        self._pause = 0.0
        self._retry_at = 0.0

    def run(self) -> int:
        """Start or adopt the server, keep it, stop it."""
        try:
            outcome = self._begin()
        except NotStarted as failure:
            self._fail(str(failure))
            return 1
        self._tell_creator(outcome)
        while self.step():
            self._nap(self._tick())
        self._end()
        return 0

    def step(self) -> bool:
        """Look once at everything; whether to go on."""
        if self._is_told_to_end:
            say("asked to end")
            return False
        if self._is_folder_gone():
            say("the state directory is gone")
            return False
        if self._is_unused():
            say(f"nobody has used the server for {self._orders.grace:g} s")
            return False
        self._revive()
        logfile.bound(self._folder)
        return True

    # -- the start --------------------------------------------------------------------------------

    def _begin(self) -> bytes:
        left = read_status(self._folder)
        self._tell(State.STARTING)
        self._server = self._adopt(left)
        if self._server is not None:
            return ADOPTED
        self._launch()
        return READY

    def _adopt(self, left: Status | None) -> Started | None:
        """The server that a killed keeper left running, if its status still describes it."""
        if left is None or not left.postmaster or _is_all_gone(self._folder):
            return None
        if postmaster.pid_of(self._folder) != left.postmaster:
            return None
        running = Postmaster(left.postmaster)
        found = Started(running, left.version, left.bin_dir, left.socket_dir)
        if running.has_ended() or not postmaster.is_ready(self._folder, left.postmaster):
            return None
        say(f"adopts the server that runs (pid {left.postmaster}); its keeper is gone")
        self._orders.max_connections = left.max_connections
        self._announce(found)
        return found

    def _launch(self) -> None:
        since = logfile.size(self._folder)
        try:
            server = self._server = start_postgres(self._folder, self._orders)
        except NotStarted as failure:
            raise NotStarted(f"{failure}{self._space()}") from failure
        is_ready = self._wait(
            lambda: postmaster.is_ready(self._folder, server.postmaster.pid), server.postmaster
        )
        if not is_ready:
            raise NotStarted(
                f"PostgreSQL {server.version} {server.postmaster.how_it_ended()} while starting; "
                f"{self._folder.log} ends:\n{logfile.tail(self._folder, since)}{self._space()}"
            )
        self._announce(server)

    def _announce(self, server: Started) -> None:
        self._ready_since = time.monotonic()
        if not self._tell(State.READY, server):
            raise NotStarted(f"{self._folder.status} cannot be written{self._space()}")
        say(f"PostgreSQL {server.version} is ready, its data is in {self._folder.data}")

    def _wait(self, is_done: Callable[[], bool], running: Postmaster) -> bool:
        """Until it is done (True), or the server has ended or we are told to end (False)."""
        while not is_done():
            if running.has_ended():
                return False
            if self._is_told_to_end:
                running.send(signal.SIGINT)
            self._nap(START_TICK_SECONDS)
        return True

    def _space(self) -> str:
        """A sentence if the disk is full: on a full disk the log says nothing of it."""
        try:
            disk = os.statvfs(self._folder.path)
        except OSError:
            return ""
        left = disk.f_bavail * disk.f_frsize
        if left >= LOW_SPACE_BYTES:
            return ""
        return f"\nNo space is left on the disk of {self._folder.path} ({left} bytes)"

    def _fail(self, error: str) -> None:
        say(f"gives up: {error}")
        self._stop_server()
        self._tell_creator(os.fsencode(error))
        if not self._is_folder_gone():
            self._tell(State.FAILED, error=error)

    # -- the loop ---------------------------------------------------------------------------------

    def _tick(self) -> float:
        return min(TICK_SECONDS, self._orders.grace / 4)

    def _nap(self, seconds: float) -> None:
        """Sleep, but no longer than until a child ends or a signal comes."""
        arrived = signal.sigtimedwait(_SIGNALS, seconds)
        if arrived is not None and arrived.si_signo == signal.SIGTERM:
            self._is_told_to_end = True

    def _is_folder_gone(self) -> bool:
        return os.fstat(LOCK_FD).st_nlink == 0

    def _is_unused(self) -> bool:
        """Whether the grace is over; users.lock is then ours alone, and stays so."""
        if not locks.try_exclusive(self._users):
            self._unused_since = None
            return False
        now = time.monotonic()
        if self._unused_since is None:
            self._unused_since = now
        if now - self._unused_since >= self._orders.grace:
            return True
        locks.unlock(self._users)
        return False

    def _revive(self) -> None:
        """Start the server again if it has ended: at once, then after growing pauses."""
        now = time.monotonic()
        if self._server is not None:
            if not self._server.postmaster.has_ended():
                return
            say(f"the server {self._server.postmaster.how_it_ended()}")
            self._server = None
            self._pause = 0.0 if now - self._ready_since >= STEADY_SECONDS else self._pause
            self._plan_retry(now)
            self._tell(State.RESTARTING)
        if now < self._retry_at:
            return
        try:
            self._launch()
        except NotStarted as failure:
            self._stop_server()
            self._plan_retry(time.monotonic())
            say(f"it does not start again: {failure}")
            self._tell(State.RESTARTING, error=str(failure))

    def _plan_retry(self, now: float) -> None:
        self._retry_at = now + self._pause
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))

    # -- the end ----------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._server is not None and not self._is_folder_gone():
            self._tell(State.STOPPING, self._server)
        self._stop_server()
        if not self._is_folder_gone():
            os.unlink(self._folder.status)

    def _stop_server(self) -> None:
        """Stop the server if there is one: cleanly if it can, else without a checkpoint."""
        if self._server is None:
            return
        running = self._server.postmaster
        if not self._is_folder_gone():
            running.send(signal.SIGINT)
            self._await_end(running, CLEAN_STOP_SECONDS)
        running.send(signal.SIGQUIT)
        self._await_end(running, ABRUPT_STOP_SECONDS)
        say(f"the server {running.how_it_ended()}" if running.has_ended() else "it goes on")
        self._remove_short_socket_dir(self._server.socket_dir)
        self._server = None

    def _await_end(self, running: Postmaster, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not running.has_ended() and time.monotonic() < deadline:
            self._nap(START_TICK_SECONDS)

    def _remove_short_socket_dir(self, path: str) -> None:
        if path == self._folder.run:
            return
        try:
            os.rmdir(path)
        except OSError as error:
            say(f"{path} stays: {error.strerror}")

    # -- what others hear -------------------------------------------------------------------------

    def _tell(self, state: State, server: Started | None = None, error: str = "") -> bool:
        """Write the status; whether that was possible."""
        status = Status(state, os.getpid(), time.monotonic())
        status.max_connections = self._orders.max_connections
        status.error = error
        if server is not None:
            status.postmaster = server.postmaster.pid
            status.version = server.version
            status.bin_dir = server.bin_dir
            status.socket_dir = server.socket_dir
        try:
            write_status(self._folder, status)
        except OSError as problem:
            say(f"cannot write {self._folder.status}: {problem.strerror}")
            return False
        return True

    def _tell_creator(self, outcome: bytes) -> None:
        try:
            os.write(OUTCOME_FD, outcome)
        except BrokenPipeError:
            say("whoever started this keeper has ended")
        os.close(OUTCOME_FD)


def _is_all_gone(folder: Folder) -> bool:
    """Whether no process of the server is left."""
    fd = locks.take(folder.server_lock)
    if fd is None:
        return False
    os.close(fd)
    return True
