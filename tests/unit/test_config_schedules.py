"""Schedules in the file: what loads, and every fault with its line."""

# ruff: noqa: E501 - the refusals stand in full, as a user reads them

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskd.config.cron import ALIASES, check_cron, check_moment, check_timezone
from taskd.config.settings import ScheduleSettings, Settings
from tests.unit.configuration import Folder, run_python


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def test_schedules_load_as_they_are_written(folder: Folder) -> None:
    settings = folder.load(
        """
        schedules:
          nightly:
            task: shop.tasks.report
            cron: "0 3 * * *"
            timezone: Europe/Berlin
            args: [eu, {days: 7}]
            kwargs: {full: true}
            queue: reports
            priority: 3
            catch_up: all
            catch_up_limit: 24
            overlap: queue
          often: {task: shop.tasks.sync, every: 15m}
          once: {task: shop.tasks.move, run_at: 2030-01-31T08:00:00+01:00, args: , kwargs: }
        """
    )

    assert settings.schedules == {
        "nightly": ScheduleSettings(
            task="shop.tasks.report",
            cron="0 3 * * *",
            timezone="Europe/Berlin",
            args=("eu", {"days": 7}),
            kwargs={"full": True},
            queue="reports",
            priority=3,
            catch_up="all",
            catch_up_limit=24,
            overlap="queue",
        ),
        "often": ScheduleSettings(task="shop.tasks.sync", every=900.0),
        "once": ScheduleSettings(task="shop.tasks.move", run_at="2030-01-31T07:00:00+00:00"),
    }
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("cron: 61 3 * * *", "'61 3 * * *' has '61' as its minute, which takes 0 to 59"),
        ("cron: 0 24 * * *", "'0 24 * * *' has '24' as its hour, which takes 0 to 23"),
        ("cron: 0 0 0 * *", "'0 0 0 * *' has '0' as its day of month, which takes 1 to 31, L or LW"),
        ("cron: 0 0 * 13 *", "'0 0 * 13 *' has '13' as its month, which takes 1 to 12 or JAN to DEC"),
        ("cron: 0 0 * * MO", "'0 0 * * MO' has 'MO' as its day of week, which takes 0 to 7 or SUN to SAT"),
        ("cron: a b * * *", "'a b * * *' has 'a' as its minute, which takes 0 to 59 and 'b' as its hour, which takes 0 to 23"),
        ("cron: 0 3 * *", "'0 3 * *' has 4 fields, not 5: minute, hour, day of month, month, day of week"),
        ("cron: 0 0 3 * * *", "'0 0 3 * * *' has 6 fields, not 5: minute, hour, day of month, month, day of week; for seconds use an interval"),
        ("cron: 0 0 30 2 *", "'0 0 30 2 *' never comes: no month has such a day"),
        ("cron: '*/0 * * * *'", "'*/0 * * * *' has '*/0' as its minute, which takes 0 to 59"),
        ("cron: '@reboot'", "'@reboot' is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"),
        ("cron: 5", '5 is not a cron expression such as "0 3 * * MON-FRI"'),
        ("every: 0", "0s is not between 1s and 365d: leave the schedule out if it is not to run"),
        ("every: 0s", "'0s' is not between 1s and 365d: leave the schedule out if it is not to run"),
        ("every: -5", "-5s is not between 1s and 365d"),
        ("every: hourly", "'hourly' is not a duration: write seconds, or a number with ms, s, m, h or d"),
        ("run_at: tomorrow", "'tomorrow' is not a date and time with its offset, such as 2030-01-31T08:00:00+01:00"),
        ("run_at: 2030-01-31T08:00", "'2030-01-31T08:00' is not a date and time with its offset, such as 2030-01-31T08:00:00+01:00"),
        ("run_at: 2030", "2030 is not a date and time"),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_is_refused_with_its_value(
    folder: Folder, setting: str, said: str
) -> None:
    name = setting.partition(":")[0]

    fault = folder.fault(f"schedules:\n  nightly:\n    task: shop.report\n    {setting}\n")

    assert fault == f"taskd.yaml:4: schedules.nightly.{name}: {said}"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("timezone: Europe/Berln", "timezone: 'Europe/Berln' is no time zone that is known here: did you mean Europe/Berlin?"),
        ("timezone: europe/berlin", "timezone: 'europe/berlin' is no time zone that is known here: did you mean Europe/Berlin?"),
        ("timezone: Mars", "timezone: 'Mars' is no time zone that is known here: write one such as Europe/Berlin"),
        ("timezone: ../../etc/passwd", "timezone: '../../etc/passwd' is no time zone that is known here: write one such as Europe/Berlin"),
        ("timezone: Europe", "timezone: 'Europe' is no time zone that is known here: did you mean Europe/Rome?"),
        ("timezone: localtime", "timezone: 'localtime' is no time zone that is known here: write one such as Europe/Berlin"),
        ("every: 5m", "every: and cron exclude each other: give one of them"),
        ("run_at: 2030-01-31T08:00Z", "run_at: and cron exclude each other: give one of them"),
        ("args: 5", "args: 5 is not a list of arguments such as [eu, 7]"),
        ("args: {a: 1}", "args: a mapping is not a list of arguments such as [eu, 7]"),
        ("kwargs: [1]", "kwargs: a list is not arguments by name such as {days: 7}"),
        ("queue: 'a,b'", "queue: 'a,b' is no name for a queue: commas, NUL and other control characters are not allowed"),
        ("queue: 5", "queue: 5 is not the name of a queue: put it in quotes if it is text"),
        ("priority: 10", "priority: 10 is not between 0 and 9"),
        ("retry: -1", "retry: -1 is not between 0 and 32766"),
        ("timeout: 0", "timeout: 0s is not between 1ms and 365d: leave it out for the task's own"),
        ("catch_up: some", "catch_up: 'some' is not one of none, one, all"),
        ("catch_up: all", "catch_up: 'all' is to make up for every slot, of which overlap 'skip' would skip all but the first: set overlap to 'queue' as well"),
        ("catch_up_limit: 0", "catch_up_limit: 0 is not between 1 and 1000"),
        ("overlap: run", "overlap: 'run' is not one of skip, queue"),
        ("overlap:", "overlap: has no value: write one, or leave the setting out"),
        ("crom: x", "crom: unknown setting: did you mean cron?"),
    ],
)  # fmt: skip
def test_what_else_cannot_be_is_refused_with_its_value(
    folder: Folder, setting: str, said: str
) -> None:
    fault = folder.fault(
        f"schedules:\n  nightly:\n    task: shop.report\n    cron: 0 3 * * *\n    {setting}\n"
    )

    assert fault == f"taskd.yaml:5: schedules.nightly.{said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", ["has no task: say what is to be enqueued", "does not say when: give it cron, every or run_at"]),
        ("", ["has no task: say what is to be enqueued", "does not say when: give it cron, every or run_at"]),
        ("{every: 5m}", ["has no task: say what is to be enqueued"]),
        ("{task: a.b}", ["does not say when: give it cron, every or run_at"]),
    ],
)  # fmt: skip
def test_what_a_schedule_lacks_is_told(folder: Folder, text: str, said: list[str]) -> None:
    faults = folder.faults(f"schedules:\n  nightly: {text}\n")

    assert faults == [f"taskd.yaml:2: schedules.nightly: {each}" for each in said]


