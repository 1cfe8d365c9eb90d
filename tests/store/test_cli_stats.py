"""`taskd stats` on a real database, and the commands of the page about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.store import jobs, queues
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd
from tests.commands import run_taskd, taskd_json
from tests.docs.pages import Page
from tests.store.makers import add_jobs, add_worker, claim, fence_of
from tests.store.test_statistics import succeed

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def ended(connection: Connection) -> None:
    """Three of shop.sync have succeeded, one has failed; two wait, in two parts of the queue."""
    worker = add_worker(connection)
    add_jobs(connection, 4)
    rows = claim(connection, worker)
    succeed(connection, worker, rows[:3], took=0.5)
    jobs.complete_jobs(connection, worker, [JobEnd(rows[3][0], fence_of(rows[3]), 0.5, "f")])
    add_jobs(connection, 1)
    add_jobs(connection, 1, queue="default@v2")


def test_a_queue_is_told_with_what_has_ended_and_what_waits(dsn: str) -> None:
    (found,) = taskd_json("--database", dsn, "stats", "--json")

    assert (found["name"], found["succeeded"], found["failed"]) == ("default", 3, 1)
    assert found["jobs_per_second"] == pytest.approx(4 / found["seconds"])
    assert 900 <= found["seconds"] < 961
    assert found["failure_rate"] == 0.25
    assert found["run"]["count"] == 4
    assert found["run"]["p95"] == pytest.approx(0.5, rel=0.2)
    assert found["wait_for_worker"]["count"] == 4
    assert found["wait_for_resources"]["p50"] is None
    assert found["backlog"]["queued"] == 2
    assert found["backlog"]["runnable"] == 1  # the worker offers no v2


def test_the_table_has_a_line_for_each_task(dsn: str) -> None:
    title, line = run_taskd("--database", dsn, "stats", "--by", "task").stdout.splitlines()

    assert title.split()[:5] == ["TASK", "JOBS/S", "SUCCEEDED", "FAILED", "RETRIED"]
    assert "QUEUED" not in title
    assert line.split()[0] == "shop.sync"
    assert line.split()[2:6] == ["3", "1", "0", "25.0%"]


def test_a_queue_in_which_nothing_has_ended_is_shown_with_what_waits(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection, 2, queue="mail")
    queues.pause_queue(connection, "mail")

    title, _, mail = run_taskd("--database", dsn, "stats").stdout.splitlines()

    assert title.split()[-4:] == ["QUEUED", "RUNNABLE", "RUNNING", "OLDEST"]
    assert mail.split()[0] == "mail"
    assert mail.split()[11:14] == ["2", "0", "0"]


def test_a_time_that_no_statistics_reach_is_refused(dsn: str) -> None:
    result = run_taskd("--database", dsn, "stats", "--last", "91d")

    assert result.exit_code == 2
    assert "'91d' is not between 60s and 90d" in result.output.replace("1m", "60s")


def test_the_commands_of_the_page_work(dsn: str) -> None:
    commands = Page.read("figures.md").commands

    assert len(commands) == 5
    for _, *words in commands:
        result = run_taskd("--database", dsn, *words)
        assert result.exit_code == 0, result.output
