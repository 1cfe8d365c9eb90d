"""Lists with nothing in them say so: an empty table leaves a newcomer wondering what he did wrong.

What is said goes to standard error, so that a program that reads the list is not disturbed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.store.connect import Connection
from tests.commands import run_taskd
from tests.store.makers import add_host

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_jobs_in_them_no_queue_is_listed_and_that_is_said(dsn: str) -> None:
    result = run_taskd("--database", dsn, "queues")

    assert result.stderr == "No queue holds a job now. What has run: `taskd jobs list`.\n"


def test_a_list_of_jobs_without_any_says_so(dsn: str) -> None:
    result = run_taskd("--database", dsn, "jobs", "list", "--state", "failed")

    assert result.stderr == "No such jobs.\n"


def test_json_of_nothing_is_an_empty_array_and_nothing_else(dsn: str) -> None:
    result = run_taskd("--database", dsn, "queues", "--json")

    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_daemons_that_offer_no_task_are_not_asked(
    dsn: str, connection: Connection, tmp_path: Path
) -> None:
    add_host(connection)
    (tmp_path / "wares.py").write_text("def pack() -> None: ...\n")

    result = run_taskd("--database", dsn, "--imports", "wares", "tasks")

    assert "wares.pack" in result.stdout
    assert result.stderr == "No daemon offers tasks; this is what `imports` holds here.\n"
