"""Stores what a job of a process worker says while it runs, from within the job.

Such a worker reports between jobs only, and has one thread, for a second one would make forks and
signals in jobs unsafe. So whoever says something stores it at once, on a connection of its own: a
few times in quick succession, then twice a second. What comes between waits for the next word, or
for the end of the job. When the database is away the job goes on without for a while.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.pool.events import LoopFailed
from taskd.pool.journal import FLUSH_SECONDS, Journal
from taskd.pool.place import Place
from taskd.store.link import Link

BURST = 4
"""So many times it is stored at once, before the rate limit begins."""

PATIENCE_SECONDS = 2
"""A job waits no longer for the database than this …"""

REST_SECONDS = 30.0
"""… and then not again for so long."""


class Scribe:
    """Stores the journal of one process worker while a job runs; `worker` gives its id."""

    def __init__(
        self,
        place: Place,
        journal: Journal,
        worker: Callable[[], int],
        events: Events,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = place.name
        self._journal = journal
        self._worker = worker
        self._events = events
        self._clock = clock
        self._link = Link(_impatient(place.dsn), f"{place.name} logs", PATIENCE_SECONDS)
        self._writing = threading.Lock()  # held while somebody stores; others go on without
        self._allowance = float(BURST)
        self._counted_at = clock()

    def said(self) -> None:
        """Store what was said, if it is time. Raises nothing but what ends the job itself."""
        if self._writing.acquire(blocking=False):
            try:
                if self._may_write():
                    self._write()
            finally:
                self._writing.release()

    def give_back(self) -> None:
        """Close the connection; the next use opens another."""
        self._link.give_back()

    def _may_write(self) -> bool:
        now = self._clock()
        earned = (now - self._counted_at) / FLUSH_SECONDS
        self._allowance = min(self._allowance + earned, BURST)
        self._counted_at = now
        return self._allowance >= 1

    def _write(self) -> None:
        self._allowance -= 1
        try:
            with self._link.connection() as connection:
                self._journal.flush(connection, self._worker(), at_once=True)
        except DatabaseError:
            self._allowance = 1 - REST_SECONDS / FLUSH_SECONDS
        except Exception:  # whatever it is, it is not the job's
            self._allowance = 1 - REST_SECONDS / FLUSH_SECONDS
            self._events.emit(LoopFailed(self._name, "its scribe", traceback.format_exc()))


def _impatient(dsn: str) -> str:
    if "connect_timeout" in conninfo_to_dict(dsn):
        return dsn
    return make_conninfo(dsn, connect_timeout=PATIENCE_SECONDS)
