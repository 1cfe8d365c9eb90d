"""Notices that this daemon's work is done, for `taskd --burst`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import inf

from taskd.clock import monotonic
from taskd.maintenance.worker_slots import WorkerSlots
from taskd.store import look
from taskd.store.connect import Connection
from taskd.store.rows import Unfinished

CHECK_SECONDS = 0.25

Drained = Callable[[int, tuple[str, ...]], None]
"""Called once with the number of failed jobs and a line for each thing that is left."""


class Burst:
    """The chore that checks, while no worker has a job in its hands, whether any is left."""

    def __init__(self, slots: WorkerSlots, since: Callable[[], datetime], drained: Drained) -> None:
        self._slots = slots
        self._since = since
        self._drained = drained
        self._due = 0.0

    def due(self) -> float:
        """When to check next, on the monotonic clock."""
        return self._due

    def run(self, connection: Connection) -> None:
        """Check once; when nothing is left, tell, and check no more."""
        self._due = monotonic() + CHECK_SECONDS
        if self._slots.has_jobs():
            return
        queues = self._slots.queues()
        unfinished = look.count_unfinished(connection, queues, self._slots.offers())
        if not unfinished.is_drained:
            return
        if unfinished.unoffered and not self._slots.are_staffed():
            return  # a worker that starts may offer what they wait for
        failed = look.count_failures(connection, queues, self._since())
        self._due = inf
        self._drained(failed, tuple(left(unfinished)))


def left(unfinished: Unfinished) -> list[str]:
    """A line for each thing that a burst does not wait for."""
    lines = [
        f"queue {queue} is paused: {count} left in it"
        for queue, count in sorted(unfinished.paused.items())
    ]
    lines += [
        f"queue {queue} holds jobs for code {version}, which is not offered here: {count} left"
        for (queue, version), count in sorted(unfinished.unoffered.items())
    ]
    if unfinished.later:
        lines.append(f"{unfinished.later} scheduled more than 60 s ahead")
    return lines
