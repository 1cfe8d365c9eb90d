"""The clocks, in one place, so that every rule about time can be tested without waiting.

`monotonic` is for durations within this machine (seconds; stands still while the machine sleeps),
`boottime` for leases (goes on while the machine sleeps), `utc_now` for people.
"""

from __future__ import annotations

import time
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["boottime", "monotonic", "monotonic_ns", "utc_now"]


def boottime() -> float:
    """Seconds since the machine started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def utc_now() -> datetime:
    """The time of day, in UTC, as the machine believes it to be."""
    from datetime import UTC, datetime  # the master needs no dates, and saves their memory

    return datetime.now(UTC)
