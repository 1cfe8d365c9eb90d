"""`taskd enqueue` and `taskd tasks` on a real database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.look import fetch_job
from taskd.store.rows import JobRow, State
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host

OFFERED: dict[str, Any] = {
    "name": "shop.fetch",
    "module": "shop",
    "signature": "(url: str) -> int",
    "summary": "Fetch it.",
    "doc": "Fetch it.",
    "queue": "sync",
    "priority": 7,
    "timeout": 60.0,
    "retries": 5,
    "retry": "up to 5 times",
    "decorated": True,
}

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def enqueued(connection: Connection, dsn: str, *words: str, **variables: str) -> JobRow:
    result = run_taskd("--database", dsn, "enqueue", *words, **variables)
    assert result.exit_code == 0, result.output
    job = fetch_job(connection, int(result.stdout))
    assert job is not None
    return job


def test_a_job_is_stored_and_its_id_printed(dsn: str, connection: Connection) -> None:
    job = enqueued(connection, dsn, "shop.fetch", '["https://…", 1]', '{"deep": [null]}')

    assert (job.task, job.state) == ("shop.fetch", State.QUEUED)
    assert job.args == ["https://…", 1]
    assert job.kwargs == {"deep": [None]}


def test_options_place_the_job(dsn: str, connection: Connection) -> None:
    words = [
        "--queue",
        "mail",
        "--priority",
        "9",
        "--timeout",
        "90s",
        "--retry",
        "3",
        "--delay",
        "5m",
    ]

    job = enqueued(connection, dsn, "shop.fetch", *words)

    assert (job.queue, job.priority, job.timeout, job.max_attempts) == ("mail", 9, 90.0, 4)
    assert job.state is State.SCHEDULED


def test_the_key_of_a_job_is_held_as_long_as_is_said(dsn: str, connection: Connection) -> None:
    words = ["shop.fetch", "--unique", "k", "--unique-until"]
    held = "SELECT extract(epoch FROM expires_at - now())::float8 FROM taskd.unique_key"

    started = enqueued(connection, dsn, *words, "started")
    assert connection.execute(held).fetchall() == [(None,)]
    assert taskd_json("--database", dsn, "jobs", "cancel", str(started.id), "--json")
    enqueued(connection, dsn, *words, "1h")

    ((seconds,),) = connection.execute(held).fetchall()
    assert 3500 < seconds <= 3600


def test_an_enqueue_changes_the_job_that_holds_its_key(dsn: str, connection: Connection) -> None:
    words = ["shop.fetch", "--unique", "k"]
    first = enqueued(connection, dsn, *words, "--delay", "1h")

    for conflict in ("keep", "replace"):
        same = enqueued(connection, dsn, *words, "[2]", "--on-conflict", conflict)
        assert (same.id, same.args) == (first.id, [2] if conflict == "replace" else [])
    earlier = enqueued(connection, dsn, *words, "--on-conflict", "earlier", "--delay", "1m")

    assert first.run_at is not None
    assert earlier.run_at is not None
    assert (first.run_at - earlier.run_at).total_seconds() > 3000


def test_what_is_said_of_a_key_needs_one(dsn: str, connection: Connection) -> None:
    result = run_taskd("--database", dsn, "enqueue", "shop.fetch", "--unique-until", "started")

    assert result.exit_code == 2
    assert "add unique=True (on the command line --unique)" in result.output


def test_what_is_said_of_a_failing_parent_needs_one(dsn: str, connection: Connection) -> None:
    result = run_taskd("--database", dsn, "enqueue", "shop.fetch", "--on-parent-failure", "run")

    assert result.exit_code == 2
    assert "of a job with --after only" in result.output
    assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (0,)


@pytest.mark.parametrize(("says", "state"), [("run", State.QUEUED), ("cancel", State.CANCELLED)])
def test_a_job_runs_after_a_failed_one_if_it_says_so(
    dsn: str, connection: Connection, says: str, state: State
) -> None:
    parent = enqueued(connection, dsn, "shop.fetch")
    words = ["shop.fetch", "--after", str(parent.id), "--on-parent-failure", says]
    child = enqueued(connection, dsn, *words)

    assert taskd_json("--database", dsn, "jobs", "cancel", str(parent.id), "--json")

    found = fetch_job(connection, child.id)
    assert found is not None
    assert found.state is state


def test_a_job_is_scheduled_for_a_time(dsn: str, connection: Connection) -> None:
    job = enqueued(connection, dsn, "shop.fetch", "--run-at", "2100-01-31T08:00+02:00")

    assert job.run_at is not None
    assert job.run_at.isoformat().startswith("2100-01-31T06:00")


def test_a_task_that_a_daemon_offers_gives_its_own_options(
    dsn: str, connection: Connection
) -> None:
    hosts.publish_tasks(connection, add_host(connection), "io", [OFFERED])

    plain = enqueued(connection, dsn, "shop.fetch")
    other = enqueued(connection, dsn, "shop.fetch", "--queue", "mail")

    assert (plain.queue, plain.priority, plain.timeout, plain.max_attempts) == ("sync", 7, 60.0, 6)
    assert (other.queue, other.priority) == ("mail", 7)


def test_what_a_dead_host_offered_counts_no_more(dsn: str, connection: Connection) -> None:
    host = add_host(connection)
    hosts.publish_tasks(connection, host, "io", [OFFERED])
    connection.execute("UPDATE taskd.host SET ended_at = now()")

    assert enqueued(connection, dsn, "shop.fetch").queue == "default"


def test_a_name_without_a_module_must_be_offered_by_a_daemon(
    dsn: str, connection: Connection
) -> None:
    refused = run_taskd("--database", dsn, "enqueue", "fetch")
    hosts.publish_tasks(connection, add_host(connection), "io", [{**OFFERED, "name": "fetch"}])

    assert refused.exit_code == 2
    assert "no running daemon offers" in refused.stderr
    assert enqueued(connection, dsn, "fetch").queue == "sync"


def test_arguments_come_from_standard_input(dsn: str, connection: Connection) -> None:
    result = run_taskd("--database", dsn, "enqueue", "shop.load", "-", stdin="[1, 2]")

    job = fetch_job(connection, int(result.stdout))
    assert job is not None
    assert job.args == [1, 2]


def test_json_output_names_the_job(dsn: str) -> None:
    told = taskd_json("--database", dsn, "enqueue", "shop.fetch", "--json")

    assert told.keys() >= {"id", "task", "queue", "priority"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["shop.fetch", "[nope]"], "Expecting value at line 1 column 2"),
        (["shop.fetch", '"a"'], "not a JSON array"),
        (["shop.fetch", "[]", "[]"], "not a JSON object"),
        (["shop.fetch", '["a\\u0000"]'], "NUL character"),
        (["shop.fetch", '["\\ud800"]'], "half a character"),
        (["shop.fetch", "--priority", "10"], "10"),
        (["shop.fetch", "--delay", "-5s"], "not between"),
        (["shop.fetch", "--delay", "5s", "--run-at", "2100-01-01"], "exclude each other"),
        (["shop.fetch", "--queue", "a,b"], "commas"),
        (["shop fetch"], "spaces"),
        (["__main__.fetch"], "script"),
    ],
)
def test_what_cannot_be_stored_is_wrong_usage_and_nothing_is_stored(
    dsn: str, words: list[str], reason: str
) -> None:
    result = run_taskd("--database", dsn, "enqueue", *words)

    assert result.exit_code == 2
    assert reason in result.stderr
    assert taskd_json("--database", dsn, "jobs", "list", "--json") == []


def test_arguments_above_the_limit_are_refused_with_both_sizes(dsn: str) -> None:
    words = ["enqueue", "shop.fetch", f'["{"a" * 200}"]']

    result = run_taskd("--database", dsn, *words, TASKD_MAX_ARGS="100B")

    assert result.exit_code == 2
    assert "204 bytes" in result.stderr
    assert "100" in result.stderr


def test_tasks_are_those_that_running_daemons_offer(dsn: str, connection: Connection) -> None:
    host = add_host(connection)
    hosts.publish_tasks(connection, host, "io", [OFFERED])
    hosts.publish_tasks(connection, host, "cpu", [OFFERED])

    [task] = taskd_json("--database", dsn, "tasks", "--json")
    table = run_taskd("--database", dsn, "tasks").stdout

    assert task.keys() >= {"name", "signature", "doc", "queue", "timeout", "retries", "pools"}
    assert task["pools"] == ["cpu", "io"]
    assert "(url: str) -> int" in table


def test_a_task_is_shown_and_enqueued_with_the_version_that_it_requires(
    dsn: str, connection: Connection
) -> None:
    offered = {**OFFERED, "requires": "v2"}
    hosts.publish_tasks(connection, add_host(connection), "io", [offered])

    sheet = run_taskd("--database", dsn, "tasks", "shop.fetch").stdout
    shown = taskd_json("--database", dsn, "enqueue", "shop.fetch", '["u"]', "--json")
    job = fetch_job(connection, shown["id"])

    assert "requires: code v2\n" in sheet
    assert (shown["queue"], shown["requires"]) == ("sync", "v2")
    assert job is not None
    assert (job.queue, job.requires) == ("sync", "v2")


def test_a_task_that_nobody_offers_is_unknown(dsn: str, connection: Connection) -> None:
    add_host(connection)

    result = run_taskd("--database", dsn, "tasks", "shop.nope")

    assert result.exit_code == 1
    assert "no task is named shop.nope" in result.stderr
