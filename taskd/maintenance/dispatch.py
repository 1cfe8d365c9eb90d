"""Works off letters about dependencies and resources that nobody else has worked off.

Whoever writes a letter usually sees to it in the same round trip. What is left is this chore's: the
letters of a caller's own transaction, of somebody who found the dispatcher busy, or died.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from taskd.clock import monotonic
from taskd.store import mail
from taskd.store.connect import Connection

BUSY_SECONDS = 0.01
"""After how long to come again when somebody else was at it."""

UNSETTLED_SECONDS = 0.25
"""After how long when some must wait for a transaction that may stay open for hours."""


class Dispatch:
    """The chore that dispatches; `soon` may be called from any thread."""

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry
        self._due = inf

    def soon(self) -> None:
        """There are letters."""
        self._due = -inf
        self._hurry()

    def due(self) -> float:
        """When to dispatch next, on the monotonic clock."""
        return self._due

    def run(self, connection: Connection) -> None:
        """Dispatch until no letter is left, or until another is at it."""
        self._due = inf
        try:
            taken = mail.dispatch(connection)
            while taken > 0:
                taken = mail.dispatch(connection)
        except Exception:
            self._due = -inf
            raise
        if taken < 0:
            pause = BUSY_SECONDS if taken == mail.BUSY else UNSETTLED_SECONDS
            self._due = min(self._due, monotonic() + pause)
