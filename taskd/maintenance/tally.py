"""Adds what has ended to the statistics, and notes once a minute what waits.

Every host does it for all hosts; who comes first does it, and nobody waits for another. Tallies
are read from behind the last one seen, since under a long transaction the deleted ones stay; those
of who commits late lie before it, and are found by reading from the start, each minute at most, and
so seldom that it costs a twentieth of the time.
"""

from __future__ import annotations

from math import inf

from taskd.clock import monotonic
from taskd.maintenance.host import ThisHost
from taskd.store import statistics
from taskd.store.connect import Connection
from taskd.store.host_rows import Beat

BUSY_SECONDS = 10.0
IDLE_SECONDS = 60.0
CALM_SECONDS = 300.0
"""So often while nothing waits anywhere, either: then only others can have ended something."""

FULL_SECONDS = 60.0
BACKLOG_SECONDS = 60.0
PART_OF_THE_TIME = 20
BATCH = 1000
"""Tallies at once, of up to some hundred jobs each: other chores wait for no more than that."""


class Tally:
    """The chore that keeps the statistics; soon after jobs have run here, else once a minute."""

    def __init__(self, host: ThisHost) -> None:
        self._slots = host.slots
        self._rolled_at = -inf
        self._has_found = False
        self._has_more = False
        self._above = 0
        self._full_from = -inf
        self._backlog_from = -inf
        self._calm_until = -inf

    def see(self, beat: Beat) -> None:
        """A beat says what waits. Any thread may call."""
        if beat.lanes is not None:
            is_calm = not beat.lanes and beat.due is None
            self._calm_until = monotonic() + IDLE_SECONDS if is_calm else -inf

    def due(self) -> float:
        """When to roll up next, on the monotonic clock."""
        if self._has_more:
            return self._rolled_at
        if self._has_found or self._slots.has_jobs():
            return self._rolled_at + BUSY_SECONDS
        is_calm = monotonic() < self._calm_until
        return self._rolled_at + (CALM_SECONDS if is_calm else IDLE_SECONDS)

    def run(self, connection: Connection) -> None:
        """Roll up one batch, and note the backlog if its time has come."""
        began = self._rolled_at = monotonic()
        is_full = began >= self._full_from
        if is_full:
            self._above = 0
        self._roll_up(connection)
        if is_full:
            self._full_from = _again(began, FULL_SECONDS)
        if began >= self._backlog_from:
            asked = monotonic()
            statistics.note_backlog(connection)
            self._backlog_from = _again(asked, BACKLOG_SECONDS)

    def _roll_up(self, connection: Connection) -> None:
        taken, last = statistics.roll_up(connection, self._above, BATCH)
        self._above = max(self._above, last or 0)
        self._has_found = taken > 0 or self._has_more
        self._has_more = taken == BATCH


def _again(began: float, least: float) -> float:
    """When to do again what began then and is done now."""
    return max(began + least, monotonic() + PART_OF_THE_TIME * (monotonic() - began))
