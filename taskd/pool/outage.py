"""How a worker's loops bear it when the database does not answer."""

from __future__ import annotations

import random

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.pool.events import DatabaseAnswersAgain, DatabaseDoesNotAnswer

PATIENCE_SECONDS = 5.0
"""An outage that lasts longer is told by the worker; maintenance tells of it at once."""


class Outage:
    """How long the database has failed one loop, and how long that loop should pause."""

    FIRST, LAST = 0.05, 5.0

    def __init__(self, name: str, events: Events) -> None:
        self._name = name
        self._events = events
        self._pause = self.FIRST
        self._since: float | None = None
        self._told = False

    def failed(self, error: DatabaseError) -> float:
        """Note a failure; the seconds to pause, growing and a little random."""
        now = monotonic()
        if self._since is None:
            self._since = now
        if not self._told and now - self._since >= PATIENCE_SECONDS:
            self._told = True
            self._events.emit(DatabaseDoesNotAnswer(self._name, str(error)))
        pause, self._pause = self._pause, min(self._pause * 2, self.LAST)
        return pause * random.uniform(0.8, 1.2)

    def over(self) -> None:
        """Note that the database answered."""
        if self._since is None:
            return
        if self._told:
            self._events.emit(DatabaseAnswersAgain(self._name, monotonic() - self._since))
        self._since, self._told, self._pause = None, False, self.FIRST
