"""`taskd schedules` on a real database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from taskd.store import jobs, schedules
from taskd.store.connect import Connection
from tests.commands import run_taskd, taskd_json
from tests.store.keepers import count
from tests.store.timetables import HOUR, declare, end, make_due, nightly, row, settle

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def host(connection: Connection) -> int:
    found = declare(connection, nightly(), nightly("other", source="code"))
    settle(connection)
    return found


def test_schedules_are_listed_with_their_next_slot_and_last_job(
    dsn: str, connection: Connection, host: int
) -> None:
    job = int(run_taskd("--database", dsn, "schedules", "run", "nightly").stdout)

    found, other = taskd_json("--database", dsn, "schedules", "--json")

    assert (found["name"], found["state"], found["source"]) == ("nightly", "active", "yaml")
    assert found["spec"] == {"every": 3600.0}
    assert found["options"]["overlap"] == "skip"
    assert (found["last_job"], found["last_state"]) == (job, "queued")
    assert datetime.fromisoformat(found["next_at"]) == row(connection).next_at
    assert other["source"] == "code"
    assert taskd_json("--database", dsn, "schedules", "list", "--json")[0] == found


def test_the_table_says_what_is_to_be_expected_of_each(
    dsn: str, connection: Connection, host: int
) -> None:
    declare(
        connection,
        nightly(),
        nightly("paused", spec={"cron": "0 3 * * *", "timezone": "Europe/Berlin"}),
        nightly("past", spec={"run_at": "2020-01-31T08:00:00+00:00"}),
        host=host,
    )
    settle(connection)
    schedules.pause_schedule(connection, "paused")

    result = run_taskd("--database", dsn, "schedules")

    lines = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    assert lines["nightly"].split()[1:4] == ["active", "every", "1h"]
    assert "in " in lines["nightly"]
    assert lines["paused"].split()[1] == "paused"
    assert "0 3 * * * Europe/Berlin" in lines["paused"]
    assert "over" in lines["past"]
    assert "at 2020-01-31 08:00:00 UTC" in lines["past"]
    assert "removed" in lines["other"]
    assert result.stderr == ""


def test_without_a_daemon_the_list_says_that_nothing_is_enqueued(
    dsn: str, connection: Connection, host: int
) -> None:
    end(connection, host)

    assert "no slot gets a job" in run_taskd("--database", dsn, "schedules").stderr


def test_a_run_enqueues_a_job_that_names_its_schedule(
    dsn: str, connection: Connection, host: int
) -> None:
    job = int(run_taskd("--database", dsn, "schedules", "run", "nightly").stdout)

    shown = taskd_json("--database", dsn, "jobs", "show", str(job), "--json")
    assert (shown["task"], shown["extra"]) == ("shop.report", {"schedule": "nightly"})
    assert "schedule:   nightly" in run_taskd("--database", dsn, "jobs", "show", str(job)).stdout


def test_a_run_beside_a_job_that_has_not_ended_is_refused(
    dsn: str, connection: Connection, host: int
) -> None:
    job = int(run_taskd("--database", dsn, "schedules", "run", "nightly").stdout)

    refused = run_taskd("--database", dsn, "schedules", "run", "nightly")
    jobs.cancel_jobs(connection, [job])
    again = run_taskd("--database", dsn, "schedules", "run", "nightly", "--json")

    assert refused.exit_code == 1
    assert refused.stderr == (
        f"taskd: job {job} of nightly has not ended, and its overlap is skip: "
        "wait, or cancel the job\n"
    )
    assert again.exit_code == 0


def test_a_pause_lasts_until_the_resume_and_what_passed_meanwhile_is_over(
    dsn: str, connection: Connection, host: int
) -> None:
    paused = run_taskd("--database", dsn, "schedules", "pause", "nightly")
    again = run_taskd("--database", dsn, "schedules", "pause", "nightly", "other")
    make_due(connection, ago=3 * 3600)

    resumed = run_taskd("--database", dsn, "schedules", "resume", "nightly")

    found = row(connection)
    assert paused.stdout == "nightly is paused now\n"
    assert again.stdout == "nightly was paused already\nother is paused now\n"
    assert resumed.stdout.startswith("nightly goes on, next in ")
    assert not found.paused
    assert found.next_at is not None
    assert found.now < found.next_at <= found.now + HOUR
    assert run_taskd("--database", dsn, "schedules", "resume", "nightly").stdout == (
        "nightly was not paused\n"
    )


@pytest.mark.parametrize("verb", ["run", "pause", "resume"])
def test_an_unknown_schedule_is_told_with_the_nearest_and_nothing_is_done(
    dsn: str, connection: Connection, host: int, verb: str
) -> None:
    names = ["nigthly"] if verb == "run" else ["other", "nigthly"]

    result = run_taskd("--database", dsn, "schedules", verb, *names)

    assert result.exit_code == 1
    assert result.stderr == "taskd: no schedule is named nigthly: did you mean nightly?\n"
    assert not row(connection, "other").paused
    assert count(connection, "SELECT count(*) FROM taskd.queued") == 0


def test_what_daemons_have_declared_is_previewed(dsn: str, host: int) -> None:
    found = taskd_json(
        "--database", dsn, "schedules", "preview", "nightly", "-n", "2",
        "--after", "2026-03-29T00:10Z", "--json",
    )  # fmt: skip

    assert [slot["utc"] for slot in found] == [
        "2026-03-29T01:00:00+00:00",
        "2026-03-29T02:00:00+00:00",
    ]


def test_a_preview_of_what_nobody_has_is_refused(dsn: str) -> None:
    result = run_taskd("--database", dsn, "schedules", "preview", "nightly")

    assert result.exit_code == 1
    assert result.stderr == (
        "taskd: no schedule is named nightly, in the file or among those of daemons\n"
    )
