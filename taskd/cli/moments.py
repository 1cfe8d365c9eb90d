"""Times, durations and sizes as people read them in a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from taskd.config.units import SPOKEN, format_duration, roughly
from taskd.config.units import span as span


def distance(moment: datetime | None, now: datetime) -> str:
    """How far away a moment is: `3 s ago`, `in 5 min`; a dash for none."""
    if moment is None:
        return "-"
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"in {_rounded(-seconds)}"
    return f"{_rounded(seconds)} ago" if seconds >= 1 else "just now"


def _rounded(seconds: float) -> str:
    """A duration in its largest unit alone: the reader wants a magnitude."""
    for unit, size in SPOKEN:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "1 s"


def took(started: datetime | None, ended: datetime | None) -> str:
    """How long something took; a dash if it has not started or not ended."""
    if started is None or ended is None:
        return "-"
    return span((ended - started).total_seconds())


def when(spec: Mapping[str, Any]) -> str:
    """The times of a schedule, in short."""
    match spec:
        case {"cron": expression, "timezone": timezone}:
            return f"{expression} {timezone}"
        case {"every": seconds}:
            return f"every {format_duration(seconds)}"
        case {"run_at": moment}:
            return f"at {datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case _:
            return json.dumps(spec)  # of a kind that only a newer taskd knows


def size(amount: int | None) -> str:
    """Bytes with their unit: `512 B`, `9.6 MB` of a million each; a dash for an unknown amount."""
    return "-" if amount is None else roughly(amount)
