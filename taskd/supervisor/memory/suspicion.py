"""Watches for leaks: who is suspected, and since which job. Nobody is killed for it.

    trend is certain ─► ask the worker to collect garbage ─► it still holds most of it ─► suspect
           ▲                           └─► it does not: begin anew                           │
           └──────────────────────────── it grows no more: it was a cache ◄──────────────────┘

What a worker tells it tells on the board, and is asked there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from taskd.board import Board, Slot, WorkerState
from taskd.board.layout import IN_FLIGHT, LIVE, LIVE_JOBS, SUSPECT, TRIM, TRIMMED
from taskd.clock import monotonic
from taskd.events import Events
from taskd.supervisor.child import Worker
from taskd.supervisor.memory.events import LeakSuspected, SuspicionEnds
from taskd.supervisor.memory.trend import Growth, Trend

CONFIRMED_SHARE = 0.5
"""So much of the growth must be left after a collection of garbage."""

QUIET_SECONDS = 3600.0
"""Of a pool there is no more than one warning in so long; `taskd workers` shows each worker."""


@dataclass(slots=True, eq=False)
class _Suspicion:
    """What is known of one worker; `growth` while it is asked to collect garbage."""

    pid: int
    trend: Trend = field(default_factory=Trend)
    growth: Growth | None = None
    is_confirmed: bool = False


class Suspicions:
    """The trend of each worker, by its slot; `on_suspect` is called with each suspect's pool."""

    def __init__(
        self, board: Board, events: Events, on_suspect: Callable[[str], None] = lambda pool: None
    ) -> None:
        self._board = board
        self._events = events
        self._on_suspect = on_suspect
        self._by_slot: dict[int, _Suspicion] = {}
        self._told_at: dict[str, float] = {}

    def look(self, workers: Iterable[Worker]) -> None:
        """Take what the workers tell of themselves."""
        for worker in workers:
            slot = self._board.slot(worker.slot)
            reading = slot.read()
            if worker.pid and reading.pid == worker.pid and reading.state is WorkerState.READY:
                self._look(worker, slot)

    def forget(self, slot: int) -> None:
        """Its worker is gone."""
        self._by_slot.pop(slot, None)

    def _look(self, worker: Worker, slot: Slot) -> None:
        known = self._by_slot.get(worker.slot)
        if known is None or known.pid != worker.pid:
            known = self._by_slot[worker.slot] = _Suspicion(worker.pid)
        words = slot.words
        if known.growth is not None and words[TRIM] == words[TRIMMED]:
            self._conclude(worker, slot, known, known.growth)
            known.growth = None
        elif known.growth is None and words[LIVE]:
            known.growth = known.trend.take(words[LIVE_JOBS], words[LIVE], words[IN_FLIGHT])
            if known.growth is not None and known.is_confirmed:
                words[SUSPECT] = round(known.growth.slope)
                known.growth = None
            elif known.is_confirmed and known.trend.has_ended:
                self._withdraw(worker, slot, known)
            elif known.growth is not None:
                words[TRIM] += 1

    def _withdraw(self, worker: Worker, slot: Slot, known: _Suspicion) -> None:
        known.is_confirmed = False
        slot.words[SUSPECT] = 0
        self._events.emit(SuspicionEnds(worker.pool, worker.slot))

    def _conclude(self, worker: Worker, slot: Slot, known: _Suspicion, growth: Growth) -> None:
        held = slot.words[LIVE] - growth.began_with
        if held < CONFIRMED_SHARE * growth.bytes:
            known.trend.doubt()
            return
        known.is_confirmed = True
        slot.words[SUSPECT] = round(growth.slope)
        self._on_suspect(worker.pool)
        now = monotonic()
        if now >= self._told_at.get(worker.pool, 0.0):
            self._told_at[worker.pool] = now + QUIET_SECONDS
            self._events.emit(LeakSuspected(worker.pool, worker.slot, growth.slope, growth.jobs))
