"""The next slots of a schedule as clocks show them, and what clocks that change do to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from taskd.config.cron import next_wall_time
from taskd.config.units import format_duration
from taskd.tasks.schedule import Cron, Schedule
from taskd.tasks.wall_clock import first_shown, offset_at


@dataclass(frozen=True, slots=True)
class ShownSlot:
    """One slot, as the clock of a zone shows it, and what is odd about it."""

    local: datetime
    note: str | None

    def to_json_dict(self) -> dict[str, Any]:
        """Its fields, for programs."""
        return {"local": self.local, "utc": self.local.astimezone(UTC), "note": self.note}


def shown_slots(
    schedule: Schedule, zone: tzinfo, after: datetime, count: int
) -> Iterator[ShownSlot]:
    """The next slots after a moment, as the clock of a zone shows them; at most `count`."""
    expression = schedule.expression if isinstance(schedule, Cron) else None
    before, slot = after, schedule.next_after(after)
    for _ in range(count):
        if slot is None:
            return
        yield ShownSlot(slot.astimezone(zone), note_on(slot, before, zone, expression))
        before, slot = slot, schedule.next_after(slot)


def note_on(slot: datetime, before: datetime, zone: tzinfo, expression: str | None) -> str | None:
    """What the clock of a zone has done to a slot: since the one before, and to its own time.

    `expression` is None for what goes by no clock.
    """
    notes = []
    change = offset_at(zone, slot) - offset_at(zone, before)
    if change:
        direction = "forward" if change > timedelta(0) else "back"
        size = format_duration(abs(change).total_seconds())
        notes.append(f"the clock went {direction} by {size}")
    wall = slot.astimezone(zone).replace(tzinfo=None)
    if expression is not None and next_wall_time(expression, wall - timedelta(seconds=1)) != wall:
        notes.append("the time itself is skipped that day")
    if _comes_twice(wall, zone):
        which = "first" if first_shown(wall, zone) == slot else "second"
        notes.append(f"this time comes twice, it is the {which}")
    return "; ".join(notes) or None


def _comes_twice(wall: datetime, zone: tzinfo) -> bool:
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first < second
