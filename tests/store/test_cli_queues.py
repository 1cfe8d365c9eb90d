"""`taskd queues` and `taskd schema` on a real database."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from taskd.store import hosts, notify, queues
from taskd.store.connect import Connection
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host, add_jobs, add_worker
from tests.waiting import eventually

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_queues_are_listed_with_what_waits_in_them(dsn: str, connection: Connection) -> None:
    add_jobs(connection, 2, queue="mail")
    add_jobs(connection, 1, queue="sync", delay=600)

    mail, sync = taskd_json("--database", dsn, "queues", "--json")

    assert (mail["name"], mail["queued"], mail["paused"]) == ("mail", 2, False)
    assert (sync["name"], sync["scheduled"]) == ("sync", 1)
    assert taskd_json("--database", dsn, "queues", "list", "--json")[0]["name"] == "mail"


def test_the_table_names_paused_queues(dsn: str, connection: Connection) -> None:
    add_jobs(connection, queue="mail")
    queues.pause_queue(connection, "mail")

    result = run_taskd("--database", dsn, "queues")

    assert result.stdout.splitlines()[1].split()[:3] == ["mail", "paused", "1"]


def test_jobs_for_code_that_nobody_runs_have_a_line_of_their_own_and_are_explained(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection, 2, queue="sync")
    add_jobs(connection, 11, queue="sync@v2")
    add_jobs(connection, 1, queue="sync@v2", delay=600)
    host = add_host(connection)
    add_worker(connection, host, offers=["v1"])
    hosts.publish_tasks(connection, host, "io", [describe("shop.sync", add_jobs, DEFAULTS)])

    shown = run_taskd("--database", dsn, "queues")
    tasks = run_taskd("--database", dsn, "tasks")

    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:]] == [
        ["sync", "open", "2", "0"],
        ["sync@v2", "unoffered", "11", "1"],
    ]
    assert shown.stderr == (
        "12 jobs wait in sync for code v2, which no running worker offers: "
        "deploy it, or add v2 to `offers` where newer code runs\n"
    )
    assert tasks.stderr == (
        "Jobs wait in sync for code v2, which no running worker offers: see `taskd queues`.\n"
    )


def test_jobs_that_require_no_version_are_missed_by_nobody(
    dsn: str, connection: Connection
) -> None:
    add_host(connection)
    add_jobs(connection, queue="nopool")

    assert "Jobs wait" not in run_taskd("--database", dsn, "tasks").stderr


def test_the_page_on_versions_shows_what_is_printed(dsn: str, connection: Connection) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/versions.md"
    (example,) = re.findall(r"```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    add_jobs(connection, 2, queue="sync")
    add_jobs(connection, 12, queue="sync@v2")

    shown = run_taskd("--database", dsn, "queues")

    *table, hint = example.splitlines()
    assert [line.split()[:6] for line in shown.stdout.splitlines()] == [
        line.split()[:6] for line in table
    ]
    assert shown.stderr.splitlines() == [hint]


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_version_is_offered_as_long_as_a_worker_of_a_living_host_offers_it(
    dsn: str, connection: Connection, is_alive: bool
) -> None:
    add_jobs(connection, 1, queue="sync@v2")
    worker = add_worker(connection, offers=["v1", "v2"])
    if not is_alive:
        hosts.rescue_workers(connection, [worker], "over", charge=False)

    shown = run_taskd("--database", dsn, "queues")
    (queue,) = taskd_json("--database", dsn, "queues", "--json")

    assert (queue["name"], queue["requires"], queue["offered"]) == ("sync", "v2", is_alive)
    assert shown.stdout.splitlines()[1].split()[1] == ("open" if is_alive else "unoffered")
    assert (shown.stderr == "") is is_alive


def test_a_host_that_has_long_been_silent_offers_nothing(dsn: str, connection: Connection) -> None:
    add_jobs(connection, 1, queue="sync@v2")
    add_worker(connection, offers=["v2"])
    connection.execute("UPDATE taskd.host SET beat_at = now() - interval '2 minutes'")

    (queue,) = taskd_json("--database", dsn, "queues", "--json")

    assert not queue["offered"]


def test_a_pause_of_a_queue_is_one_of_what_requires_a_version_in_it(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection, 1, queue="sync@v2")
    queues.pause_queue(connection, "sync")

    plain, versioned = run_taskd("--database", dsn, "queues").stdout.splitlines()[1:]

    assert plain.split()[:3] == ["sync", "paused", "0"]
    assert versioned.split()[:3] == ["sync@v2", "paused", "1"]


def test_a_part_of_a_queue_cannot_be_paused_alone(dsn: str) -> None:
    result = run_taskd("--database", dsn, "queues", "pause", "sync@v2")

    assert result.exit_code == 2
    assert "@ parts a queue from a version" in result.stderr


def test_a_paused_queue_reaches_the_next_beat_of_every_host(
    dsn: str, connection: Connection
) -> None:
    host = add_host(connection)

    paused = run_taskd("--database", dsn, "queues", "pause", "mail")
    after_pause = hosts.beat_host(connection, host, None).paused
    resumed = run_taskd("--database", dsn, "queues", "resume", "mail")

    assert paused.stdout == "mail is paused now\n"
    assert after_pause == {"mail"}
    assert resumed.stdout == "mail is open again\n"
    assert hosts.beat_host(connection, host, None).paused == frozenset()


def test_hosts_are_told_of_a_pause_at_once(dsn: str, connection: Connection) -> None:
    notify.listen(connection)

    run_taskd("--database", dsn, "queues", "pause", "mail")

    assert eventually(lambda: notify.read_notifications(connection)) == ['"request"']


def test_pausing_and_resuming_twice_is_harmless(dsn: str) -> None:
    run_taskd("--database", dsn, "queues", "pause", "mail")

    again = run_taskd("--database", dsn, "queues", "pause", "mail", "other")
    resumed = run_taskd("--database", dsn, "queues", "resume", "never-paused")

    assert again.stdout == "mail was paused already\nother is paused now\n"
    assert resumed.stdout == "never-paused was not paused\n"
    assert again.exit_code == resumed.exit_code == 0


def test_the_schema_is_installed_once(empty_dsn: str) -> None:
    missing = run_taskd("--database", empty_dsn, "schema", "status")
    first = run_taskd("--database", empty_dsn, "schema", "install")
    second = run_taskd("--database", empty_dsn, "schema", "install")

    assert missing.exit_code == 1
    assert first.stdout.startswith("ran migration 1, initial\n")
    assert second.stdout.startswith("the schema is at version")


def test_there_is_nothing_to_upgrade_without_a_schema(empty_dsn: str) -> None:
    result = run_taskd("--database", empty_dsn, "schema", "upgrade")

    assert result.exit_code == 1
    assert "taskd schema install" in result.stderr


def test_the_status_says_which_programs_may_use_the_schema(
    dsn: str, connection: Connection
) -> None:
    connection.execute("UPDATE taskd.schema_version SET version = 9, min_compatible = 9")

    result = run_taskd("--database", dsn, "schema", "status")

    assert result.exit_code == 1
    assert result.stdout.startswith("version 9; usable by programs that know version 9")
    assert "upgrade taskd" in result.stderr


def test_the_printed_schema_installs_by_itself(empty_dsn: str) -> None:
    script = run_taskd("schema", "print").stdout

    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(script.encode())

    status = taskd_json("--database", empty_dsn, "schema", "status", "--json")
    assert status["version"] == status["known"]
    assert status["pending"] == []
