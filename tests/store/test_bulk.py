"""Orders to many jobs at once, chosen by a filter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from taskd.store import bulk, choice, jobs, mail
from taskd.store.connect import Connection, connect
from taskd.store.graph import enqueue_graph
from taskd.store.look import list_jobs
from taskd.store.rows import JobEnd, JobFilter, NewGraph, NewJob, NewJobs, State
from tests.commands import run_taskd, taskd_json
from tests.store.graph_makers import one_that_waits, wait_for_nobody
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of, lanes, places

OLD_HISTORY = """
INSERT INTO taskd.history (
    id, created_at, finished_at, priority, attempt, max_attempts, state, queue, task, args)
SELECT nextval('taskd.job_seq'), now(), now() - interval '2 h', 5, 1, 1, 's', 'default',
       'shop.sync', '[]'
FROM generate_series(1, %s)
"""
ENDED_AT = "UPDATE taskd.history SET finished_at = %s WHERE id = %s"


def add_day(connection: Connection, day: str) -> None:
    """Let the history have a partition for what ended then."""
    connection.execute(
        f"CREATE TABLE taskd.history_{day.replace('-', '')} PARTITION OF taskd.history "
        f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day} 24:00+00')".encode()
    )


def add_calls(connection: Connection, *calls: tuple[str, str | None], **options: Any) -> list[int]:
    args, kwargs = zip(*calls, strict=True)
    return jobs.enqueue_jobs(connection, NewJobs("shop.sync", list(args), list(kwargs), **options))


def end_all(connection: Connection, state: str, error: str | None = None) -> list[int]:
    worker = add_worker(connection)
    rows = claim(connection, worker)
    ends = [JobEnd(row[0], fence_of(row), 0.1, state, None, error) for row in rows]
    jobs.complete_jobs(connection, worker, ends)
    return ids_of(rows)


def test_filters_choose_by_queue_age_arguments_and_text(connection: Connection) -> None:
    first, second, odd = add_calls(
        connection, ("[1,2]", '{"to":"x"}'), ("[1,3]", '{"to":"y","cc":"x"}'), ('["\\u0000"]', None)
    )
    connection.execute(
        "UPDATE taskd.queued SET created_at = now() - interval '1 h' WHERE id = %s", (second,)
    )

    def found(**wanted: Any) -> list[int]:
        return sorted(job.id for job in list_jobs(connection, JobFilter(**wanted)))

    assert found(args=[1]) == [first, second]
    assert found(args=[None, 3]) == [second]
    assert found(kwargs={"to": "x"}) == [first]
    assert found(older_than=1800.0) == [second]
    assert found(since=1800.0) == [first, odd]
    assert found(since=7200.0, until=1800.0) == [second]
    assert found(since=datetime(2000, 1, 1, tzinfo=UTC), finished_since=7200.0) == []
    assert found(queue="default", state=State.QUEUED) == [first, second, odd]
    assert found(queue="other") == []


def test_what_matches_is_cancelled_wherever_it_is(connection: Connection) -> None:
    waiting = add_jobs(connection, 2, queue="mail")
    later = add_jobs(connection, 1, queue="mail", delay=60)
    kept = add_jobs(connection, 1, queue="sync")
    (running,) = ids_of(claim(connection, add_worker(connection), 1, ("mail", 5, 0)))

    assert bulk.count_live(connection, JobFilter(queue="mail")) == 4 - 1
    assert bulk.cancel_matching(connection, JobFilter(queue="mail")) == {
        "cancelled": 2,
        "cancelling": 1,
    }
    states = {job.id: job.state for job in list_jobs(connection, JobFilter())}
    assert states == {
        running: State.CANCELLING,
        **dict.fromkeys({*waiting, *later} - {running}, State.CANCELLED),
        kept[0]: State.QUEUED,
    }


def test_failures_are_requeued_by_their_error(connection: Connection) -> None:
    add_jobs(connection, 2)
    end_all(connection, "f", "TimeoutError: page 7")
    add_jobs(connection, 1)
    end_all(connection, "f", "ValueError")

    wanted = JobFilter(state=State.FAILED, error="TimeoutError")

    assert bulk.count_ended(connection, wanted) == 2
    assert bulk.requeue_matching(connection, wanted) == 2
    assert bulk.count_live(connection, JobFilter(state=State.QUEUED)) == 2


def test_what_was_requeued_is_not_requeued_again_by_the_same_filter(
    connection: Connection,
) -> None:
    wanted = JobFilter(state=State.FAILED)
    first, second = add_jobs(connection, 2)
    end_all(connection, "f")

    renewed = jobs.requeue_jobs(connection, [first])
    assert bulk.requeue_matching(connection, wanted) == 1
    assert bulk.requeue_matching(connection, wanted) == 0
    again = end_all(connection, "f")

    assert renewed[first] in again
    assert {job.id: job.requeued_as for job in list_jobs(connection, wanted)} == {
        first: again[0],
        second: again[1],
        again[0]: None,
        again[1]: None,
    }
    assert bulk.requeue_matching(connection, wanted) == 2


def test_of_two_requeues_of_the_same_at_once_the_second_finds_nothing_left(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other, watcher = connect_again(), connect_again()
    wanted = JobFilter(state=State.FAILED)
    add_jobs(connection, 3)
    end_all(connection, "f")

    other.execute("BEGIN")
    assert bulk.requeue_matching(other, wanted) == 3
    call = partial(bulk.requeue_matching, connection, wanted)
    with one_that_waits(watcher, connection, call) as second:
        other.execute("COMMIT")
        assert second.result() == 0

    assert bulk.count_live(connection, JobFilter()) == 3


def test_a_purge_leaves_what_is_requeued_meanwhile_to_the_next(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()
    _, requeued, _ = add_jobs(connection, 3)
    end_all(connection, "f")
    wait_for_nobody(connection)

    other.execute("BEGIN")
    jobs.requeue_jobs(other, [requeued])
    first = sum(count for _, count in bulk.purge_jobs(connection, 0.0, [State.FAILED]))
    other.execute("COMMIT")
    second = sum(count for _, count in bulk.purge_jobs(connection, 0.0, [State.FAILED]))

    assert (first, second) == (2, 1)


def test_a_delete_locks_in_the_order_of_a_requeue(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other, watcher = connect_again(), connect_again()
    first, second = add_jobs(connection, 2)
    end_all(connection, "f")
    add_day(connection, "2020-01-01")
    connection.execute(ENDED_AT, ("2020-01-01 12:00+00", second))

    other.execute("BEGIN")
    jobs.requeue_jobs(other, [first])
    call = partial(choice.delete_jobs, connection, [first, second])
    with one_that_waits(watcher, connection, call) as delete:
        assert jobs.requeue_jobs(other, [second]) != {}
        other.execute("COMMIT")
        assert delete.result() == 2

    assert bulk.count_ended(connection, JobFilter()) == 0


def test_by_id_a_job_is_requeued_as_often_as_asked_and_the_command_says_so(
    dsn: str, connection: Connection
) -> None:
    (job,) = add_jobs(connection)
    end_all(connection, "f")
    taskd = ("--database", dsn, "jobs")

    (first,) = taskd_json(*taskd, "requeue", str(job), "--json")
    told = run_taskd(*taskd, "requeue", str(job)).stdout
    (third,) = taskd_json(*taskd, "requeue", str(job), "--json")
    shown = taskd_json(*taskd, "show", str(job), "--json")

    assert first == {"id": job, "new_id": job + 1, "before": None}
    assert told == f"{job} is now {job + 2}; it had been requeued as {job + 1} already\n"
    assert third == {"id": job, "new_id": job + 3, "before": job + 2}
    assert shown["requeued_as"] == job + 3
    assert f"requeued:   as job {job + 3}\n" in run_taskd(*taskd, "show", str(job)).stdout
    assert taskd_json(*taskd, "requeue", "--state", "failed", "--dry-run", "--json") == {
        "would_requeue": 0
    }


def test_waiting_jobs_move_and_keep_their_order(connection: Connection) -> None:
    first, second = add_jobs(connection, 2)
    (urgent,) = add_jobs(connection, 1, priority=9)
    (later,) = add_jobs(connection, 1, delay=60)
    (there,) = add_jobs(connection, 1, queue="slow")

    assert bulk.move_matching(connection, JobFilter(queue="default"), "slow") == 4

    rows = claim(connection, add_worker(connection), 9, ("slow", 9, 0), ("slow", 5, 0))
    assert ids_of(rows) == [urgent, there, first, second]
    assert places(connection, later) == ["scheduled"]
    assert jobs.claim_jobs(connection, add_worker(connection), lanes(), 9) == []


def test_a_purge_forgets_what_was_asked_and_nothing_else(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 300)
    rows = claim(connection, worker, 300)
    ends = [JobEnd(r[0], fence_of(r), 0.1, "s" if r[0] % 3 else "f", "1") for r in rows]
    jobs.complete_jobs(connection, worker, ends)
    (waiting,) = add_jobs(connection, 1)

    steps = list(bulk.purge_jobs(connection, 0.0, [State.SUCCEEDED]))

    assert sum(count for _, count in steps) == 200
    assert steps[-1][0] == 1.0
    assert bulk.count_ended(connection, JobFilter()) == 100
    assert connection.execute("SELECT count(*) FROM taskd.result").fetchone() == (100,)
    assert places(connection, waiting) == ["queued"]
    assert sum(count for _, count in bulk.purge_jobs(connection, 3600.0, list(State)[-3:])) == 0


def test_a_worker_claims_and_completes_while_a_purge_is_at_it(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PURGE_BLOCKS", 4)
    connection.execute(OLD_HISTORY, (2000,))
    add_jobs(connection, 200)
    with closing(connect(dsn)) as elsewhere:
        elsewhere.execute("SET lock_timeout = '5s'")
        worker = add_worker(elsewhere)
        purge = bulk.purge_jobs(connection, 3600.0, [State.SUCCEEDED])

        forgotten, completed = [], []
        for _ in range(200):
            with connection.transaction():  # what a step locks, it has locked
                step = next(purge, None)
                (row,) = claim(elsewhere, worker, 1)
                ends = [row[0]], [fence_of(row)], [0.1]
                assert jobs.complete_succeeded(elsewhere, worker, *ends) == []
            completed.append(row[0])
            if step is None:
                break
            forgotten.append(step[1])

    assert sum(forgotten) == 2000
    assert len(forgotten) > 5
    assert max(forgotten) < 500
    left = connection.execute("SELECT array_agg(id ORDER BY id) FROM taskd.history").fetchone()
    assert left == (completed,)


def test_a_purge_goes_on_when_retention_drops_a_day_before_it_gets_there(
    connection: Connection,
) -> None:
    for day in ("2020-01-01", "2020-01-02", "2020-01-03"):
        add_day(connection, day)
        (job,) = add_jobs(connection, 1)
        end_all(connection, "s")
        connection.execute(ENDED_AT, (f"{day} 12:00+00", job))
    purge = bulk.purge_jobs(connection, 86400.0, [State.SUCCEEDED])

    first = next(purge)
    connection.execute("DROP TABLE taskd.history_20200102")
    second, third, *_ = purge

    assert [count for _, count in (first, second, third)] == [1, 0, 1]
    assert first[0] < second[0] < third[0] <= 1.0
    assert bulk.count_ended(connection, JobFilter()) == 0


def test_the_command_takes_ids_or_a_filter(dsn: str, connection: Connection) -> None:
    add_jobs(connection, 3, queue="mail")
    taskd = ("--database", dsn, "jobs")

    assert taskd_json(*taskd, "cancel", "--queue", "mail", "--dry-run", "--json") == {
        "would_cancel": 3
    }
    assert taskd_json(*taskd, "move", "--queue", "mail", "--to", "slow", "--json") == {"moved": 3}
    assert taskd_json(*taskd, "cancel", "--queue", "slow", "--json") == {
        "cancelled": 3,
        "cancelling": 0,
    }
    assert "3 requeued" in run_taskd(*taskd, "requeue", "--state", "cancelled").output
    assert "3 purged" in run_taskd(*taskd, "purge", "--older-than", "0").output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["cancel"], "which jobs?"),
        (["cancel", "7", "--queue", "mail"], "exclude each other"),
        (["requeue", "--args", "7"], "is a number, not a JSON array"),
        (["move", "7"], "--to"),
        (["purge"], "--older-than"),
        (["purge", "--older-than", "7d", "--state", "queued"], "queued"),
    ],
)
def test_an_order_that_says_too_little_does_nothing(
    dsn: str, connection: Connection, words: list[str], reason: str
) -> None:
    (job,) = add_jobs(connection)

    result = run_taskd("--database", dsn, "jobs", *words)

    assert result.exit_code == 2
    assert reason in result.output
    assert places(connection, job) == ["queued"]


def test_what_comes_after_a_job_that_is_purged_at_once_is_cancelled(connection: Connection) -> None:
    add_calls(connection, ("[1]", None))
    (parent,) = end_all(connection, "s")
    child = NewJob(task="shop.sync", args="[2]", parents=(parent,))
    (late,) = enqueue_graph(connection, NewGraph((child,), always_notify=True))

    assert sum(count for _, count in bulk.purge_jobs(connection, 0.0, [State.SUCCEEDED])) == 1
    mail.dispatch(connection)

    assert [(job.id, job.state) for job in list_jobs(connection, JobFilter())] == [
        (late, State.CANCELLED)
    ]
