"""The page on limits: its file and its code say the limits that the page tells of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskd.cli.limits import shown_limit
from taskd.maintenance.limits import limits_of
from taskd.tasks.publish import describe_tasks
from tests.docs.pages import HOW_TO, Page
from tests.unit.configuration import Folder
from tests.unit.tasks_project import user_code

TEXT = (HOW_TO / "limits.md").read_text(encoding="utf-8")


def test_its_file_limits_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    limits = limits_of(Folder(tmp_path).load(example))

    assert {name: shown_limit(*limit) for name, limit in limits.items()} == {
        "@queue sync": "20 at once, 100/m, bursts of 20",
        "@key stripe": "5 at once, 10/s",
    }


def test_the_listing_that_it_shows_is_that_of_its_file() -> None:
    (listed,) = re.findall(r"# LIMIT: (.*)", TEXT)

    assert listed == shown_limit(20, 100 / 60, 20)


def test_its_code_says_what_the_comments_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with user_code(tmp_path, monkeypatch) as code:
        code.module("payments", Page.read("limits.md").modules["payments"])

        needs = {task["name"]: task["needs"] for task in describe_tasks(["payments"])}

    assert needs["payments.refund"] == {"concurrency": 3, "rate": "100/m"}
    assert needs["payments.charge"]["resources"] == [
        {"kind": "limit", "name": "stripe", "concurrency": 2},
        {"kind": "limit", "name": "ledger"},
    ]
    assert needs["payments.crawl"] == {"concurrency": 10, "fair_by": "tenant"}
    assert list(needs) == [f"payments.{name}" for name in ("charge", "crawl", "refund", "stock")]
