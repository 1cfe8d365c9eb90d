from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.errors import QueryCanceled

from taskd.config.settings import QueueSettings, RetentionSettings
from taskd.maintenance import prune as prune_module
from taskd.maintenance.events import PartitionsMissing
from taskd.maintenance.prune import Prune, cancelled_after
from taskd.store import hosts, jobs, look, retention
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd
from tests.crew import Crew
from tests.store.keepers import MakeLink, count, crew, make_link
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.waiting import eventually

__all__ = ["crew", "make_link"]

OLD_PARTS = "SELECT count(*) FROM pg_class WHERE relname ~ '^(history|attempt|job_log)_2001'"


class Bench:
    def __init__(self, crew: Crew, make_link: MakeLink, connection: Connection) -> None:
        self.crew, self.connection = crew, connection
        queues = {"mail": QueueSettings(description="letters")}
        self.prune = Prune(make_link(), RetentionSettings(), queues, crew.host.events)

    def make_old_partitions(self) -> None:
        for parent in ("history", "attempt", "job_log"):
            self.connection.execute(
                f"CREATE TABLE taskd.{parent}_20010101 PARTITION OF taskd.{parent} "
                "FOR VALUES FROM ('2001-01-01 00:00:00+00') TO ('2001-01-02 00:00:00+00')".encode()
            )


@pytest.fixture
def bench(crew: Crew, make_link: MakeLink, connection: Connection) -> Bench:
    return Bench(crew, make_link, connection)


def test_partitions_are_made_for_the_days_ahead(bench: Bench) -> None:
    days = RetentionSettings().partitions_ahead + 3
    bench.prune.set(RetentionSettings(partitions_ahead=days), {})

    wait = bench.prune.step()

    assert wait == 3600
    assert retention.partition_days_ahead(bench.connection) == days


def test_partitions_older_than_the_retention_are_dropped(bench: Bench) -> None:
    bench.make_old_partitions()

    bench.prune.step()

    assert count(bench.connection, OLD_PARTS) == 0


def test_jobs_end_while_a_reader_keeps_an_old_partition_from_being_dropped(
    bench: Bench, connect_again: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_module, "DETACH_SECONDS", 0.5)
    bench.make_old_partitions()
    reader = connect_again()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM taskd.history")
    worker = add_worker(bench.connection)
    (job,) = add_jobs(bench.connection)
    (row,) = claim(bench.connection, worker)

    with ThreadPoolExecutor() as threads:
        step = threads.submit(bench.prune.step)
        eventually(lambda: is_detaching(bench.connection))
        end = JobEnd(job, fence_of(row), 0.1, "s")
        lost = complete(bench.connection, worker, end)
        wait = step.result(20)
    reader.execute("COMMIT")
    bench.prune.step()

    assert lost == []
    assert wait == 60
    assert count(bench.connection, OLD_PARTS) == 0


def complete(connection: Connection, worker: int, end: JobEnd) -> list[int]:
    return jobs.complete_jobs(connection, worker, [end])


def is_detaching(connection: Connection) -> bool:
    return bool(
        count(
            connection,
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE%DETACH%' "
            "AND wait_event_type = 'Lock' AND datname = current_database()",
        )
    )


def test_a_statement_that_takes_too_long_is_cancelled(connection: Connection) -> None:
    with (
        pytest.raises(QueryCanceled, match="canceling statement"),
        cancelled_after(connection, 0.05),
    ):
        connection.execute("SELECT pg_sleep(60)")

    assert not connection.closed


def test_a_statement_in_time_is_not_cancelled(connection: Connection) -> None:
    with cancelled_after(connection, 60.0):
        connection.execute("SELECT 1")

    assert count(connection, "SELECT 1") == 1


def test_hosts_and_workers_that_ended_long_ago_are_forgotten(bench: Bench) -> None:
    old, recent = add_host(bench.connection), add_host(bench.connection)
    for host in (old, recent):
        add_worker(bench.connection, host)
        hosts.rescue_host(bench.connection, host, None, "stopped", False)
    for table, column in (("host", "id"), ("worker", "host")):
        bench.connection.execute(
            f"UPDATE taskd.{table} SET ended_at = ended_at - interval '15 days' "
            f"WHERE {column} = {old}".encode()
        )

    bench.prune.step()

    assert count(bench.connection, "SELECT min(id) FROM taskd.host") == recent
    assert count(bench.connection, "SELECT count(*) FROM taskd.worker") == 1


def test_queues_are_described_as_configured_and_stay_paused(bench: Bench) -> None:
    bench.connection.execute("INSERT INTO taskd.queue (name, paused) VALUES ('mail', true)")

    bench.prune.step()

    (queue,) = look.list_queues(bench.connection)
    assert (queue.name, queue.description, queue.paused) == ("mail", "letters", True)


def test_missing_partitions_that_cannot_be_made_raise_an_alarm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> int:
        raise PermissionError("not allowed")

    monkeypatch.setattr(retention, "make_partitions", fails)
    monkeypatch.setattr(retention, "partition_days_ahead", lambda connection: 0)
    with pytest.raises(PermissionError):
        bench.prune.step()

    assert bench.crew.told == [PartitionsMissing(0)]
