from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from taskd.store import hosts, jobs, retention
from taskd.store import statistics as stats
from taskd.store.connect import Connection
from taskd.store.graph import enqueue_graph
from taskd.store.histogram import upper_bound
from taskd.store.rows import JobEnd, JobRetry, NewGraph, NewJob
from taskd.store.statistics import By, Counts
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of, ids_of

ConnectAgain = Callable[[], Connection]
QUARTER = 900.0


def counts(connection: Connection, by: By = By.ALL, **chosen: Any) -> Counts:
    """What the last quarter of an hour has in all, after a roll-up."""
    stats.roll_up(connection)
    (found,) = stats.summarize(connection, QUARTER, by, **chosen)
    return found.counts


def succeed(
    connection: psycopg.Connection[Any], worker: int, rows: Sequence[Any], took: float = 0.1
) -> None:
    lost = jobs.complete_succeeded(
        connection, worker, ids_of(rows), [fence_of(row) for row in rows], [took] * len(rows)
    )
    assert lost == []


def shift_back(connection: Connection, seconds: float) -> None:
    """Let what is counted have happened so long ago."""
    connection.execute(
        "UPDATE taskd.statistic SET at = at - %s * interval '1 second' WHERE span <> 't'",
        (seconds,),
    )


def test_every_way_to_end_is_counted_as_what_it_is(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 8, max_attempts=3)
    rows = claim(connection, worker)
    succeed(connection, worker, rows[:2])
    jobs.complete_jobs(connection, worker, [JobEnd(rows[2][0], fence_of(rows[2]), 0.1, "f")])
    jobs.complete_jobs(connection, worker, [JobEnd(rows[3][0], fence_of(rows[3]), None, "c")])
    jobs.retry_jobs(
        connection,
        worker,
        [
            JobRetry(rows[4][0], fence_of(rows[4]), 0.1, "r", 60.0),
            JobRetry(rows[5][0], fence_of(rows[5]), 0.1, "t", 60.0),
            JobRetry(rows[6][0], fence_of(rows[6]), 0.1, "z", 60.0),
        ],
    )
    hosts.rescue_workers(connection, [worker], "killed", charge=True)
    (waiting, *_) = add_jobs(connection, 1, delay=60.0)
    jobs.cancel_jobs(connection, [waiting])

    found = counts(connection)

    assert (found.succeeded, found.failed, found.cancelled) == (2, 1, 2)
    assert (found.retried, found.lost, found.returned) == (2, 1, 1)
    assert found.started == 7  # all but the two that were cancelled before they began
    assert found.runs.count == 5
    assert found.waits.count == 7
    assert found.failure_rate == pytest.approx(3 / 5)


def test_statistics_are_told_by_queue_by_task_and_by_pool(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 3)
    add_jobs(connection, 2, queue="mail")
    succeed(connection, worker, claim(connection, worker, 10, ("default", 5, 0), ("mail", 5, 0)))
    stats.roll_up(connection)

    def told(by: By, **chosen: Any) -> dict[str, int]:
        found = stats.summarize(connection, QUARTER, by, **chosen)
        return {each.name: each.counts.succeeded for each in found}

    assert told(By.QUEUE) == {"default": 3, "mail": 2}
    assert told(By.TASK) == {"shop.sync": 5}
    assert told(By.POOL) == {"io": 5}
    assert told(By.TASK, queue="mail") == {"shop.sync": 2}
    assert told(By.QUEUE, task="shop.other") == {}


def test_jobs_that_require_a_version_count_for_their_queue(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 1, queue="mail@v2")
    succeed(connection, worker, claim(connection, worker, 1, ("mail@v2", 5, 0)))
    stats.roll_up(connection)

    assert [each.name for each in stats.summarize(connection, QUARTER, By.QUEUE)] == ["mail"]


def test_what_commits_late_is_counted_when_it_commits(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 2)
    first, second = claim(connection, worker)
    late = connect_again()
    with late.transaction():
        succeed(late, worker, [first])
        succeed(connection, worker, [second])
        above = stats.roll_up(connection).last
        assert above is not None
        assert counts(connection).succeeded == 1

    assert stats.roll_up(connection, above).taken == 0  # a mark alone would lose it
    assert counts(connection).succeeded == 2


