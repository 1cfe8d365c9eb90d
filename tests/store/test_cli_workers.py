"""`taskd workers` on a real database, with hosts played by the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from taskd.cli.workers import fresh_reports
from taskd.store import hosts
from taskd.store.connect import Connection
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host
from tests.waiting import eventually

PROCESSES = [
    {
        "pid": 20, "role": "worker", "pool": "io", "slot": 0, "generation": 1, "state": "ready",
        "in_flight": 3, "memory_bytes": 10_000_000, "started": "2030-01-01T00:00:00.000+00:00",
    },
    {
        "pid": 10, "role": "master", "pool": None, "slot": None, "generation": None,
        "state": "running", "in_flight": 0, "memory_bytes": 5_000_000,
        "started": "2030-01-01T00:00:00.000+00:00",
    },
]  # fmt: skip

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer_once(connection: Connection, host: int) -> None:
    eventually(lambda: hosts.take_reports(connection, host))
    hosts.write_report(connection, host, json.dumps(PROCESSES))


def test_every_process_of_a_host_that_answers_is_listed(
    dsn: str, connect_again: Callable[[], Connection]
) -> None:
    connection = connect_again()
    host = add_host(connection)
    answering = threading.Thread(target=answer_once, args=(connection, host))
    answering.start()

    master, worker = taskd_json("--database", dsn, "workers", "--json")
    answering.join()

    assert (master["pid"], master["role"], master["host"]) == (10, "master", "here")
    assert (worker["pool"], worker["state"], worker["in_flight"]) == ("io", "ready", 3)
    assert worker["memory_bytes"] == 10_000_000
    assert worker.keys() >= {"generation", "uptime", "report_age"}
    assert worker["silent"] is False


def test_a_host_that_does_not_answer_is_listed_as_it_was_and_named(
    dsn: str, connection: Connection
) -> None:
    host = add_host(connection)
    hosts.write_report(connection, host, json.dumps(PROCESSES))

    result = run_taskd("--database", dsn, "workers")

    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["10", "20"]
    assert "silent" in result.stdout
    assert result.stderr.startswith("here (master 1) does not answer: it last beat")


def test_the_table_shows_a_canary_as_one(dsn: str, connection: Connection) -> None:
    master, worker = PROCESSES[1], {**PROCESSES[0], "canary": False}
    host = add_host(connection)
    told = [master, worker, {**worker, "pid": 30, "slot": 1, "canary": True}]
    hosts.write_report(connection, host, json.dumps(told))

    result = run_taskd("--database", dsn, "workers")

    roles = [line.split()[2] for line in result.stdout.splitlines()[1:]]
    assert roles == ["master", "worker", "canary"]


def test_only_answers_after_the_question_count_as_fresh(
    connection: Connection,
) -> None:
    host = add_host(connection)
    hosts.write_report(connection, host, "[]")

    [report] = fresh_reports(connection, seconds=0.0)

    assert not report.is_fresh
    assert report.age is not None


def test_without_daemons_the_list_is_empty_and_says_so(dsn: str) -> None:
    result = run_taskd("--database", dsn, "workers", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert "No daemon is running" in result.stderr
