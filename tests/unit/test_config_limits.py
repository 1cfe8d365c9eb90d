"""Limits of queues and of what code names: what loads, and every fault with its line."""

# ruff: noqa: E501 - the refusals stand in full, as a user reads them

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.config.settings import LimitSettings, QueueSettings, Settings
from tests.unit.configuration import Folder

HOW = "write how many jobs in a second, minute, hour or day, such as 10/s, 100/m, 1000/h or 0.5/d"
PAUSE = "leave it out for no limit, or pause the queue instead: `taskd queues pause sync`"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def test_limits_load_as_they_are_written(folder: Folder) -> None:
    settings = folder.load(
        """
        queues:
          sync: {concurrency: 20, rate: 100/m, burst: 20}
          mail: {rate: "${RATE:-0.5/h}"}
        limits:
          stripe: {concurrency: 5}
          any name at all: {rate: 10/s}
        """
    )

    assert settings.queues == {
        "sync": QueueSettings(concurrency=20, rate="100/m", burst=20),
        "mail": QueueSettings(rate="0.5/h"),
    }
    assert settings.limits == {
        "stripe": LimitSettings(concurrency=5),
        "any name at all": LimitSettings(rate="10/s"),
    }
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("concurrency: 0", f"0 is not between 1 and 1000000: {PAUSE}"),
        ("concurrency: none", f"'none' is not a whole number between 1 and 1000000: {PAUSE}"),
        ("concurrency: -1", "-1 is not between 1 and 1000000"),
        ("concurrency: 2.5", "2.5 is not a whole number between 1 and 1000000"),
        ("rate: 100", f"100 is not a rate: {HOW}"),
        ("rate: 100/w", f"'100/w' is not a rate: {HOW}"),
        ("rate: [1/s]", f"a list is not a rate: {HOW}"),
        ("rate: 0/m", "'0/m' is not more than 0: leave it out for no limit, or write such as 1/d"),
        ("burst: 5", "5 goes with a rate, and there is none: add one, such as rate: 100/m, or leave burst out"),
        ("burst:", "has no value: write one, or leave the setting out"),
    ],
)  # fmt: skip
def test_a_limit_of_a_queue_that_cannot_be_is_refused_with_its_value(
    folder: Folder, setting: str, said: str
) -> None:
    name = setting.partition(":")[0]

    fault = folder.fault(f"queues:\n  sync:\n    description: x\n    {setting}\n")

    assert fault == f"taskd.yaml:4: queues.sync.{name}: {said}"


def test_a_burst_of_none_at_all_is_told_what_to_do(folder: Folder) -> None:
    fault = folder.fault("queues: {sync: {rate: 1/s, burst: 0}}")

    assert fault == (
        "taskd.yaml:1: queues.sync.burst: 0 is not between 1 and 1000000: "
        "leave it out for one at a time"
    )


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("stripe:", "stripe: limits nothing: give it concurrency, a rate or both"),
        ("stripe: {rate: }", "stripe: limits nothing: give it concurrency, a rate or both"),
        ("stripe: {burst: 5}", "stripe.burst: 5 goes with a rate, and there is none: add one, such as rate: 100/m, or leave burst out"),
        ("stripe: {concurency: 5}", "stripe.concurency: unknown setting: did you mean concurrency?"),
        ("stripe: {concurrency: 0}", "stripe.concurrency: 0 is not between 1 and 1000000: leave it out for no limit, or pause the queues of its jobs instead: `taskd queues pause`"),
        ("'a ': {rate: 1/s}", "'a ': is no name for a limit: leave out the blanks at its ends"),
        ("'@queue sync': {rate: 1/s}", "@queue sync: is no name for a limit: it begins with @; the limits of a queue stand with the queue, as queues.NAME.concurrency, and those of a task in its code"),
        ("'': {rate: 1/s}", "'': is no name for a limit: 1 to 200 printable characters"),
    ],
)  # fmt: skip
def test_a_named_limit_that_cannot_be_is_refused(folder: Folder, limit: str, said: str) -> None:
    assert folder.fault(f"limits:\n  {limit}\n") == f"taskd.yaml:2: limits.{said}"


def test_the_remedy_names_the_queue_as_a_shell_takes_it(folder: Folder) -> None:
    fault = folder.fault("queues: {'night sync': {concurrency: 0}}")

    assert fault.endswith("`taskd queues pause 'night sync'`")
