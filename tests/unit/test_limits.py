"""Limits on their way from the file to the database, to a check and to a listing."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.cli.check import exit_status
from taskd.cli.checks.finding import Finding, Level
from taskd.cli.checks.limits import check_limits
from taskd.cli.limits import shown_limit
from taskd.maintenance.limits import limits_of
from taskd.store.limits import Limit
from tests.unit.configuration import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


def check(folder: Folder, text: str) -> list[Finding]:
    return list(check_limits(folder.load(text)))


def test_limits_are_declared_under_the_names_that_jobs_wait_for(folder: Folder) -> None:
    settings = folder.load(
        """
        queues:
          sync: {concurrency: 20, rate: 120/m, burst: 5}
          mail: {description: no limits}
        limits:
          stripe: {rate: 10/s}
          ftp: {concurrency: 2}
        """
    )

    assert limits_of(settings) == {
        "@queue sync": Limit(20, 2.0, 5),
        "@key stripe": Limit(None, 10.0, 1),
        "@key ftp": Limit(2),
    }


def test_a_limited_queue_that_no_pool_serves_is_told_with_its_line(folder: Folder) -> None:
    [sync, misspelt] = check(
        folder,
        "pools: {io: {queues: [mail, reports]}}\n"
        "queues:\n"
        "  mail: {rate: 1/s}\n"
        "  sync: {description: x, rate: 1/s, concurrency: 5}\n"
        "  report: {rate: 1/s}\n"
        "  other: {description: without limits}\n",
    )

    assert sync.level is misspelt.level is Level.WARNING
    assert sync.text == "taskd.yaml:4: queues.sync.concurrency: no pool here serves this queue"
    assert sync.remedy == "let a pool serve it, unless other hosts do"
    assert misspelt.text == "taskd.yaml:5: queues.report.rate: no pool here serves this queue"
    assert misspelt.remedy == "did you mean reports?"
    assert exit_status([sync, misspelt]) == 0


@pytest.mark.parametrize(
    "pools", ["{io: {queues: [a]}, all: {}}", "{io: {queues: {sync: 2, a: 1}}}"]
)
def test_limits_that_hold_somewhere_are_fine(folder: Folder, pools: str) -> None:
    [found] = check(
        folder,
        f"pools: {pools}\nqueues: {{sync: {{rate: 1/s}}}}\nlimits: {{stripe: {{rate: 1/s}}}}\n",
    )

    assert (found.level, found.text) == (Level.OK, "of 1 queue, and 1 that code names")


def test_without_limits_there_is_nothing_to_tell(folder: Folder) -> None:
    assert check(folder, "queues: {sync: {timeout: 5m}}\n") == []


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ((20, 100 / 60, 5), "20 at once, 100/m, bursts of 5"),
        ((None, 0.5, 1), "30/m"),
        ((1, None, None), "1 at once"),
        ((None, None, None), None),
    ],
)
def test_a_limit_is_shown_in_few_words(
    limit: tuple[int | None, float | None, int | None], shown: str | None
) -> None:
    assert shown_limit(*limit) == shown
