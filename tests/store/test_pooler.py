"""Everything but LISTEN goes through PgBouncer in transaction mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

import taskd
from taskd.store import connect, hosts, jobs, look, retention, schedules, schema
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.rows import JobEnd, JobFilter, JobRetry
from taskd.tasks.calls import PART_JOBS
from tests.servers import RunningServer, start_pgbouncer
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of, ids_of, lanes
from tests.store.timetables import declare, fire, make_due, nightly, row, settle, the_due

if TYPE_CHECKING:
    from tests.conftest import TestServer

pytestmark = pytest.mark.one_server


@pytest.fixture(scope="module")
def bouncer(debian_server: TestServer) -> Iterator[RunningServer]:
    running = start_pgbouncer(debian_server.dsn)
    yield running
    running.stop()


@pytest.fixture
def pooled(debian_server: TestServer, bouncer: RunningServer) -> Iterator[str]:
    """A DSN through the pooler to a fresh database."""
    name = debian_server.create(template="template0")
    yield psycopg.conninfo.make_conninfo(bouncer.dsn, dbname=name)
    debian_server.drop(name)


def opened(dsn: str) -> Connection:
    return connect.connect(dsn)


def test_the_schema_is_installed_once_through_a_pooler(pooled: str) -> None:
    ran: list[int] = []

    def install() -> None:
        with closing(opened(pooled)) as connection:
            ran.append(len(schema.install_or_upgrade(connection)))

    threads = [threading.Thread(target=install) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ran) == [0, 0, 0, 0, len(schema.MIGRATIONS)]


def test_the_whole_life_of_jobs_goes_through_a_pooler(pooled: str) -> None:
    with closing(opened(pooled)) as connection:
        schema.install_or_upgrade(connection)
        host = add_host(connection)
        worker = add_worker(connection, host)
        ids = add_jobs(connection, 5, max_attempts=2)
        add_jobs(connection, 1, delay=60)
        rows = claim(connection, worker)
        fences = [fence_of(row) for row in rows]

        assert ids_of(rows) == ids
        assert jobs.complete_succeeded(connection, worker, ids[:1], fences[:1], [0.1]) == []
        assert (
            jobs.complete_jobs(
                connection, worker, [JobEnd(ids[1], fences[1], 0.1, "f", None, "e", "t")]
            )
            == []
        )
        assert (
            jobs.retry_jobs(connection, worker, [JobRetry(ids[2], fences[2], 0.1, "r", 30.0)]) == []
        )
        assert jobs.give_back_jobs(connection, worker, ids[3:4], fences[3:4]) == 1
        assert hosts.beat_host(connection, host, True).alive
        assert hosts.rescue_workers(connection, [worker], "killed", True) == (1, 0)
        assert jobs.promote_jobs(connection, 10).promoted == 0
        assert set(jobs.cancel_jobs(connection, ids).values()) == {"cancelled", "ended"}
        assert len(look.list_jobs(connection, JobFilter())) == 6
        for expired in retention.expired_partitions(connection, "history", -86400.0):
            assert retention.drop_partition(connection, expired)


def test_nothing_is_prepared_behind_a_pooler(pooled: str) -> None:
    with closing(opened(pooled)) as connection, closing(opened(pooled)) as other:
        schema.install_or_upgrade(connection)
        ids = [add_jobs(each, 1)[0] for _ in range(10) for each in (connection, other)]

        found = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()

    assert len(set(ids)) == 20
    assert found == (0,)


def test_jobs_are_handed_off_and_nothing_is_prepared_behind_a_pooler(pooled: str) -> None:
    with (
        closing(opened(pooled)) as connection,
        closing(opened(pooled)) as other,
        closing(opened(pooled)) as beside,  # so that the others send nothing else
    ):
        schema.install_or_upgrade(connection)
        for own in [connection, other] * 5:
            worker = add_worker(beside)
            first, second = add_jobs(beside, 2)
            (row,) = claim(beside, worker, 1)
            both = HandOff(lanes(), 1, None, 0)
            lost = jobs.complete_succeeded(
                own, worker, [first], [fence_of(row)], [0.1], hand_off=both
            )
            ((claimed, _, _, fence, *_),) = jobs.decode_claimed(both.claimed) or [[]]
            ends = [JobEnd(second, fence, 0.1, "s", "1")]
            assert (lost, claimed, jobs.complete_jobs(own, worker, ends)) == ([], second, [])

        found = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()

    assert found == (0,)


def test_many_jobs_go_through_a_pooler_in_parts(pooled: str) -> None:
    with closing(opened(pooled)) as connection:
        schema.install_or_upgrade(connection)
    taskd.configure(database=pooled)
    try:
        made = taskd.enqueue_many("shop.sync", [(number,) for number in range(3 * PART_JOBS + 1)])
    finally:
        taskd.configure()

    with closing(opened(pooled)) as connection:
        found = connection.execute("SELECT id, args FROM taskd.queued ORDER BY seq").fetchall()
    assert found == [(job.id, f"[{number}]") for number, job in enumerate(made)]


def test_workers_share_few_server_connections(pooled: str) -> None:
    with closing(opened(pooled)) as connection:
        schema.install_or_upgrade(connection)
        ids = add_jobs(connection, 400)
    claimed: list[int] = []

    def drain() -> None:
        with closing(opened(pooled)) as own:
            worker = add_worker(own)
            while rows := claim(own, worker, 10):
                claimed.extend(ids_of(rows))
                lost = jobs.complete_succeeded(
                    own, worker, ids_of(rows), [fence_of(row) for row in rows], [0.0] * len(rows)
                )
                assert lost == []

    threads = [threading.Thread(target=drain) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(claimed) == ids


def test_the_whole_life_of_a_schedule_goes_through_a_pooler(pooled: str) -> None:
    with closing(opened(pooled)) as connection:
        schema.install_or_upgrade(connection)
        declare(connection, nightly(), nightly("other"))
        settle(connection)
        make_due(connection)

        assert len(fire(connection, the_due(connection)) or []) == 1
        assert schedules.pause_schedule(connection, "other")
        assert schedules.resume_schedule(connection, row(connection, "other"), None)
        assert schedules.prune_schedules(connection, 3600.0) == 0