def test_a_zone_without_cron_is_refused(folder: Folder) -> None:
    fault = folder.fault("schedules: {a: {task: b, every: 5m, timezone: Europe/Berlin}}")

    assert fault == (
        "taskd.yaml:1: schedules.a.timezone: goes with cron alone, and every needs none"
    )


def test_a_setting_with_a_fault_of_its_own_is_not_told_as_missing(folder: Folder) -> None:
    faults = folder.faults("schedules: {a: {task: '${NOPE}', cron: '${NOPE}'}}")

    assert [fault.partition(": the env")[0] for fault in faults] == [
        "taskd.yaml:1: schedules.a.task",
        "taskd.yaml:1: schedules.a.cron",
    ]


def test_a_key_given_twice_is_no_schedule_of_its_own(folder: Folder) -> None:
    fault = folder.fault("schedules:\n  a:\n    task: b\n    every: 5m\n    every: 6m\n")

    assert fault == ("taskd.yaml:5: schedules.a.every: is given twice, first on line 4: keep one")


def test_the_name_of_a_schedule_has_no_spaces(folder: Folder) -> None:
    fault = folder.fault("schedules: {every night: {task: a, every: 5m}}")

    assert fault == (
        "taskd.yaml:1: schedules.every night: "
        "is not 1 to 200 characters without spaces and control characters"
    )


def test_a_star_without_quotes_is_explained(folder: Folder) -> None:
    fault = folder.fault("schedules:\n  a:\n    task: b\n    cron: * * * * *\n")

    assert fault == (
        "taskd.yaml:4: begins a text with *, which YAML takes for an alias: put it in quotes"
    )


def test_bytes_that_are_not_utf8_are_no_arguments(folder: Folder) -> None:
    environ = {"X": "a\udcff"}

    fault = folder.fault("schedules: {a: {task: b, every: 5m, args: ['${X}']}}", environ=environ)

    assert fault == "taskd.yaml:1: schedules.a.args: a list holds what is not UTF-8"


def test_schedules_do_not_carry_data(folder: Folder) -> None:
    fault = folder.fault(f"schedules: {{a: {{task: b, every: 5m, args: ['{'x' * 100_000}']}}}}")

    assert fault.startswith("taskd.yaml:1: schedules: takes 100,0")
    assert "pass a reference" in fault


def answer(check: Callable[[str], str], text: str) -> str:
    """What a check says of a text; anything but a ValueError is its fault."""
    try:
        return check(text)
    except ValueError as error:
        return f"refused: {error}"


@given(st.text() | st.text("0123456789*/,-LW#AMON ", max_size=30))
@example("0 0 * * MON#")
@example("0 0 L/2 * *")
@example("² 0 * * *")
@example("0 0 31 4 L")
@example("9" * 180 + " 0 * * *")
def test_any_text_is_an_expression_or_refused_with_a_sentence(text: str) -> None:
    found = answer(check_cron, text)

    assert found.startswith("refused: ") or len(found.split()) == 5 or found in ALIASES


@given(st.text())
@example("")
@example("/")
@example("UTC\0")
@example("a" * 5000)
def test_any_text_is_a_zone_or_refused_with_a_sentence(text: str) -> None:
    found = answer(check_timezone, text)

    assert found.startswith("refused: is no time zone") or found == text


@given(st.text() | st.datetimes(timezones=st.timezones()).map(str))
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-12:00")
def test_any_text_is_a_moment_or_refused_with_a_sentence(text: str) -> None:
    found = answer(check_moment, text)

    assert found.startswith("refused: is not a date and time") or found.endswith("+00:00")


def test_cronsim_is_imported_only_where_there_is_an_expression(folder: Folder) -> None:
    folder.write("schedules: {a: {task: b, every: 5m}}")

    loaded = run_python(
        "import sys\n"
        "from taskd.config.load import load_settings\n"
        f"load_settings({str(folder.path / 'taskd.yaml')!r}, {{}}, {{}})\n"
        "print('cronsim' in sys.modules)\n"
    )

    assert loaded == "False\n"
