"""A host for tests: a real board and real eventfds, with workers that exist on the board alone."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping

from taskd.board import Board, Slot, Wakeups, WorkerState
from taskd.board.layout import IDLE, PID, STATE, WORKER
from taskd.config.settings import PoolSettings
from taskd.events import Event, Events
from taskd.maintenance.host import ThisHost
from taskd.maintenance.wakeup import Waker
from taskd.maintenance.worker_slots import WorkerSlots

IO = PoolSettings(processes=4, greenlets=25)
CPU = PoolSettings(processes=2)


class Crew:
    """The host, and what it told."""

    def __init__(self, pools: Mapping[str, PoolSettings] | None = None, lanes: int = 16) -> None:
        self.pools = {"io": IO} if pools is None else dict(pools)
        self.board = Board.create(8, lanes)
        self.wakeups = Wakeups.create(8)
        weakref.finalize(self, _close, (self.board.fd, *self.wakeups.fds))
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.slots = WorkerSlots(self.board, self.wakeups, self.pools)
        self.waker = Waker(self.board, self.slots, events)
        self.host = ThisHost(self.board, self.slots, self.waker, events)
        self._pool_of: dict[int, str] = {}

    def hire(
        self, slot: int, pool: str = "io", *, worker: int = 0, idle: int = 0, pid: int | None = None
    ) -> Slot:
        """Put a ready worker on the board, as one of this very process unless a pid is given."""
        words = self.slots[slot].words
        words[PID] = os.getpid() if pid is None else pid
        words[STATE] = WorkerState.READY
        words[WORKER], words[IDLE] = worker, idle
        self._pool_of[slot] = pool
        self.slots.set_workers(self._pool_of)
        return self.slots[slot]

    def take_wakeups(self) -> list[int]:
        """The slots that were woken since the last call."""
        woken = []
        for slot, fd in enumerate(self.wakeups.fds):
            try:
                os.eventfd_read(fd)
            except BlockingIOError:
                continue
            woken.append(slot)
        return woken

    def stories(self) -> list[str]:
        """What was told, as sentences."""
        return [str(event) for event in self.told]


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
