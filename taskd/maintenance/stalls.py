"""Looks for queues in which nothing begins though it could, and says so once a stall.

Said is what two looks in a row have found: between two moments of one look jobs come and go. Every
host looks and tells for itself, since nobody knows whose log is read.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from taskd.clock import monotonic
from taskd.maintenance.events import QueueMoves, QueueStalled
from taskd.maintenance.host import ThisHost
from taskd.store.connect import Connection
from taskd.store.host_rows import Beat

if TYPE_CHECKING:
    from taskd.tasks.stalls import Stall

LOOK_SECONDS = 15.0
"""Between two looks while something is about to stall, or has …"""

CALM_SECONDS = 60.0
"""… and while nothing is, or a host is new: idle it should ask the server next to nothing."""

PART_OF_THE_TIME = 20

Key = tuple[str, str | None, bool]


def _find(connection: Connection) -> list[Stall]:
    from taskd.tasks.stalls import find_stalls  # a megabyte that an idle host does without

    return find_stalls(connection)


class Stalls:
    """The chore that looks; the first time when there has been a worker for long enough."""

    def __init__(self, host: ThisHost, find: Callable[[Connection], list[Stall]] = _find) -> None:
        self._events = host.events
        self._find = find
        self._next_at = monotonic() + CALM_SECONDS
        self._calm_at = -inf
        self._seen: set[Key] = set()
        self._told: dict[Key, float] = {}

    def see(self, beat: Beat) -> None:
        """A beat says what waits. Any thread may call."""
        is_due = beat.due is not None and beat.due <= 0
        if beat.lanes is not None:
            self._calm_at = -inf if beat.lanes or is_due else monotonic()

    def due(self) -> float:
        """When to look next, on the monotonic clock; not as long as nothing waits."""
        if self._seen or self._told:
            return self._next_at
        return max(self._next_at, self._calm_at + LOOK_SECONDS)

    def run(self, connection: Connection) -> None:
        """Look once; tell what has stalled, and what goes on again."""
        began = monotonic()
        self._next_at = began + LOOK_SECONDS  # also if this look fails
        found = {stall.key: stall for stall in self._find(connection)}
        now = monotonic()
        for key, stall in found.items():
            if key in self._seen and key not in self._told:
                self._told[key] = now - stall.seconds
                self._events.emit(_event(stall))
        for key in self._told.keys() - found.keys() - self._seen:
            self._events.emit(QueueMoves(key[0], key[1], now - self._told.pop(key)))
        self._seen = set(found)
        pause = LOOK_SECONDS if self._seen or self._told else CALM_SECONDS
        self._next_at = max(began + pause, now + PART_OF_THE_TIME * (now - began))


def _event(stall: Stall) -> QueueStalled:
    return QueueStalled(
        queue=stall.queue,
        requires=stall.requires,
        jobs=stall.jobs,
        free_slots=stall.free_slots,
        seconds=stall.seconds,
        because=stall.because,
        remedy=stall.remedy,
        text=str(stall),
    )
