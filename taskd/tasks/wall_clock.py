"""Cron expressions on a clock that is changed twice a year.

cronsim says which minutes of a calendar an expression names; when those minutes are, in a zone, is
found here (docs/decisions/0009-schedules.md says why not by cronsim). As in Debian's cron there
are two ways to read an expression:

    fixed   "30 2 * * *"    Minute and hour are named: once a day, whatever the clock does.
                            A time that is skipped runs when the clock has gone forward, one that
                            comes twice runs the first time.
    by the clock  "*/20 * * * *"    Minute or hour begins with a star: whenever the clock shows it,
                            so a skipped time does not run and one that comes twice runs twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from taskd.config.cron import in_fields, next_wall_time

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def next_time(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first moment after `after` that an expression names in a zone, in UTC; None if none."""
    if is_fixed(expression):
        return _next_fixed(expression, zone, after)
    return _next_by_clock(expression, zone, after)


def is_fixed(expression: str) -> bool:
    """Whether an expression names hour and minute, so that it comes once however clocks change."""
    minute, hour, *_ = in_fields(expression).split()
    return not minute.startswith("*") and not hour.startswith("*")


def _next_fixed(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    wall = after.astimezone(zone).replace(tzinfo=None)
    while True:
        found = next_wall_time(expression, wall)
        if found is None:
            return None
        at = first_shown(found, zone)
        if at > after:
            return at
        wall = found  # shown before the clock went back, and again now


def _next_by_clock(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """Go from change to change of the clock; between two of them its offset is one number."""
    since = edge = after
    while True:
        offset = offset_at(zone, since)
        wall = next_wall_time(expression, (edge + offset).replace(tzinfo=None))
        if wall is None:
            return None
        at = wall.replace(tzinfo=UTC) - offset
        change = first_change(zone, since, at)
        if change is None:
            return at
        since, edge = change, change - _SECOND  # what is due at the very change counts


def first_shown(wall: datetime, zone: tzinfo) -> datetime:
    """When a clock first shows a time, in UTC; or has just skipped it."""
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if is_shown_at(wall, zone, at):
        return at
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first_change(zone, before, at) or at


def is_shown_at(wall: datetime, zone: tzinfo, at: datetime) -> bool:
    """Whether the clock of a zone shows a time at a moment."""
    return at.astimezone(zone).replace(tzinfo=None) == wall


def first_change(zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """The first second after `after`, and not after `until`, at which a zone has another offset.

    A change and its return within a day would be missed; no zone has ever had that.
    """
    offset = offset_at(zone, after)
    before = after.replace(microsecond=0)
    while before < until:
        step = min(before + _DAY, until)
        if offset_at(zone, step) != offset:
            return _bisect(zone, before, step)
        before = step
    return None


def _bisect(zone: tzinfo, before: datetime, changed: datetime) -> datetime:
    offset = offset_at(zone, before)
    while changed - before > _SECOND:
        middle = before + timedelta(seconds=(changed - before) // _SECOND // 2)
        if offset_at(zone, middle) == offset:
            before = middle
        else:
            changed = middle
    return changed


def offset_at(zone: tzinfo, moment: datetime) -> timedelta:
    """How far the clock of a zone is ahead of UTC at a moment."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)
