"""What maintenance has to tell of leaks."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.config.units import roughly
from taskd.events import Event, counted


class TaskLeaks(Event):
    """A task was found to leak: bytes a job, and between what that lies with 95 %."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    task: str
    bytes: float
    low: float
    high: float
    line: str | None
    recycled: int

    def __str__(self) -> str:
        where = f", allocated at {self.line}" if self.line else ""
        often = (
            f"; {counted(self.recycled, 'worker')} replaced today because of what they held"
            if self.recycled
            else ""
        )
        return (
            f"pool {self.pool}: {self.task} leaks {roughly(round(self.bytes))} a job "
            f"(95 %: {interval(self.low, self.high)}){where}{often}"
        )


def interval(low: float, high: float) -> str:
    """Two sizes, as from what to what."""
    return f"{roughly(round(low))} to {roughly(round(high))}"
