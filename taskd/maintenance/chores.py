"""Short statements over one connection, in one thread, each when it is due.

The connection is closed as soon as no jobs run here and nothing is due for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.maintenance.loop import Loop
from taskd.store.connect import Connection
from taskd.store.link import Link

LINGER_SECONDS = 4.0
"""So long the connection stays open for a next chore, as the looks after a host went idle."""


class Chore(Protocol):
    """Something to do at times, with statements that wait for no lock."""

    def due(self) -> float:
        """When to run next, on the monotonic clock; `inf`: not now."""

    def run(self, connection: Connection) -> None:
        """Do it once. What it raises comes again after a pause; `due` must still say so."""


class Chores:
    """Runs each chore when it is due; `is_busy` says whether more is to be done soon."""

    def __init__(
        self, link: Link, events: Events, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._is_busy = is_busy
        self._link = link
        self._chores: list[Chore] = []
        self._used_at = 0.0
        self._loop = Loop(self._link, self.step, events)

    def add(self, chore: Chore) -> None:
        """Take one more chore, before `start`; the first added goes first when several are due."""
        self._chores.append(chore)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """Run no further chore."""
        self._loop.stop(1.0)

    def hurry(self) -> None:
        """Look at the due times again: some chore's has changed. Any thread may call."""
        self._loop.hurry()

    def step(self) -> float:
        """Run what is due; the seconds until the next chore is."""
        now = monotonic()
        failures = [
            failure
            for chore in self._chores
            if chore.due() <= now and (failure := self._run(chore)) is not None
        ]
        if failures:
            raise failures[0]
        now = monotonic()
        pause = min((chore.due() for chore in self._chores), default=inf) - now
        if pause <= LINGER_SECONDS or not self._link.is_open or self._is_busy():
            return pause
        left = self._used_at + LINGER_SECONDS - now
        if left > 0:
            return left
        self._link.close()
        return pause

    def _run(self, chore: Chore) -> Exception | None:
        """What went wrong with one chore, so that the others still run; not so without database."""
        try:
            with self._link.connection() as connection:
                chore.run(connection)
            self._used_at = monotonic()
        except DatabaseError:
            raise
        except Exception as failure:
            return failure
        return None
