"""Which slots a schedule has, held against clocks that are read minute by minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskd.tasks.schedule import At, Cron, Every, Schedule, schedule_of

CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29)),
    ("Europe/Berlin", datetime(2026, 10, 25)),
    ("America/New_York", datetime(2026, 3, 8)),
    ("America/New_York", datetime(2026, 11, 1)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2026, 4, 5)),
    ("Antarctica/Troll", datetime(2026, 3, 29)),  # by two hours
    ("Antarctica/Troll", datetime(2026, 10, 25)),
    ("America/Santiago", datetime(2026, 9, 6)),  # at midnight
    ("America/Santiago", datetime(2026, 4, 5)),
    ("Pacific/Apia", datetime(2011, 12, 30)),  # a whole day that never was
    ("Asia/Kathmandu", datetime(2026, 5, 1)),  # none, and a quarter of an hour off
]
MINUTE = timedelta(minutes=1)
DAYS = 2


@dataclass(frozen=True)
class Watch:
    """What the clock of a zone shows in each minute of some days around a change."""

    shown: tuple[tuple[datetime, datetime], ...]

    @property
    def start(self) -> datetime:
        return self.shown[0][0] - MINUTE

    @property
    def end(self) -> datetime:
        return self.shown[-1][0]

    def slots(self, expression: str) -> list[datetime]:
        model = Model.of(expression)
        return self.by_the_clock(model) if model.by_the_clock else self.once(model)

    def by_the_clock(self, model: Model) -> list[datetime]:
        """Each minute in which the clock shows a time that is named."""
        return [at for at, wall in self.shown if model.names(wall)]

    def once(self, model: Model) -> list[datetime]:
        """For each time that is named, the first minute when the clock shows it or is past it."""
        slots = set()
        furthest = self.shown[0][1] - MINUTE
        for at, wall in self.shown:
            while furthest < wall:
                furthest += MINUTE
                if model.names(furthest):
                    slots.add(at)
        return sorted(slots)


@cache
def watch(zone: str, day: datetime) -> Watch:
    start = day.replace(tzinfo=UTC) - timedelta(days=1)
    minutes = [start + count * MINUTE for count in range(DAYS * 1440)]
    return Watch(tuple((at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for at in minutes))


@dataclass(frozen=True)
class Model:
    """What an expression of stars, numbers, lists, ranges and steps names, as sets."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    weekdays: frozenset[int]
    by_the_clock: bool
    both_days: bool

    @classmethod
    def of(cls, expression: str) -> Model:
        minute, hour, day, _, weekday = expression.split()
        return cls(
            values(minute, 0, 59),
            values(hour, 0, 23),
            values(day, 1, 31),
            values(weekday, 0, 6),
            by_the_clock=minute[0] == "*" or hour[0] == "*",
            both_days="*" in (day[0], weekday[0]),
        )

    def names(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        days = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return all(days) if self.both_days else any(days)


def values(field: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        end = int(last or (most if step else first))  # 5/10 is 5, 15, 25 and so on
        found.update(range(int(first), end + 1, int(step or 1)))
    return frozenset(found)


def number(least: int, most: int) -> st.SearchStrategy[str]:
    single = st.integers(least, most).map(str)
    several = st.lists(single, min_size=1, max_size=3).map(",".join)
    ends = st.lists(st.integers(least, most), min_size=2, max_size=2, unique=True).map(sorted)
    span = ends.map("{0[0]}-{0[1]}".format)
    stepped = st.builds("{}/{}".format, span | single, st.integers(1, 9))
    return single | several | span | stepped


STEPS = st.sampled_from(["*", "*/2", "*/7", "*/15", "*/30"])
HOURS = number(0, 4) | number(0, 23)
DAYS_AND_MONTHS = st.sampled_from(
    ["* * *"] * 6 + ["* * 0", "29 * *", "*/2 * *", "1-6 * 0,6", "*/3 * 1-5"]
)
EXPRESSIONS = st.builds("{} {} {}".format, number(0, 59) | STEPS, HOURS | STEPS, DAYS_AND_MONTHS)


def all_slots(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    found, slot = [], schedule.next_after(after)
    while slot is not None and slot <= until:
        found.append(slot)
        slot = schedule.next_after(slot)
    return found


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@settings(max_examples=40, deadline=None)
@given(expression=EXPRESSIONS)
def test_slots_are_those_of_the_clock_none_lost_and_none_twice(
    zone: str, day: datetime, expression: str
) -> None:
    seen = watch(zone, day)

    slots = all_slots(Cron(expression, timezone=zone), seen.start, seen.end)

    assert slots == seen.slots(expression)


@settings(max_examples=60, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    expression=EXPRESSIONS,
    seconds=st.floats(0, DAYS * 86_400 - 60),
)
def test_the_next_slot_is_the_same_from_wherever_one_asks(
    change: tuple[str, datetime], expression: str, seconds: float
) -> None:
    seen = watch(*change)
    moment = seen.start + timedelta(seconds=seconds)

    found = Cron(expression, timezone=change[0]).next_after(moment)

    later = [slot for slot in seen.slots(expression) if slot > moment]
    assert found is not None
    assert found == later[0] if later else found > seen.end


@settings(max_examples=60, deadline=None)
@given(
    change=st.sampled_from(CHANGES),
    expression=EXPRESSIONS,
    ends=st.tuples(st.integers(0, DAYS * 1440 - 1), st.integers(0, DAYS * 1440 - 1)),
    limit=st.integers(1, 40),
)
def test_slots_between_two_moments_are_the_last_ones_up_to_the_limit(
    change: tuple[str, datetime], expression: str, ends: tuple[int, int], limit: int
) -> None:
    seen = watch(*change)
    after, until = (seen.shown[place][0] for place in sorted(ends))

    found = Cron(expression, timezone=change[0]).between(after, until, limit)

    assert found == [slot for slot in seen.slots(expression) if after < slot <= until][-limit:]


@pytest.mark.parametrize(("zone", "day"), CHANGES[:10])
@pytest.mark.parametrize("time", ["30 1", "30 2", "0 0", "15 2", "59 23"])
def test_a_daily_time_comes_exactly_once_a_day_whatever_the_clock_does(
    zone: str, day: datetime, time: str
) -> None:
    start = day.replace(tzinfo=ZoneInfo(zone)) - timedelta(days=2)

    slots = all_slots(
        Cron(f"{time} * * *", timezone=zone),
        start.astimezone(UTC) - MINUTE,
        (start + timedelta(days=5)).astimezone(UTC) - MINUTE,
    )

    days = [slot.astimezone(ZoneInfo(zone)).date() for slot in slots]
    assert days == [(start + timedelta(days=count)).date() for count in range(5)]


def local(slot: datetime | None, zone: str) -> str:
    assert slot is not None
    return slot.astimezone(ZoneInfo(zone)).isoformat(" ", "minutes")


def test_a_time_that_is_skipped_runs_when_the_clock_has_gone_forward() -> None:
    nightly = Cron("30 2 * * *", timezone="Europe/Berlin")

    found = nightly.next_after(datetime(2026, 3, 28, 12, tzinfo=UTC))

    assert local(found, "Europe/Berlin") == "2026-03-29 03:00+02:00"


def test_a_time_that_comes_twice_runs_the_first_time() -> None:
    nightly = Cron("30 2 * * *", timezone="Europe/Berlin")

    first = nightly.next_after(datetime(2026, 10, 24, 12, tzinfo=UTC))

    assert local(first, "Europe/Berlin") == "2026-10-25 02:30+02:00"
    assert first is not None
    assert local(nightly.next_after(first), "Europe/Berlin") == "2026-10-26 02:30+01:00"


def test_every_second_hour_is_not_lost_where_clocks_change_by_half_an_hour() -> None:
    # cronsim itself goes from 00:00 to 04:00 here.
    slots = all_slots(
        Cron("0 */2 * * *", timezone="Australia/Lord_Howe"),
        datetime(2026, 4, 4, 12, tzinfo=UTC),
        datetime(2026, 4, 4, 18, tzinfo=UTC),
    )

    assert [local(slot, "Australia/Lord_Howe")[11:16] for slot in slots] == [
        "00:00",
        "02:00",
        "04:00",
    ]


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("@daily", "2026-05-06 00:00"),
        ("@hourly", "2026-05-05 11:00"),
        ("@weekly", "2026-05-10 00:00"),
        ("@monthly", "2026-06-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("0 12 L * *", "2026-05-31 12:00"),
        ("0 12 LW * *", "2026-05-29 12:00"),
        ("0 12 * * MON#2", "2026-05-11 12:00"),
        ("0 12 * * 5L", "2026-05-29 12:00"),
        ("0 12 29 feb *", "2028-02-29 12:00"),
        ("0 12 13 * FRI", "2026-05-08 12:00"),
    ],
)
def test_expressions_mean_what_cron_means_by_them(expression: str, first: str) -> None:
    found = Cron(expression).next_after(datetime(2026, 5, 5, 10, 30, tzinfo=UTC))

    assert found == datetime.fromisoformat(f"{first}+00:00")


@given(
    seconds=st.integers(1_000_000, 10**12).map(lambda count: count / 1e6),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
        lambda found: found.replace(tzinfo=UTC)
    ),
)
def test_intervals_are_multiples_since_1970_wherever_one_asks(
    seconds: float, moment: datetime
) -> None:
    every = Every(seconds)

    first = every.next_after(moment)

    assert first is not None
    step = timedelta(seconds=seconds)
    assert moment < first <= moment + step
    assert (first - datetime(1970, 1, 1, tzinfo=UTC)) % step == timedelta(0)
    assert every.next_after(first) == first + step


@given(
    seconds=st.integers(1, 10_000),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    minutes=st.integers(0, 10_000),
    limit=st.integers(1, 20),
)
def test_intervals_between_two_moments_are_the_last_ones_up_to_the_limit(
    seconds: int, moment: datetime, minutes: int, limit: int
) -> None:
    every, after = Every(seconds), moment.replace(tzinfo=UTC)
    until = after + minutes * MINUTE

    found = every.between(after, until, limit)

    start = max(after, until - limit * timedelta(seconds=seconds))
    assert found == all_slots(every, start, until)


def test_a_year_of_missed_minutes_costs_no_more_than_the_last_of_them() -> None:
    minutely = Cron("* * * * *", timezone="Europe/Berlin")
    until = datetime(2026, 12, 31, tzinfo=UTC)

    found = minutely.between(until - timedelta(days=365), until, 3)

    assert found == [until - 2 * MINUTE, until - MINUTE, until]


@pytest.mark.parametrize("interval", ["15m", 900, 900.0, timedelta(minutes=15)])
def test_an_interval_is_given_as_people_like(interval: float | str | timedelta) -> None:
    assert Every(interval).spec == {"every": 900.0}


def test_a_moment_has_one_slot() -> None:
    moment = datetime(2026, 1, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    once = At(moment)

    assert once.next_after(moment - MINUTE) == moment
    assert once.next_after(moment) is None
    assert once.between(moment - MINUTE, moment, 5) == [moment]
    assert once.between(moment, moment + MINUTE, 5) == []


@pytest.mark.parametrize(
    "schedule",
    [
        Cron("0 3 * * MON", timezone="Europe/Berlin"),
        Every("15m"),
        At(datetime(2030, 1, 31, 8, tzinfo=ZoneInfo("Europe/Berlin"))),
    ],
)
def test_a_schedule_survives_the_way_through_its_spec(schedule: Schedule) -> None:
    again = schedule_of(schedule.spec)

    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert again.next_after(now) == schedule.next_after(now)
    assert again.spec == schedule.spec
