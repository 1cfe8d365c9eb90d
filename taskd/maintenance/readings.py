"""Writes down what the processes of this host hold, as the master tells it on the board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskd.board import Slot, read_memory
from taskd.board.layout import FAILED, PID, RETRIED, SUCCEEDED, WORKER
from taskd.clock import monotonic
from taskd.maintenance import procfs
from taskd.maintenance.host import ThisHost
from taskd.maintenance.tree import TreeProcess
from taskd.store import memory
from taskd.store.connect import Connection
from taskd.store.memory import PERIOD_SECONDS, MemoryReading

QUIET_SECONDS = 60.0
"""So often what has not changed is written down nevertheless."""

CHANGE_SHARE, CHANGE_BYTES = 0.01, 256 * 1024
"""What counts as a change."""


class Readings:
    """The chore that stores memory: one statement every 10 s, less when nothing changes."""

    def __init__(self, host: ThisHost) -> None:
        self._host = host
        # Replaced as a whole by the main thread.
        self._processes: Sequence[TreeProcess] = ()
        self._written: dict[int, tuple[float, int]] = {}
        self._next_at = monotonic() + PERIOD_SECONDS

    def take_tree(self, processes: Sequence[TreeProcess]) -> None:
        """These are the daemon's processes now."""
        self._processes = processes

    def due(self) -> float:
        """When the period is over in which something has changed."""
        now = monotonic()
        if self._next_at <= now and not self._news(now):
            self._next_at = now + PERIOD_SECONDS
        return self._next_at

    def run(self, connection: Connection) -> None:
        """Write down what has changed; what cannot be written is lost, the next period has more."""
        now = monotonic()
        self._next_at = now + PERIOD_SECONDS
        readings = self._news(now)
        if readings and self._host.id:
            memory.write_memory(connection, self._host.id, readings)
        present = {process.pid for process in self._processes}
        written = {one.pid: (now, one.bytes) for one in readings}
        self._written = {
            pid: last for pid, last in {**self._written, **written}.items() if pid in present
        }

    def _news(self, now: float) -> list[MemoryReading]:
        return [one for one in self._readings() if self._is_news(one, now)]

    def _readings(self) -> Iterator[MemoryReading]:
        for process in self._processes:
            if process.role != "worker":
                yield _of_helper(process)
            elif process.slot is not None:
                yield from _of_worker(process, self._host.slots[process.slot])

    def _is_news(self, reading: MemoryReading, now: float) -> bool:
        if not reading.bytes:
            return False
        at, before = self._written.get(reading.pid, (-QUIET_SECONDS, 0))
        change = max(abs(value - before) for value in (reading.low, reading.bytes, reading.high))
        return change > max(CHANGE_BYTES, CHANGE_SHARE * before) or now >= at + QUIET_SECONDS


def _of_helper(process: TreeProcess) -> MemoryReading:
    held = procfs.private_memory(process.pid)
    return MemoryReading(
        worker=None,
        pid=process.pid,
        role=process.role,
        pool=process.pool,
        slot=None,
        jobs=0,
        bytes=held,
        children=0,
        low=held,
        high=held,
        live=0,
    )


def _of_worker(process: TreeProcess, slot: Slot) -> Iterator[MemoryReading]:
    """What the board says, once the worker there is the one that is meant, and has its id."""
    words = slot.words
    if words[PID] != process.pid or not words[WORKER]:
        return
    held = read_memory(slot)
    yield MemoryReading(
        worker=words[WORKER],
        pid=process.pid,
        role=process.role,
        pool=process.pool,
        slot=process.slot,
        jobs=words[SUCCEEDED] + words[FAILED] + words[RETRIED],
        bytes=held.bytes,
        children=held.children,
        low=held.low,
        high=held.high,
        live=held.live,
    )
