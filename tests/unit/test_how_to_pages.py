"""The examples of how-to pages do what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from taskd.tasks.offers import offered_versions
from taskd.tasks.registry import registry
from tests.unit.configuration import Folder
from tests.unit.tasks_project import user_code

PAGES = Path(__file__).parents[2] / "docs/how-to"
PRIORITIES = (PAGES / "priorities.md").read_text(encoding="utf-8")
VERSIONS = (PAGES / "versions.md").read_text(encoding="utf-8")


def examples(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("example", examples(PRIORITIES, "yaml"))
def test_the_pages_configurations_load(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Folder(tmp_path).load(example).pools["io"].queues


def test_the_flag_of_the_page_gives_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (flag,) = re.findall(r"`--queues (\S+=\S+)`", PRIORITIES)
    folder = Folder(tmp_path)

    by_flag = folder.load("{}", {"queues": flag}).pools["default"]

    by_file = folder.load(examples(PRIORITIES, "yaml")[-1]).pools["io"]
    assert by_flag.queues == by_file.queues == {"urgent": 5, "sync": 2, "mail": 1}


def test_the_tasks_of_the_page_have_their_priorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with user_code(tmp_path, monkeypatch) as code:
        code.module("page", *examples(PRIORITIES, "python"))

        tasks = {task.name: task.defaults.priority for task in registry}

    assert (tasks["page.send_newsletter"], tasks["page.send_password"]) == (2, 9)


def test_the_code_of_the_page_on_versions_offers_what_its_task_requires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (configuration,) = examples(VERSIONS, "yaml")
    settings = Folder(tmp_path).load(configuration.replace("[v2]", "[v1]"))
    with user_code(tmp_path, monkeypatch) as code:
        code.module("shop", *examples(VERSIONS, "python"))

        assert offered_versions(settings) == {"v1", "v2"}
