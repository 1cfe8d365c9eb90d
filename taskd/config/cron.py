"""Cron expressions, time zones and moments as people write them: checked, and understood.

Five fields as in Debian's cron, and what newer crons know: `MON`, `L`, `LW`, `MON#2`, `5L`.
The fields are cronsim's affair, which is imported only when there is an expression.
"""

from datetime import UTC, datetime

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of month": "1 to 31, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day of week": "0 to 7 or SUN to SAT",
}
"""The fields of an expression in their order, and what may stand in each."""

LONGEST = 200
_ANY_DAY = datetime(2024, 1, 1)
# Kinds of files beside the zones: leap seconds counted in, or whatever this machine is set to.
_NO_ZONES = ("right/", "posix/", "localtime", "posixrules", "Factory")


def check_cron(text: str) -> str:
    """Give back a cron expression; raises ValueError with a sentence for all that is wrong."""
    words = text.split()
    if len(words) == 1 and text.startswith("@"):
        if text not in ALIASES:
            raise ValueError(f"is none of {', '.join(ALIASES)}")
        return text
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if len(words) != len(FIELDS):
        seconds = "; for seconds use an interval" if len(words) == len(FIELDS) + 1 else ""
        raise ValueError(f"has {len(words)} fields, not 5: {', '.join(FIELDS)}{seconds}")
    wrong = [
        f"{word!r} as its {name}, which takes {values}"
        for index, (word, (name, values)) in enumerate(zip(words, FIELDS.items(), strict=True))
        if not _is_field(word, index)
    ]
    if wrong:
        raise ValueError(f"has {' and '.join(wrong)}")
    if next_wall_time(text, _ANY_DAY) is None:
        raise ValueError("never comes: no month has such a day")
    return " ".join(words)


def _is_field(word: str, index: int) -> bool:
    words = ["*"] * len(FIELDS)
    words[index] = word
    return next_wall_time(" ".join(words), _ANY_DAY) is not None


def next_wall_time(expression: str, after: datetime) -> datetime | None:
    """The first minute after `after` that the fields of an expression name; None if none ever.

    Times without a zone, such as a clock on the wall shows: what becomes of them when the clock is
    changed is not known here.
    """
    from cronsim import CronSim, CronSimError

    try:
        return next(CronSim(in_fields(expression), after), None)
    except CronSimError:
        return None


def in_fields(expression: str) -> str:
    """An expression without aliases."""
    return ALIASES.get(expression, expression)


def check_timezone(name: str) -> str:
    """Give back the name of a time zone; raises ValueError, with the nearest name, otherwise."""
    from zoneinfo import ZoneInfo, available_timezones

    if not name.startswith(_NO_ZONES):
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            pass  # unknown, or no name for a file at all; what to say is the same
        else:
            return name
    zones = (zone for zone in available_timezones() if not zone.startswith(_NO_ZONES))
    known = {zone.lower(): zone for zone in zones}
    if not known:
        raise ValueError(
            "cannot be looked up: this machine has no time zones; install the package tzdata"
        )
    import difflib  # only who mistypes pays for it

    near = difflib.get_close_matches(name[:LONGEST].lower(), known, n=1)
    hint = f"did you mean {known[near[0]]}?" if near else "write one such as Europe/Berlin"
    raise ValueError(f"is no time zone that is known here: {hint}")


def check_moment(text: str) -> str:
    """Give back a moment as ISO 8601 in UTC; raises ValueError unless it says its offset."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            raise ValueError
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(
            "is not a date and time with its offset, such as 2030-01-31T08:00:00+01:00"
        ) from None
