"""`taskd check` on real databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from taskd.cli.checks import database
from taskd.store.connect import Connection
from tests.commands import run_taskd, taskd_json


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finding(subject: str, *flags: str) -> Any:
    findings = taskd_json("--state-dir", ".", *flags, "check", "--json")
    [found] = [finding for finding in findings if finding["subject"] == subject]
    return found


def test_a_healthy_database_has_no_faults(dsn: str) -> None:
    result = run_taskd("--database", dsn, "--state-dir", ".", "check")

    assert result.exit_code == 0, result.output
    assert "notifications arrive" in result.stdout


def test_an_empty_database_is_fine_for_a_user_who_may_fill_it(empty_dsn: str) -> None:
    found = finding("schema", "--database", empty_dsn)

    assert found["level"] == "ok"
    assert "not there yet" in found["text"]


def test_a_schema_that_this_user_may_not_use_is_a_fault_with_the_grant(
    dsn: str, connection: Connection
) -> None:
    connection.execute("DROP ROLE IF EXISTS onlooker")
    connection.execute("CREATE ROLE onlooker LOGIN")

    onlooker = make_conninfo(dsn, user="onlooker")
    result = run_taskd("--database", onlooker, "--state-dir", ".", "check")

    assert result.exit_code == 1
    assert "fault    schema         belongs to taskd, and onlooker may not use it" in result.stdout
    assert "remedy: GRANT taskd TO onlooker, or connect as taskd" in result.stdout


def test_a_schema_from_the_future_is_a_fault(dsn: str, connection: Connection) -> None:
    connection.execute("UPDATE taskd.schema_version SET version = 9, min_compatible = 9")

    result = run_taskd("--database", dsn, "--state-dir", ".", "check")

    assert result.exit_code == 1
    assert "fault    schema" in result.stdout


def test_an_unreachable_database_is_a_fault_with_a_remedy() -> None:
    result = run_taskd("--database", "host=/nowhere", "--state-dir", ".", "check")

    assert result.exit_code == 1
    assert "fault    database" in result.stdout
    assert "remedy: start the server" in result.stdout


def test_for_a_server_that_refuses_the_remedy_is_not_to_start_it(dsn: str) -> None:
    result = run_taskd("--database", f"{dsn} dbname=nowhere", "check")

    assert result.exit_code == 1
    assert "remedy: correct `database`" in result.stdout


def test_check_tells_all_faults_of_a_configuration_with_status_2(tmp_path: Path) -> None:
    (tmp_path / "taskd.yaml").write_text("pools:\n  io: {greenlets: -3}\nquues: {}\n")

    result = run_taskd("check")

    assert result.exit_code == 2
    assert result.stdout.count("fault    configuration") == 2
    assert "taskd.yaml:2: pools.io.greenlets: -3 is not between 1 and 10000" in result.stdout


def test_notifications_that_get_lost_are_a_warning_with_two_remedies(
    dsn: str, empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "HEARING_SECONDS", 0.2)

    # Another database hears nothing, as a connection through a pooler does.
    found = finding("listen", "--database", dsn, "--listen", empty_dsn)

    assert found["level"] == "warning"
    assert "listen: false" in found["remedy"]


def test_polling_by_choice_is_fine(dsn: str) -> None:
    assert finding("listen", "--database", dsn, "--listen", "false")["level"] == "ok"


def test_more_workers_than_the_server_has_connections_for_are_a_warning(dsn: str) -> None:
    found = finding("connections", "--database", dsn, "--processes", "900")

    assert found["level"] == "warning"
    assert "max_connections" in found["text"]
