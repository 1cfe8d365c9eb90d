"""Moments as people write them: `1h` ago, or `2030-01-31T08:00+01:00`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from taskd.config.units import parse_duration

Moment = datetime | float
"""A time with its offset; or how many seconds ago, by the clock of the database."""

ISO_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
AGO_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,15})? ?(ms|s|m|h|d)$"
LONGEST_AGO = 10_000 * 86400.0
_HOW = "write how long ago, such as 1h, or a time such as 2030-01-31T08:00"


def parse_moment(text: str, *, is_local: bool = False) -> Moment:
    """Read a duration or a time as ISO 8601; `is_local`: without an offset it is the local time.

    Raises ValueError with what is wrong, to follow the text.
    """
    if re.fullmatch(r"-?[0-9.]+", text, re.ASCII):  # 2026 is a year, and 20260131 a day
        raise ValueError("has no unit: write 90s for seconds ago, 2026-01-31T00:00 for a day")
    try:
        ago = parse_duration(text)
    except ValueError:
        return _parse_time(text, is_local)
    if not 0 <= ago <= LONGEST_AGO:
        raise ValueError("is not between 0 and 10000d ago")
    return ago


def _parse_time(text: str, is_local: bool) -> datetime:
    if not is_local and not re.fullmatch(ISO_PATTERN, text, re.ASCII):
        lost = " (in an address + is written %2B)" if " " in text else ""
        raise ValueError(f"is no moment: {_HOW}Z or +01:00{lost}")
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC)  # in an extreme year there is no such time
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no moment: {_HOW}") from error


def is_backwards(since: Moment | None, until: Moment | None, now: datetime) -> bool:
    """Whether a span ends before it begins, so that nothing can be in it."""
    if since is None or until is None:
        return False
    if isinstance(since, float) and isinstance(until, float):
        return until > since
    return _absolute(until, now) < _absolute(since, now)


def _absolute(moment: Moment, now: datetime) -> datetime:
    return moment if isinstance(moment, datetime) else now - timedelta(seconds=moment)
