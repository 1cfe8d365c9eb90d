"""The page on schedules: its file loads, its code imports, and its preview is the command's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskd import Cron
from taskd.tasks.publish import describe_tasks
from tests.commands import run_taskd
from tests.docs.pages import HOW_TO, Page, check_block
from tests.unit.configuration import Folder
from tests.unit.tasks_project import UserCode, user_code

TEXT = (HOW_TO / "schedules.md").read_text(encoding="utf-8")
PAGE = Page.read("schedules.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        yield made


def test_the_schedules_of_its_file_load(folder: Folder) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)

    assert sorted(folder.load(example).schedules) == ["nightly", "once", "sync"]


def test_the_schedules_of_its_code_are_published(code: UserCode) -> None:
    code.module("timetable", PAGE.modules["timetable"])

    names = [
        one["name"] for task in describe_tasks(["timetable"]) for one in task.get("schedules", ())
    ]

    assert names == ["timetable.report", "timetable.sync", "sync-all"]


def test_its_lines_have_the_values_they_tell() -> None:
    names = {"Cron": Cron, "UTC": UTC, "datetime": datetime}

    assert sum(check_block(block, names) for block in PAGE.blocks) == 2


def test_its_preview_is_what_the_command_prints(folder: Folder) -> None:
    ((command, printed),) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)

    assert run_taskd(*shlex.split(command)[1:]).stdout == printed
