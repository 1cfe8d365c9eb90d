"""Imported by a daemon's workers like a user's tasks: they watch nothing of their memory and time.

The other half of the comparison in cost.py. Workers follow no switches, keep no levels and read
nothing of their allocators. The master looks at both halves alike, 10 us a worker and second.
"""

from __future__ import annotations

from taskd.pool.levels import Levels
from taskd.pool.live import LiveBytes
from taskd.pool.usage import SwitchedUsage


def _nothing(*args: object) -> None:
    """In place of all that watches."""


def _unknown(*args: object) -> None:
    """In place of what an attempt has used."""


SwitchedUsage.start = _nothing  # type: ignore[method-assign]
SwitchedUsage.of = _unknown  # type: ignore[assignment,method-assign]
Levels.beat = Levels.flush = _nothing  # type: ignore[method-assign]
LiveBytes.beat = LiveBytes.begin = _nothing  # type: ignore[method-assign]
