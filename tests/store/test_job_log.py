"""What running jobs say: stored under their fence, read while they run and afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from taskd.store import hosts, jobs, retention
from taskd.store.connect import Connection
from taskd.store.log_rows import Line, LogFilter, News
from taskd.store.logs import fetch_progress, read_log, write_journal
from taskd.store.look import fetch_job
from taskd.store.rows import JobEnd, JobRetry
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of

NOON = 1_900_000_000.0


class Attempt:
    """A running attempt that says things."""

    def __init__(self, connection: Connection, worker: int, row: list[Any]) -> None:
        self.connection, self.worker = connection, worker
        self.job, self.fence, self.number = int(row[0]), fence_of(row), int(row[4])

    def say(self, *texts: str, first: int = 1, again: bool = False, **news: Any) -> list[int]:
        lines = [Line(n, NOON + n, 20, "shop", text) for n, text in enumerate(texts, first)]
        told = News(self.job, self.fence, self.number, lines, **news)
        return write_journal(self.connection, self.worker, [told], again=again)

    def end(self, state: str = "s") -> None:
        end = JobEnd(self.job, self.fence, 0.1, state)
        assert jobs.complete_jobs(self.connection, self.worker, [end]) == []

    def retry(self) -> None:
        again = JobRetry(self.job, self.fence, 0.1, "r", 0.0)
        assert jobs.retry_jobs(self.connection, self.worker, [again]) == []


def begin(connection: Connection, worker: int | None = None) -> Attempt:
    """An attempt of the job that waits, or of a new one."""
    worker = worker or add_worker(connection)
    rows = claim(connection, worker, 1) or (add_jobs(connection) and claim(connection, worker, 1))
    return Attempt(connection, worker, rows[0])


def texts(connection: Connection, job: int, **wanted: Any) -> list[str]:
    return [line.text for line in read_log(connection, LogFilter(job, **wanted))]


def progress_rows(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM taskd.progress").fetchone()
    assert row is not None
    return int(row[0])


def test_lines_come_back_in_their_order_and_of_their_job_alone(connection: Connection) -> None:
    mine, other = begin(connection), begin(connection)

    mine.say("a", "b")
    other.say("x")
    mine.say("c", first=3)

    lines = read_log(connection, LogFilter(mine.job))
    assert [line.text for line in lines] == ["a", "b", "c"]
    first = lines[0]
    assert (first.attempt, first.level_name, first.logger) == (1, "info", "shop")
    assert first.at.timestamp() == NOON + 1


def test_lines_of_several_attempts_go_in_one_statement(connection: Connection) -> None:
    worker = add_worker(connection)
    both = [begin(connection, worker) for _ in range(2)]

    lost = write_journal(
        connection,
        worker,
        [News(a.job, a.fence, 1, [Line(1, NOON, 20, "shop", str(a.job))]) for a in both],
    )

    assert lost == []
    assert [texts(connection, a.job) for a in both] == [[str(a.job)] for a in both]


def test_an_attempt_that_lost_its_job_writes_nothing(connection: Connection) -> None:
    stale = begin(connection)
    hosts.rescue_workers(connection, [stale.worker], "killed", True)
    successor = begin(connection)
    assert successor.job == stale.job

    lost = stale.say("from the grave", progress=(0.9, "nearly"))
    successor.say("alive")

    assert lost == [stale.fence]
    assert texts(connection, stale.job) == ["alive"]
    assert fetch_progress(connection, [stale.job]) == {}


def test_another_workers_fence_writes_nothing(connection: Connection) -> None:
    attempt = begin(connection)
    attempt.worker = add_worker(connection)

    assert attempt.say("not mine") == [attempt.fence]
    assert texts(connection, attempt.job) == []


def test_an_attempt_that_ended_its_job_itself_may_still_tell_what_came_before(
    connection: Connection,
) -> None:
    attempt = begin(connection)
    attempt.end()

    assert attempt.say("just before the end") == []
    assert texts(connection, attempt.job) == ["just before the end"]


def test_what_may_have_arrived_already_is_stored_once(connection: Connection) -> None:
    attempt = begin(connection)
    attempt.say("a", "b")

    attempt.say("a", "b", "c", again=True)

    assert texts(connection, attempt.job) == ["a", "b", "c"]


def test_lines_are_read_by_attempt_level_and_place(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection, 1, max_attempts=3)
    first = begin(connection, worker)
    first.say("one", "two")
    first.retry()
    second = begin(connection, worker)
    warning = Line(1, NOON, 30, "shop", "careful")
    write_journal(connection, worker, [News(job, second.fence, 2, [warning])])

    assert texts(connection, job) == ["one", "two", "careful"]
    assert texts(connection, job, attempt=2) == ["careful"]
    assert texts(connection, job, level=30) == ["careful"]
    behind = read_log(connection, LogFilter(job), after=(first.fence, 1), limit=1)
    assert [line.text for line in behind] == ["two"]


def test_progress_is_seen_while_its_attempt_runs(connection: Connection) -> None:
    attempt = begin(connection)

    attempt.say(progress=(0.25, "3 of 12"))
    attempt.say(progress=(0.5, "6 of 12"))

    progress = fetch_progress(connection, [attempt.job])[attempt.job]
    assert (progress.fraction, progress.message) == (0.5, "6 of 12")
    assert progress_rows(connection) == 1


def test_progress_leaves_its_table_with_the_attempt_and_stays_known(
    connection: Connection,
) -> None:
    attempt = begin(connection)
    attempt.say(progress=(0.25, "3 of 12"))

    attempt.say("bye", progress=(1.0, "12 of 12"), end=2)
    attempt.end()

    assert progress_rows(connection) == 0
    assert fetch_progress(connection, [attempt.job])[attempt.job].message == "12 of 12"
    assert texts(connection, attempt.job) == ["bye"]


def test_a_new_attempt_has_not_said_how_far_it_is(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection, 1, max_attempts=3)
    first = begin(connection, worker)
    first.say(progress=(0.9, "nearly"), end=1)
    first.retry()
    assert fetch_progress(connection, [job])[job].fraction == 0.9

    second = begin(connection, worker)
    assert fetch_progress(connection, [job]) == {}

    second.say(progress=(0.1, "again"))
    assert fetch_progress(connection, [job])[job].message == "again"


def test_progress_of_a_lost_attempt_is_known_until_the_next_one_speaks(
    connection: Connection,
) -> None:
    lost = begin(connection)
    lost.say(progress=(0.7, "then it was killed"))
    hosts.rescue_workers(connection, [lost.worker], "killed", True)
    assert fetch_progress(connection, [lost.job])[lost.job].fraction == 0.7

    successor = begin(connection)
    successor.say(progress=(0.1, ""))

    assert fetch_progress(connection, [lost.job])[lost.job].fraction == 0.1
    assert progress_rows(connection) == 1


def test_progress_that_nobody_stands_for_is_forgotten_after_a_day(connection: Connection) -> None:
    lost, running = begin(connection), begin(connection)
    for attempt in (lost, running):
        attempt.say(progress=(0.7, ""))
    hosts.rescue_workers(connection, [lost.worker], "killed", True)
    connection.execute("UPDATE taskd.progress SET updated_at = now() - interval '2 days'")

    retention.prune_records(connection, 3600.0)

    assert progress_rows(connection) == 1
    assert running.job in fetch_progress(connection, [running.job])


def test_purged_jobs_leave_no_log(connection: Connection) -> None:
    attempt = begin(connection)
    attempt.say("a", progress=(0.5, ""), end=2)
    attempt.end()
    part = connection.execute(
        "SELECT 'history_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')"
    ).fetchone()
    assert part is not None

    connection.execute(
        "SELECT taskd.purge_jobs_v1(%s, 0, 100, now() + interval '1 hour', '{s}', NULL, NULL)", part
    )

    assert fetch_job(connection, attempt.job) is None
    assert connection.execute("SELECT count(*) FROM taskd.job_log").fetchone() == (0,)


FILL = """
INSERT INTO taskd.job_log (job, fence, seq, attempt, level, at, logger, text)
SELECT n / 10, n / 10, n %% 10, 1, 20, now(), 'shop', 'text'
FROM generate_series(1, %s) n
"""


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_log_is_read_and_written_by_index(connection: Connection, analyzed: bool) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 500)
    rows = claim(connection, worker, 500)
    attempt = Attempt(connection, worker, rows[0])
    connection.execute(FILL, (50_000,))
    if analyzed:
        connection.execute("ANALYZE taskd.job_log")

    def scans() -> int:
        row = connection.execute(
            "SELECT sum(pg_stat_get_xact_numscans(c.oid)) FROM pg_class c "
            "WHERE c.relname IN ('running', "
            "'job_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'))"
        ).fetchone()
        assert row is not None
        return int(row[0])

    with connection.transaction():
        attempt.say("a", again=True, progress=(0.5, ""))
        read_log(connection, LogFilter(777))
        fetch_progress(connection, [attempt.job, 777])
        assert scans() == 0


def test_a_host_makes_partitions_of_the_log_ahead(connection: Connection) -> None:
    add_host(connection)

    assert retention.make_partitions(connection, 9) > 0

    row = connection.execute(
        "SELECT count(*) FROM pg_class WHERE relname ~ '^job_log_[0-9]{8}$'"
    ).fetchone()
    assert row == (11,)
