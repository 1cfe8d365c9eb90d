"""What the parts of maintenance share: the host they work for."""

from __future__ import annotations

from dataclasses import dataclass

from taskd.board import Board
from taskd.events import Events
from taskd.maintenance.wakeup import Waker
from taskd.maintenance.worker_slots import WorkerSlots


@dataclass(frozen=True, slots=True)
class ThisHost:
    """The board, its workers' slots, who wakes them, and where it tells what happens."""

    board: Board
    slots: WorkerSlots
    waker: Waker
    events: Events

    @property
    def id(self) -> int:
        """The id of its row; it changes when the lease was lost. 0: not entered yet."""
        return self.board.host
