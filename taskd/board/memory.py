"""The memory of a worker, on its slot of the board: the master writes it, once a second."""

from __future__ import annotations

from dataclasses import dataclass

from taskd.board.layout import (
    LIVE,
    MEMORY,
    MEMORY_CHILDREN,
    MEMORY_HIGH,
    MEMORY_LOW,
    MEMORY_PEAK,
    SUSPECT,
    Slot,
)

WINDOW_SECONDS = 10
"""The time that `low` and `high` are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMemory:
    """Bytes that a worker holds for itself, with all processes below it; 0: not looked at yet.

    `children` is the part of those below it, `low` and `high` are of the last 10 seconds, `peak` of
    its whole life. `live` is what its allocators have handed out, as it tells itself, and `suspect`
    the bytes a job by which that grows, once a leak is suspected.
    """

    bytes: int
    children: int = 0
    low: int = 0
    high: int = 0
    peak: int = 0
    live: int = 0
    suspect: int = 0


def write_memory(slot: Slot, memory: SlotMemory) -> None:
    """Tell what the worker of a slot holds; what it tells itself stays as it is."""
    words = slot.words
    words[MEMORY_CHILDREN] = memory.children
    words[MEMORY_LOW] = memory.low
    words[MEMORY_HIGH] = memory.high
    words[MEMORY_PEAK] = memory.peak
    words[MEMORY] = memory.bytes


def read_memory(slot: Slot) -> SlotMemory:
    """What the worker of a slot holds; words of two looks may stand side by side."""
    words = slot.words
    return SlotMemory(
        bytes=words[MEMORY],
        children=words[MEMORY_CHILDREN],
        low=words[MEMORY_LOW],
        high=words[MEMORY_HIGH],
        peak=words[MEMORY_PEAK],
        live=words[LIVE],
        suspect=words[SUSPECT],
    )
