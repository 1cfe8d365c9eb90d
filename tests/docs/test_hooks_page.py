"""The page on hooks, on a real daemon."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taskd
from tests.docs.pages import Page, check_block
from tests.hook_lines import no_hooks
from tests.process.daemon import Project
from tests.unit.tasks_project import user_code

PAGE = Page.read("hooks.md")
EXAMPLE = Path(__file__).parents[2] / "examples" / "hooks" / "shop_hooks.py"


@pytest.fixture
def project(dsn: str, tmp_path: Path) -> Iterator[Project]:
    """A daemon that runs the module of the page."""
    project = Project(tmp_path, dsn)
    project.write("shop_hooks.py", PAGE.modules["shop_hooks"])
    project.write("taskd.yaml", "imports: [shop_hooks]\npools: {io: {greenlets: 10}}\n")
    project.start()
    yield project
    project.close()


@pytest.fixture
def names(
    project: Project, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """What a reader has imported who has that module."""
    taskd.configure(database=dsn)
    with no_hooks(), user_code(tmp_path, monkeypatch):
        yield vars(importlib.import_module("shop_hooks"))
    taskd.configure()
    assert "shop_hooks" not in sys.modules


def test_the_page_shows_the_example_that_the_types_are_checked_of() -> None:
    assert PAGE.modules["shop_hooks"] == EXAMPLE.read_text(encoding="utf-8")


def test_the_lines_of_the_page_have_the_values_they_tell(names: dict[str, Any]) -> None:
    assert sum(check_block(block, dict(names)) for block in PAGE.blocks) == 2

    sale = names["sell"].enqueue("milk", 1)
    with pytest.raises(taskd.JobFailed, match="OutOfStock: milk"):
        sale.result(timeout=20)
    note = taskd.Job[str](sale.id + 1)
    assert note.result(timeout=20) == "no milk (checkout-17)"


def test_the_commands_of_the_page_do_what_they_tell(
    names: dict[str, Any], project: Project
) -> None:
    enqueue, show = (words[1:] for words in PAGE.commands)
    job = project.taskd(*enqueue).stdout.strip()
    assert taskd.Job[int](int(job)).result(timeout=20) == 6

    shown = project.taskd(*(job if word == "4711" else word for word in show)).stdout

    assert re.search(r"result: +6$", shown, re.M)
