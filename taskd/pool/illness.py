"""When a worker is ill: one of its loops fails again and again, as if a job had broken Python.

It goes on after a fault, for most pass. What does not pass would hold jobs up for ever while the
worker looks alive, so it makes room for a whole one: it drains, and if that does not end, exits.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from taskd.pool import spawn

DRAIN_AFTER = 5
"""Faults in a row, which come a second apart."""

EXIT_AFTER = 60
"""At least; jobs that run well may still end within their pool's `shutdown_timeout`."""


class Illness:
    """Counts the faults of one loop that no success came between.

    `patience`: how many seconds running jobs are given once the drain is ordered.
    """

    def __init__(self, order_drain: Callable[[], None], patience: float) -> None:
        self._order_drain = order_drain
        self._exit_after = max(EXIT_AFTER, DRAIN_AFTER + patience)
        self._faults = 0

    def failed(self) -> None:
        """Note a fault that was none of the database's; may not return."""
        self._faults += 1
        if self._faults == DRAIN_AFTER:
            self._order_drain()
        if self._faults >= self._exit_after:
            os._exit(spawn.UNEXPECTED_EXIT)

    def passed(self) -> None:
        """Note a step that went well."""
        self._faults = 0
