"""Hears notifications, and notices when it cannot.

Its connection would be idle all the time, so the beats of the host travel on it, too: the thread
of the lease borrows it (taskd.store.shared), and what is notified meanwhile is heard all the same.

A LISTEN behind a transaction pooler succeeds and hears nothing. So every so often a token is sent
over an ordinary connection; as long as each comes back in time, the host relies on notifications,
otherwise it polls and tries again later.
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.maintenance.events import ListeningAgain, ListeningFailed
from taskd.maintenance.loop import Loop
from taskd.store import notify
from taskd.store.connect import Connection
from taskd.store.shared import SharedLink

ANSWER_SECONDS = 5.0
CHECK_SECONDS = 120.0
DIRECT_CHECK_SECONDS = 45.0
"""Where `listen` names a server of its own: after a failover that may be the old one."""

RETRY_SECONDS = 60.0


class Check:
    """The chore that sends the token; `Listener` hears it."""

    def __init__(self, name: str, hurry: Callable[[], None]) -> None:
        self._name = name
        self._hurry = hurry
        self._lock = threading.Lock()  # guards all below: chores send, the listener hears
        self._sent = self._answered = 0
        self._send_at = self._answer_by = inf

    def due(self) -> float:
        """When the next token is to be sent, on the monotonic clock."""
        return self._send_at

    def run(self, connection: Connection) -> None:
        """Send a token."""
        with self._lock:
            began = monotonic()
            self._sent += 1
            token = self._token()
        notify.notify(connection, token)
        with self._lock:
            if self._send_at <= began:
                self._send_at = inf
            if self._answered < self._sent:
                self._answer_by = monotonic() + ANSWER_SECONDS

    def send_in(self, seconds: float) -> None:
        """Let a new token be sent; one that is under way is forgotten."""
        with self._lock:
            self._send_at, self._answer_by = monotonic() + seconds, inf
        self._hurry()

    def cancel(self) -> None:
        """Send none, wait for none."""
        with self._lock:
            self._send_at = self._answer_by = inf

    def is_answered(self, payloads: list[str]) -> bool:
        """Whether the token that was sent last is among these payloads."""
        with self._lock:
            found = self._token() in payloads
            if found:
                self._answered = self._sent
        return found

    def is_overdue(self) -> bool:
        """Whether a token was sent and has not come back in time."""
        return monotonic() > self._answer_by

    def _token(self) -> str:
        return f'"check {self._name} {self._sent}"'


class Listener:
    """The connection that LISTENs, in a thread of its own.

    `heard` gets the payloads of each batch, `joined` is called after each (re)connection: what
    came before it was not heard.
    """

    def __init__(
        self,
        link: SharedLink,
        check: Check,
        heard: Callable[[list[str]], None],
        joined: Callable[[], None],
        events: Events,
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._link = link
        self._check = check
        self._check_seconds = check_seconds
        self._heard = heard
        self._joined = joined
        self._events = events
        self._is_hearing = False
        self._has_complained = False
        self._is_subscribed = False
        self._overheard: deque[str] = deque()  # what came while the connection was lent
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._loop = Loop(self._link, self.step, events)

    @property
    def is_hearing(self) -> bool:
        """Whether notifications are known to arrive, so that nobody need poll."""
        return self._is_hearing

    @property
    def is_lendable(self) -> bool:
        """Whether `lent` has a connection to lend; known to be one to the right database."""
        return self._is_hearing and self._link.is_lendable

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """The connection, for a statement of another thread that waits for no lock.

        Raises DatabaseUnavailable, also if there is none any more.
        """
        try:
            with self._link.lent() as connection:
                yield connection
        except BaseException:
            self._ring()  # it is closed now
            raise
        if self._overheard:
            self._ring()

    def start(self) -> None:
        """Begin to listen."""
        self._loop.start()

    def stop(self) -> None:
        """Listen no more."""
        self._loop.stop(0.0)
        self._ring()
        self._loop.stop(1.0)

    def _ring(self) -> None:
        """Let the thread look up from its socket."""
        os.eventfd_write(self._bell, 1)

    def step(self) -> float:
        """Wait for a batch of notifications, at most a few seconds, and hand it on."""
        try:
            with self._link.connection() as connection:
                self._subscribe(connection)
                self._take(connection)
        except Exception as error:
            self._forget()
            if isinstance(error, DatabaseError):
                self._complain(str(error))
            raise
        if self._check.is_overdue():
            return self._give_up()
        return 0.0

    def _subscribe(self, connection: Connection) -> None:
        if not self._is_subscribed:
            notify.listen(connection, self._overheard.append)
            self._is_subscribed = True
            self._check.send_in(0.0)
            self._joined()

    def _take(self, connection: Connection) -> None:
        payloads = self._read(connection)
        if not payloads:
            self._wait(connection.pgconn.socket)
            payloads = self._read(connection)
        if self._check.is_answered(payloads):
            self._check.send_in(self._check_seconds)
            self._confirm()
        if payloads:
            self._heard(payloads)

    def _read(self, connection: Connection) -> list[str]:
        with self._link.lock:
            arrived = notify.read_notifications(connection)
            overheard = [self._overheard.popleft() for _ in range(len(self._overheard))]
        return overheard + arrived

    def _wait(self, socket: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(socket, selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(ANSWER_SECONDS)]
        if self._bell in ready:
            os.eventfd_read(self._bell)

    def _confirm(self) -> None:
        self._is_hearing = True
        if self._has_complained:
            self._has_complained = False
            self._events.emit(ListeningAgain())

    def _give_up(self) -> float:
        self._link.close()
        self._forget()
        self._complain(
            "a notification did not arrive; a pooler may stand between here and the server: "
            "set `listen` to a direct connection string, or to false"
        )
        return RETRY_SECONDS

    def _forget(self) -> None:
        self._is_hearing = self._is_subscribed = False
        self._overheard.clear()
        self._check.cancel()

    def _complain(self, reason: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._events.emit(ListeningFailed(reason))