def test_a_completion_that_is_rolled_back_was_never_counted(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    worker = add_worker(connection)
    add_jobs(connection)
    rows = claim(connection, worker)
    other = connect_again()
    with other.transaction(force_rollback=True):
        succeed(other, worker, rows)
    assert stats.roll_up(connection).taken == 0

    succeed(connection, worker, rows)

    assert counts(connection).succeeded == 1


def test_a_roll_up_that_dies_half_way_neither_loses_nor_doubles(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 5)
    succeed(connection, worker, claim(connection, worker))
    with connection.transaction(force_rollback=True):
        assert stats.roll_up(connection).taken == 1

    assert counts(connection).succeeded == 5
    assert counts(connection).succeeded == 5
    assert [total.counts.succeeded for total in stats.totals(connection)] == [5]


def test_hosts_that_roll_up_at_once_count_each_job_once(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    total, batch = 600, 5
    worker = add_worker(connection)
    add_jobs(connection, total)
    rows = claim(connection, worker, total)
    is_over = threading.Event()

    def roll_up(session: Connection) -> None:
        while not is_over.is_set():
            stats.roll_up(session, most=3)

    sessions = [connect_again() for _ in range(3)]
    threads = [threading.Thread(target=roll_up, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for start in range(0, total, batch):
        succeed(connection, worker, rows[start : start + batch])
    is_over.set()
    for thread in threads:
        thread.join()

    found = counts(connection)
    assert (found.started, found.succeeded, found.runs.count) == (total, total, total)
    assert [each.counts.succeeded for each in stats.totals(connection)] == [total]


def test_one_that_is_at_it_makes_nobody_wait(
    connection: Connection, connect_again: ConnectAgain
) -> None:
    with connection.transaction():
        stats.roll_up(connection)

        assert stats.roll_up(connect_again()).taken == -1


def test_a_start_counts_in_its_own_minute_and_the_end_in_another(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection)
    succeed(connection, worker, claim(connection, worker), took=1800.0)
    stats.roll_up(connection)

    began, ended = stats.curve(connection, 3600.0, 60.0)

    assert (began.counts.started, began.counts.succeeded) == (1, 0)
    assert (ended.counts.started, ended.counts.succeeded) == (0, 1)
    assert (ended.at - began.at).total_seconds() == 1800.0


def test_what_attempts_of_one_tally_differ_in_is_counted_of_each(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO taskd.tally (outcome, queue, task, runs, waits, asks, cpu, memory)"
        " VALUES ('s', 'q', 't', '{0.0005, 0.3, 40, -0.2}', '{0, 0.3, NULL, 2}', NULL, 7, 100),"
        " ('g', 'q', 't', '{NULL, NULL}', '{NULL, NULL}', NULL, NULL, NULL),"
        " ('f', 'q', 't', '{5}', '{-1}', '{0.25}', 0.5, -30)"
    )

    found = counts(connection)

    assert (found.succeeded, found.failed, found.returned, found.started) == (4, 1, 2, 5)
    assert found.runs.count == 5
    assert found.runs.seconds == pytest.approx(45.3005)
    assert (found.waits.count, found.waits.seconds) == (4, pytest.approx(2.3))
    assert (found.asks.count, found.asks.seconds) == (1, 0.25)
    assert found.cpu_seconds == pytest.approx(7.5005)
    assert found.memory_growth == 70


@pytest.mark.parametrize("seconds", [0.00005, 0.0001, 0.0003, 0.02, 1.0, 59.9, 3600.0, 86400.0])
def test_a_duration_falls_into_the_bucket_that_ends_at_or_above_it(
    connection: Connection, seconds: float
) -> None:
    row = connection.execute("SELECT taskd.bucket_v1(%s)", (seconds,)).fetchone()

    assert row is not None
    bucket = int(row[0])
    assert seconds <= upper_bound(bucket) * 1.000001
    assert bucket == 0 or seconds > upper_bound(bucket - 1) * 0.999999


def test_quantiles_are_at_most_a_fifth_off(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 100)
    for number, row in enumerate(claim(connection, worker), start=1):
        succeed(connection, worker, [row], took=number / 100)

    runs = counts(connection).runs

    for part in (0.5, 0.95, 0.99):
        assert runs.quantile(part) == pytest.approx(part, rel=0.2)
    assert runs.mean == pytest.approx(0.505)


def test_the_waits_for_resources_and_for_a_worker_are_two_figures(connection: Connection) -> None:
    worker = add_worker(connection)
    needy = NewJob(task="shop.sync", args="[]", res=("a",), need=(2**31 - 1,))
    enqueue_graph(connection, NewGraph((needy,)))
    add_jobs(connection)
    connection.execute("UPDATE taskd.queued SET created_at = created_at - interval '10 seconds'")
    rows = claim(connection, worker, 2)
    assert len(rows) == 2
    succeed(connection, worker, rows, took=0.0)

    found = counts(connection)

    assert found.asks.count == 1
    assert found.asks.seconds == pytest.approx(10.0, abs=2.0)
    assert found.waits.count == 2
    assert found.waits.seconds == pytest.approx(10.0, abs=2.0)


def test_every_span_holds_the_same(connection: Connection) -> None:
    worker = add_worker(connection)
    for took in (0.1, 5.0, 70.0):
        add_jobs(connection, 2)
        succeed(connection, worker, claim(connection, worker), took=took)
    stats.roll_up(connection)

    times = (QUARTER, 6 * 3600.0, stats.DAY, 7 * stats.DAY, 30 * stats.DAY)
    found, *others = (
        summary.counts for since in times for summary in stats.summarize(connection, since, By.ALL)
    )

    assert others == [found] * 4
    assert (found.started, found.succeeded, found.runs.count) == (6, 6, 6)


def spans(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT DISTINCT span::text FROM taskd.statistic")}


def test_of_old_minutes_the_hours_stay(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection)
    succeed(connection, worker, claim(connection, worker))
    stats.roll_up(connection)
    shift_back(connection, 3 * stats.DAY)

    assert stats.thin_statistics(connection) == 2
    assert stats.thin_statistics(connection) == 0

    assert spans(connection) == {"h", "q", "d", "t"}
    (found,) = stats.summarize(connection, 7 * stats.DAY, By.ALL)
    assert found.counts.succeeded == 1


def test_what_began_in_an_hour_long_thinned_is_added_to_it(connection: Connection) -> None:
    worker = add_worker(connection)
    for _ in range(2):
        add_jobs(connection)
        succeed(connection, worker, claim(connection, worker), took=3 * stats.DAY)
        stats.roll_up(connection)
        stats.thin_statistics(connection)

    (found,) = stats.summarize(connection, 5 * stats.DAY, By.ALL)

    assert (found.counts.started, found.counts.succeeded) == (2, 2)


def test_old_hours_and_the_totals_that_no_hour_names_are_forgotten(connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection)
    succeed(connection, worker, claim(connection, worker))
    stats.roll_up(connection)
    shift_back(connection, 91 * stats.DAY)

    stats.thin_statistics(connection)

    assert spans(connection) == set()


def test_a_partition_of_the_history_still_comes_and_goes(connection: Connection) -> None:
    (oldest, *_) = retention.expired_partitions(connection, "history", -86400.0 * 2)

    assert retention.drop_partition(connection, oldest)
    assert retention.make_partitions(connection, 7) == 1


def test_the_curve_has_a_point_for_each_step_in_which_something_ended(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 2)
    rows = claim(connection, worker)
    succeed(connection, worker, rows[:1])
    stats.roll_up(connection)
    shift_back(connection, 1200.0)
    succeed(connection, worker, rows[1:])
    stats.roll_up(connection)

    points = stats.curve(connection, 3600.0, 600.0)

    assert [point.counts.succeeded for point in points] == [1, 1]
    assert all(point.at.timestamp() % 600 == 0 for point in points)


def test_idle_hosts_are_no_reason_to_count_anything_twice(connection: Connection) -> None:
    add_host(connection)

    assert stats.roll_up(connection) == stats.RolledUp(0, None)
    assert stats.summarize(connection, QUARTER, By.QUEUE) == []
