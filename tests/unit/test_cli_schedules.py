"""`taskd schedules preview`, which needs no database, and what `taskd check` says of schedules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskd.cli.checks.imports import check_imports
from taskd.cli.checks.schedules import check_schedules
from taskd.config.layer import Path as ConfigPath
from taskd.config.layer import dotted
from taskd.config.load import load_settings
from taskd.config.settings import ScheduleSettings
from taskd.errors import Fault
from tests.commands import run_taskd, taskd_json


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blame(path: ConfigPath, message: str) -> Fault:
    return Fault("taskd.yaml", 7, dotted(path), message)


def preview(*words: str) -> list[str]:
    result = run_taskd("schedules", "preview", *words)
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()[1:]]


def nightly(after: str) -> list[str]:
    expression = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    return preview(*expression, "--after", after, "-n", "2")


def test_slots_are_shown_by_the_clock_and_in_utc() -> None:
    assert nightly("2026-06-01T12:00Z") == [
        "Tue 2026-06-02 02:30:00 +0200 2026-06-02 00:30:00",
        "Wed 2026-06-03 02:30:00 +0200 2026-06-03 00:30:00",
    ]


def test_a_time_that_the_clock_skips_is_told() -> None:
    assert nightly("2026-03-28T12:00Z") == [
        "Sun 2026-03-29 03:00:00 +0200 2026-03-29 01:00:00 "
        "the clock went forward by 1h; the time itself is skipped that day",
        "Mon 2026-03-30 02:30:00 +0200 2026-03-30 00:30:00",
    ]


def test_a_time_that_the_clock_shows_twice_is_told() -> None:
    assert nightly("2026-10-24T12:00Z") == [
        "Sun 2026-10-25 02:30:00 +0200 2026-10-25 00:30:00 this time comes twice, it is the first",
        "Mon 2026-10-26 02:30:00 +0100 2026-10-26 01:30:00 the clock went back by 1h",
    ]


def test_what_goes_by_the_clock_shows_both_of_two_times() -> None:
    half_hours = ("--cron", "*/30 * * * *", "--timezone", "Australia/Lord_Howe")

    lines = preview(*half_hours, "--after", "2026-04-04T14:00Z", "-n", "3")

    assert [line[4:26] for line in lines] == [
        "2026-04-05 01:30:00 +1",
        "2026-04-05 01:30:00 +1",
        "2026-04-05 02:00:00 +1",
    ]
    assert lines[1].endswith("the clock went back by 30m; this time comes twice, it is the second")


def test_programs_get_times_with_offsets() -> None:
    found = taskd_json(
        "schedules", "preview", "--every", "1d", "--timezone", "Europe/Berlin",
        "--after", "2026-06-01T12:00Z", "--count", "1", "--json",
    )  # fmt: skip

    assert found == [
        {"local": "2026-06-02T02:00:00+02:00", "utc": "2026-06-02T00:00:00+00:00", "note": None}
    ]


def test_a_schedule_of_the_file_is_previewed_before_any_daemon_knows_it(
    empty_folder: Path,
) -> None:
    (empty_folder / "taskd.yaml").write_text(
        "schedules: {once: {task: shop.move, run_at: 2030-01-31T08:00:00+01:00}}\n"
    )

    assert preview("once") == ["Thu 2030-01-31 07:00:00 +0000 2030-01-31 07:00:00"]


def test_a_schedule_that_is_over_has_no_slot_left(empty_folder: Path) -> None:
    (empty_folder / "taskd.yaml").write_text(
        "schedules: {once: {task: shop.move, run_at: 2020-01-31T08:00:00+01:00}}\n"
    )

    assert run_taskd("schedules", "preview", "once").stderr == "No slot is left.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cron", "61 3 * * *"), "'61 3 * * *' has '61' as its minute, which takes 0 to 59"),
        (("--cron", "@daily", "--timezone", "Mars"), "'Mars' is no time zone that is known here"),
        (("--every", "0"), "'0' is not between 1s and 365d"),
        (("--cron", "@daily", "-n", "0"), "0 is not in the range"),
        (("a b",), "'a b' is not 1 to 200 characters"),
        ((), "say one of NAME, --cron and --every"),
        (("nightly", "--cron", "@daily"), "say one of NAME, --cron and --every"),
    ],
)
def test_wrong_usage_is_told_with_its_value(words: tuple[str, ...], said: str) -> None:
    result = run_taskd("schedules", "preview", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_a_check_finds_scheduled_tasks_that_no_code_offers() -> None:
    wanted = {
        "good": ScheduleSettings(task="shop.report", every=60.0),
        "typo": ScheduleSettings(task="shop.reprot", every=60.0),
    }

    (found,) = check_schedules(wanted, [{"name": "shop.report"}], blame)

    assert (found.level, found.text) == (
        "warning",
        "taskd.yaml:7: schedules.typo.task: no module of `imports` offers shop.reprot",
    )
    assert found.remedy == "did you mean shop.report?"


@pytest.mark.parametrize(
    ("told", "option"),
    [
        ({"needs": {"resources": None}}, "resources"),
        ({"needs": {"resources": [], "fair_by": None}}, "fair_by"),
        ({"needs": None, "unique": {"key": None}}, "unique"),
    ],
)
def test_a_check_finds_scheduled_tasks_of_which_only_code_can_make_jobs(
    told: dict[str, Any], option: str
) -> None:
    wanted = {"sync": ScheduleSettings(task="shop.sync", every=60.0)}

    (found,) = check_schedules(wanted, [{"name": "shop.sync", **told}], blame)

    assert (found.level, found.text) == (
        "fault",
        f"taskd.yaml:7: schedules.sync.task: a function of shop.sync makes its {option}, "
        "which no schedule of the file can call",
    )
    assert found.remedy == "schedule it in its code: @task(schedule=…)"


def test_a_check_counts_schedules_that_are_sound() -> None:
    wanted = {"good": ScheduleSettings(task="shop.report", every=60.0)}

    (found,) = check_schedules(wanted, [{"name": "shop.report", "schedules": [{}, {}]}], blame)

    assert (found.level, found.text) == ("ok", "1 schedule in the file, 2 in the code")


def test_a_check_is_silent_where_nothing_is_scheduled() -> None:
    assert list(check_schedules({}, [{"name": "shop.report"}], blame)) == []


SHOP = "def report(region, *, days=1): ...\n"
FILE = """\
imports: [check_shop]
schedules:
  good: {task: check_shop.report, every: 60, args: [eu], kwargs: {days: 7}}
  wrong:
    task: check_shop.report
    every: 60
    args: [eu]
    kwargs: {dayz: 7}
  many:
    task: check_shop.report
    every: 60
    args: [eu, 7]
  both: {task: check_shop.report, every: 60, args: [eu, 7], kwargs: {days: 7}}
  none: {task: check_shop.report, every: 60}
  typo:
    every: 60
    task: check_shop.reprot
"""


def test_a_check_names_the_line_of_each_schedule_that_its_task_does_not_fit(
    empty_folder: Path,
) -> None:
    (empty_folder / "check_shop.py").write_text(SHOP)
    (empty_folder / "taskd.yaml").write_text(FILE)

    settings = load_settings(environ={})
    found = [one for one in check_imports(settings) if one.subject == "schedules"]

    assert [(one.level.value, one.text) for one in found] == [
        (
            "fault",
            "taskd.yaml:8: schedules.wrong.kwargs: check_shop.report() got an unexpected keyword "
            "argument 'dayz' (did you mean 'days'?)",
        ),
        (
            "fault",
            "taskd.yaml:12: schedules.many.args: check_shop.report() got 2 positional arguments, "
            "too many: it takes (region, *, days)",
        ),
        (
            "fault",
            "taskd.yaml:13: schedules.both.args: check_shop.report() got 2 positional arguments, "
            "too many: it takes (region, *, days)",
        ),
        (
            "fault",
            "taskd.yaml:14: schedules.none: check_shop.report() missing a required argument: "
            "'region': it takes (region, *, days)",
        ),
        (
            "warning",
            "taskd.yaml:17: schedules.typo.task: no module of `imports` offers check_shop.reprot",
        ),
    ]
