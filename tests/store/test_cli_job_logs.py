"""`taskd jobs logs` on a real database, and what `list` and `show` tell of progress."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.log_rows import Line, News
from taskd.store.logs import write_journal
from taskd.store.rows import JobEnd, JobRetry
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_jobs, add_worker, claim, fence_of

NOON = 1_900_000_000.123

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Job:
    """A job with a worker that runs its attempts."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.worker = add_worker(connection)
        (self.id,) = add_jobs(connection, 1, max_attempts=3)
        self.begin()

    def begin(self) -> None:
        (row,) = claim(self.connection, self.worker)
        self.fence, self.attempt = fence_of(row), int(row[4])

    def say(self, *lines: tuple[int, str], progress: tuple[float, str] | None = None) -> None:
        told = [Line(n, NOON, level, "shop", text) for n, (level, text) in enumerate(lines, 1)]
        news = News(self.id, self.fence, self.attempt, told, progress)
        assert write_journal(self.connection, self.worker, [news]) == []

    def retry(self) -> None:
        again = JobRetry(self.id, self.fence, 0.1, "r", 0.0, "ValueError: no")
        assert jobs.retry_jobs(self.connection, self.worker, [again]) == []
        self.begin()

    def end(self, state: str, error: str | None = None) -> None:
        end = JobEnd(self.id, self.fence, 0.1, state, None, error)
        assert jobs.complete_jobs(self.connection, self.worker, [end]) == []


@pytest.fixture
def job(connection: Connection) -> Job:
    return Job(connection)


def test_lines_tell_time_level_logger_and_text(dsn: str, job: Job) -> None:
    job.say((20, "begun"), (30, "careful"))

    result = run_taskd("--database", dsn, "jobs", "logs", str(job.id))

    at = datetime.fromtimestamp(NOON).isoformat(sep=" ", timespec="milliseconds")
    assert result.stdout.splitlines() == [
        f"{at} info    shop: begun",
        f"{at} warning shop: careful",
    ]


def test_a_text_takes_no_terminal_over_and_cannot_pass_for_a_line_of_the_log(
    dsn: str, job: Job
) -> None:
    job.say((20, "red \x1b[31m\r\nsecond"))

    result = run_taskd("--database", dsn, "jobs", "logs", str(job.id))

    first, second = result.stdout.splitlines()
    assert first.endswith(r"red \x1b[31m\r")
    assert second == "    second"


def test_attempts_are_told_apart_and_one_can_be_had_alone(dsn: str, job: Job) -> None:
    job.say((20, "first try"))
    job.retry()
    job.say((20, "second try"))

    both = run_taskd("--database", dsn, "jobs", "logs", str(job.id)).stdout.splitlines()
    one = run_taskd("--database", dsn, "jobs", "logs", str(job.id), "--attempt", "2").stdout

    assert [line.rpartition("shop: ")[2] for line in both] == [
        "first try",
        "--- attempt 2",
        "second try",
    ]
    assert one.count("\n") == 1
    assert one.endswith("second try\n")


def test_lines_below_a_level_can_be_left_out(dsn: str, job: Job) -> None:
    job.say((10, "d"), (20, "i"), (30, "w"), (40, "e"))

    result = run_taskd("--database", dsn, "jobs", "logs", str(job.id), "--level", "warning")

    assert [line[-1] for line in result.stdout.splitlines()] == ["w", "e"]


def test_json_is_an_object_a_line(dsn: str, job: Job) -> None:
    job.say((20, "a\nb"), (40, "c"))

    result = run_taskd("--database", dsn, "jobs", "logs", str(job.id), "--json")

    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["job"], first["attempt"], first["level"]) == (job.id, 1, "info")
    assert (first["logger"], first["text"], second["level"]) == ("shop", "a\nb", "error")
    assert datetime.fromisoformat(first["at"]).timestamp() == NOON


def test_an_unknown_job_is_one_sentence(dsn: str) -> None:
    result = run_taskd("--database", dsn, "jobs", "logs", "4711")

    assert result.exit_code == 1
    assert result.stderr == (
        "taskd: job 4711 is unknown: no such job, or its history has been dropped\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("0",), "0 is not in the range"),
        (("1", "--attempt", "0"), "0 is not in the range"),
        (("1", "--level", "loud"), "'loud' is not one of"),
    ],
)
def test_what_cannot_be_asked_for_is_wrong_usage(
    dsn: str, words: tuple[str, ...], said: str
) -> None:
    result = run_taskd("--database", dsn, "jobs", "logs", *words)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("state", "error", "status", "said"),
    [
        ("s", None, 0, ""),
        ("f", "ValueError: \x1b[31mboom", 1, r"failed: ValueError: \x1b[31mboom"),
        ("c", "no longer wanted", 1, "cancelled: no longer wanted"),
    ],
)
def test_following_ends_with_the_job_and_has_its_status(
    dsn: str, job: Job, state: str, error: str | None, status: int, said: str
) -> None:
    results = []
    follower = threading.Thread(
        target=lambda: results.append(
            run_taskd("--database", dsn, "jobs", "logs", str(job.id), "--follow")
        )
    )
    job.say((20, "first"))

    follower.start()
    job.retry()
    job.say((20, "second"))
    follower.join(0.3)
    assert follower.is_alive()
    job.end(state, error)
    follower.join(10)

    (result,) = results
    assert result.exit_code == status
    texts = [line.rpartition("shop: ")[2] for line in result.stdout.splitlines()]
    assert texts == ["first", "--- attempt 2", "second"]
    assert result.stderr == (f"taskd: job {job.id} {said}\n" if said else "")


def test_the_progress_of_running_jobs_is_listed(dsn: str, connection: Connection, job: Job) -> None:
    job.say(progress=(0.405, "12 of \x1b[31m30"))
    add_jobs(connection, 1)

    table = run_taskd("--database", dsn, "jobs", "list").stdout.splitlines()
    listed = taskd_json("--database", dsn, "jobs", "list", "--json")

    assert table[0].split()[5] == "DONE"
    assert " 40 %" in table[2]
    assert listed[0]["progress"] is None
    assert listed[1]["progress"]["fraction"] == 0.405
    assert listed[1]["progress"]["message"] == "12 of \x1b[31m30"


def test_a_job_is_shown_with_its_progress_also_after_its_end(
    dsn: str, connection: Connection, job: Job
) -> None:
    news = News(job.id, job.fence, 1, [], (0.405, "12 of \x1b[31m30"), end=1)
    write_journal(connection, job.worker, [news])
    job.end("f", "ValueError: boom")

    sheet = run_taskd("--database", dsn, "jobs", "show", str(job.id)).stdout
    shown = taskd_json("--database", dsn, "jobs", "show", str(job.id), "--json")

    assert r"progress:   40 %, 12 of \x1b[31m30, just now" in sheet
    assert shown["progress"]["fraction"] == 0.405
    datetime.fromisoformat(shown["progress"]["updated_at"])
