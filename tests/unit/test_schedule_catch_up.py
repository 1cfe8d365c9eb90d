"""What a schedule that is due enqueues, however seldom somebody looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskd.errors import OptionInvalid
from taskd.store.schedule_rows import DueSchedule
from taskd.tasks.catch_up import GRACE, Verdict, judge
from taskd.tasks.schedule import Cron, Every, Schedule

START = datetime(2026, 3, 28, tzinfo=UTC)  # the day before the clock goes forward in Berlin
SCHEDULES = [
    Every("90s"),
    Every("1h"),
    Cron("*/10 * * * *", timezone="Europe/Berlin"),
    Cron("30 1,2,3 * * *", timezone="Europe/Berlin"),
]
HOUR = timedelta(hours=1)


def due(schedule: Schedule, next_at: datetime, now: datetime, **options: Any) -> DueSchedule:
    usual = {"catch_up": "one", "catch_up_limit": 100, "overlap": "skip"}
    return DueSchedule(
        name="nightly",
        definition=1,
        source="yaml",
        task="shop.report",
        spec=json.dumps(schedule.spec),
        args="[]",
        kwargs=None,
        options=json.dumps(usual | options),
        next_at=next_at,
        now=now,
    )


def look(schedule: Schedule, pauses: list[float], **options: Any) -> list[Verdict]:
    """Look after each of the pauses (seconds), and judge whenever something is due."""
    verdicts, now = [], START
    next_at = schedule.next_after(START)
    for pause in pauses:
        now += timedelta(seconds=pause)
        if next_at is not None and next_at <= now:
            verdicts.append(judge(due(schedule, next_at, now, **options)))
            next_at = verdicts[-1].firing.next_at
    return verdicts


PAUSES = st.lists(st.floats(0, 20) | st.floats(0, 20_000), max_size=30)


@given(schedule=st.sampled_from(SCHEDULES), pauses=PAUSES)
def test_all_makes_up_for_every_slot_once_however_seldom_one_looks(
    schedule: Schedule, pauses: list[float]
) -> None:
    verdicts = look(schedule, pauses, catch_up="all", catch_up_limit=100_000, overlap="queue")

    fired = [slot for verdict in verdicts for slot in verdict.firing.slots]
    end = START + timedelta(seconds=sum(pauses)) + timedelta(milliseconds=1)
    assert fired == schedule.between(START, end, 100_000)


@given(
    schedule=st.sampled_from(SCHEDULES), pauses=PAUSES, catch_up=st.sampled_from(["none", "one"])
)
def test_without_all_a_look_fires_the_latest_slot_at_most(
    schedule: Schedule, pauses: list[float], catch_up: str
) -> None:
    for verdict in look(schedule, pauses, catch_up=catch_up):
        assert verdict.firing.slots in ((), (verdict.firing.last,))
        assert catch_up == "none" or verdict.firing.slots


@given(
    schedule=st.sampled_from(SCHEDULES),
    pauses=PAUSES,
    catch_up=st.sampled_from(["none", "one", "all"]),
)
def test_slots_only_ever_go_forward(schedule: Schedule, pauses: list[float], catch_up: str) -> None:
    verdicts = look(schedule, pauses, catch_up=catch_up, catch_up_limit=3)

    fired = [slot for verdict in verdicts for slot in verdict.firing.slots]
    assert fired == sorted(set(fired))
    assert all(v.firing.next_at is None or v.firing.last < v.firing.next_at for v in verdicts)


@pytest.mark.parametrize(
    ("catch_up", "hours"), [("none", []), ("one", [6]), ("all", [1, 2, 3, 4, 5, 6])]
)
def test_slots_that_nobody_saw_to_are_made_up_for_as_wanted(
    catch_up: str, hours: list[int]
) -> None:
    now = START + 6.5 * HOUR

    verdict = judge(due(Every("1h"), START + HOUR, now, catch_up=catch_up))

    assert list(verdict.firing.slots) == [START + count * HOUR for count in hours]
    assert verdict.firing.next_at == START + 7 * HOUR
    assert verdict.is_late


def test_all_makes_up_for_the_latest_slots_up_to_its_limit() -> None:
    now = START + 1000.5 * HOUR

    verdict = judge(due(Every("1h"), START, now, catch_up="all", catch_up_limit=2))

    assert list(verdict.firing.slots) == [START + 999 * HOUR, START + 1000 * HOUR]


@pytest.mark.parametrize("catch_up", ["none", "one", "all"])
def test_a_slot_within_the_grace_is_not_missed(catch_up: str) -> None:
    verdict = judge(due(Every("1h"), START, START + GRACE, catch_up=catch_up))

    assert verdict.firing.slots == (START,)
    assert not verdict.is_late


def test_a_missed_slot_that_is_followed_by_one_in_time_is_told_but_not_made_up_for() -> None:
    verdict = judge(due(Every("1h"), START, START + HOUR, catch_up="none"))

    assert verdict.firing.slots == (START + HOUR,)
    assert verdict.is_late


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ({"moon": "full"}, {}),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, {}),
        ({"every": 60}, {"catch_up": "some"}),
        ({"every": 60}, {"overlap": "replace"}),
    ],
)
def test_what_only_a_newer_version_or_another_host_knows_is_refused(
    spec: dict[str, Any], options: dict[str, str]
) -> None:
    unknown = due(Every(60), START, START, **options)

    with pytest.raises(OptionInvalid):
        judge(DueSchedule(**{**_fields(unknown), "spec": json.dumps(spec)}))


def _fields(schedule: DueSchedule) -> dict[str, Any]:
    return {name: getattr(schedule, name) for name in schedule.__dataclass_fields__}
