"""The memory of one worker, from its first look to its last."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from taskd.board.memory import WINDOW_SECONDS, SlotMemory
from taskd.supervisor.memory.procfs import Process, private_memory


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes that a worker holds for itself, and those that all processes below it hold."""

    own: int
    children: int = 0

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.own + self.children


@dataclass(slots=True, eq=False)
class Course:
    """What one worker has held; `fresh` is what it held when it was ready, 0 before that."""

    pid: int
    now: Reading = field(default_factory=lambda: Reading(0))
    peak: int = 0
    fresh: int = 0
    window: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS))

    def take(self, reading: Reading, is_ready: bool) -> None:
        """Take one more reading."""
        self.now = reading
        self.peak = max(self.peak, reading.bytes)
        self.window.append(reading.bytes)
        if is_ready and not self.fresh:
            self.fresh = reading.bytes

    @property
    def told(self) -> SlotMemory:
        """What the board is to tell."""
        return SlotMemory(
            bytes=self.now.bytes,
            children=self.now.children,
            low=min(self.window, default=0),
            high=max(self.window, default=0),
            peak=self.peak,
        )


def look(process: Process) -> Reading | None:
    """Look at a worker and at all below it; None if it is gone."""
    own = process.private()
    if own is None:
        return None
    return Reading(own, sum(private_memory(child) for child in process.descendants()))
