"""`taskd jobs` on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry, NewJobs
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_jobs, add_worker, claim, fence_of, places

SHOWN = {
    "id", "task", "queue", "state", "priority", "attempt", "args", "kwargs", "result", "error",
    "traceback", "created_at", "run_at", "started_at", "finished_at", "worker", "attempts",
}  # fmt: skip

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def end_first_job(connection: Connection, **end: str) -> int:
    worker = add_worker(connection)
    row = claim(connection, worker, 1)[0]
    job_end = JobEnd(row[0], fence_of(row), 0.5, **{"state": "s", **end})
    assert jobs.complete_jobs(connection, worker, [job_end]) == []
    return int(row[0])


def test_jobs_are_listed_newest_first(dsn: str, connection: Connection) -> None:
    ids = add_jobs(connection, 3)

    listed = taskd_json("--database", dsn, "jobs", "list", "--json")

    assert [job["id"] for job in listed] == ids[::-1]


def test_the_list_is_filtered_by_state_queue_task_and_limit(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection, 2)
    mail = add_jobs(connection, 2, queue="mail")
    later = add_jobs(connection, 1, delay=600)

    def ids(*words: str) -> list[int]:
        return [
            job["id"] for job in taskd_json("jobs", "list", "--json", *words, TASKD_DATABASE=dsn)
        ]

    assert ids("--queue", "mail") == mail[::-1]
    assert ids("--state", "scheduled") == later
    assert ids("--limit", "1", "--queue", "mail") == mail[1:]
    assert ids("--before", str(mail[1]), "--queue", "mail") == mail[:1]
    assert ids("--task", "shop.other") == []


def test_a_queue_is_listed_with_what_requires_a_version_in_it(
    dsn: str, connection: Connection
) -> None:
    (plain,) = add_jobs(connection, queue="mail")
    (versioned,) = add_jobs(connection, queue="mail@v2")
    add_jobs(connection, queue="other@v2")

    listed = taskd_json("--database", dsn, "jobs", "list", "--queue", "mail", "--json")
    sheet = run_taskd("--database", dsn, "jobs", "show", str(versioned)).stdout

    assert [(job["id"], job["queue"], job["requires"]) for job in listed] == [
        (versioned, "mail", "v2"),
        (plain, "mail", None),
    ]
    assert "requires:   code v2\n" in sheet


def test_the_table_shows_what_went_wrong_on_one_line(dsn: str, connection: Connection) -> None:
    add_jobs(connection)
    job = end_first_job(connection, state="f", error="ValueError: no\nsuch \x1b[31mshop")

    result = run_taskd("--database", dsn, "jobs", "list")

    _, line = result.stdout.splitlines()
    assert line.split()[:3] == [str(job), "failed", "shop.sync"]
    assert line.endswith(r"ValueError: no such \x1b[31mshop")


def test_a_job_is_shown_with_all_that_is_known_of_it(dsn: str, connection: Connection) -> None:
    add_jobs(connection, 1)
    job = end_first_job(connection, result='{"n": 3}')

    shown = taskd_json("--database", dsn, "jobs", "show", str(job), "--json")

    assert shown.keys() >= SHOWN
    assert shown["state"] == "succeeded"
    assert shown["args"] == [0]
    assert shown["result"] == {"n": 3}
    assert shown["priority"] == 5
    assert shown["worker"] == "io/0 on here, pid 1"
    assert shown["finished_at"] > shown["created_at"]


def test_earlier_attempts_are_shown_with_their_tracebacks(dsn: str, connection: Connection) -> None:
    [job] = jobs.enqueue_jobs(connection, NewJobs("shop.sync", ["[]"], [None], max_attempts=2))
    worker = add_worker(connection)
    [row] = claim(connection, worker)
    retry = JobRetry(job, fence_of(row), 0.1, "r", 60.0, "KeyError: 'x'", "Traceback …\n  line")
    jobs.retry_jobs(connection, worker, [retry])

    people = run_taskd("--database", dsn, "jobs", "show", str(job)).stdout
    programs = taskd_json("--database", dsn, "jobs", "show", str(job), "--json")

    assert "Attempt 1: retried after" in people
    assert "    line" in people
    assert programs["attempts"][0]["error"] == "KeyError: 'x'"
    assert programs["state"] == "scheduled"


def test_a_job_that_is_unknown_cannot_be_shown(dsn: str) -> None:
    result = run_taskd("--database", dsn, "jobs", "show", "99")

    assert result.exit_code == 1
    assert result.stderr.startswith("taskd: job 99 is unknown")


@pytest.mark.parametrize("job_id", ["0", "-1", "x", str(2**63)])
def test_an_id_that_cannot_be_is_wrong_usage(dsn: str, job_id: str) -> None:
    assert run_taskd("--database", dsn, "jobs", "show", "--", job_id).exit_code == 2


def test_waiting_jobs_are_cancelled(dsn: str, connection: Connection) -> None:
    ids = add_jobs(connection, 2)

    result = run_taskd("--database", dsn, "jobs", "cancel", *map(str, ids))

    assert result.exit_code == 0
    assert result.stdout == f"{ids[0]} cancelled\n{ids[1]} cancelled\n"
    assert places(connection, ids[0]) == ["history"]


def test_a_running_job_is_said_to_be_on_its_way_out(dsn: str, connection: Connection) -> None:
    [job] = add_jobs(connection)
    claim(connection, add_worker(connection))

    outcomes = taskd_json("--database", dsn, "jobs", "cancel", str(job), "--json")

    assert outcomes == [{"id": job, "outcome": "cancelling"}]


def test_cancelling_what_has_ended_fails_and_the_rest_is_cancelled(
    dsn: str, connection: Connection
) -> None:
    add_jobs(connection)
    ended = end_first_job(connection)
    [waiting] = add_jobs(connection)

    result = run_taskd("--database", dsn, "jobs", "cancel", str(ended), str(waiting))

    assert result.exit_code == 1
    assert f"{ended} had ended already" in result.stdout
    assert f"{waiting} cancelled" in result.stdout


def test_a_job_that_has_ended_is_enqueued_once_more(dsn: str, connection: Connection) -> None:
    add_jobs(connection)
    ended = end_first_job(connection, state="f", error="no")

    [renewed] = taskd_json("--database", dsn, "jobs", "requeue", str(ended), "--json")

    assert renewed["id"] == ended
    assert places(connection, renewed["new_id"]) == ["queued"]


def test_what_waits_cannot_be_requeued(dsn: str, connection: Connection) -> None:
    [waiting] = add_jobs(connection)

    result = run_taskd("--database", dsn, "jobs", "requeue", str(waiting), "4711")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"taskd: job {waiting} is queued: only a job that has ended can be requeued",
        "taskd: job 4711 is unknown: no such job, or its history has been dropped",
    ]


def test_what_does_not_wait_cannot_be_moved(dsn: str, connection: Connection) -> None:
    ended, running, waiting = add_jobs(connection, 3)
    assert end_first_job(connection) == ended
    claim(connection, add_worker(connection), 1)
    words = ("--database", dsn, "jobs", "move", "--to", "slow")

    trial = run_taskd(*words, str(waiting), str(running), "--dry-run")
    result = run_taskd(*words, str(ended), str(running), str(waiting), "4711")

    assert (trial.exit_code, trial.stdout) == (1, "1 would move\n")
    assert (result.exit_code, result.stdout) == (1, "1 moved\n")
    assert result.stderr.splitlines() == [
        f"taskd: job {ended} is succeeded: only a job that waits can be moved",
        f"taskd: job {running} is running: only a job that waits can be moved",
        "taskd: job 4711 is unknown: no such job, or its history has been dropped",
    ]
    assert run_taskd(*words, str(waiting)).exit_code == 0
    assert connection.execute("SELECT id FROM taskd.job WHERE queue = 'slow'").fetchall() == [
        (waiting,)
    ]


def test_a_database_without_a_schema_is_one_line_with_the_remedy(empty_dsn: str) -> None:
    result = run_taskd("--database", empty_dsn, "jobs", "list")

    assert result.exit_code == 1
    assert result.stderr.startswith("taskd: the database holds no taskd schema: run")
    assert result.stderr.count("\n") == 1
