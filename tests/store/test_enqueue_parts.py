"""Many jobs at once: in parts, of which one is made while the server stores another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from taskd import configure, enqueue_many
from taskd.errors import NotJson
from taskd.store.connect import Connection
from taskd.store.prepared import Prepared
from taskd.store.rows import NewJobs
from taskd.tasks.calls import PART_JOBS
from taskd.tasks.client import default_client
from tests.store.keepers import count
from tests.store.makers import notifications

MANY = [(number,) for number in range(4 * PART_JOBS - 1)]
"""Three parts: each may have twice as many as the one before."""
QUEUED = "SELECT count(*) FROM taskd.queued"

LOCK = Prepared("lock", "SELECT pg_advisory_xact_lock($1::bigint) IS NULL")
ABRUPT = 5.0
"""Seconds after which a wait that has no end is given up."""


@pytest.fixture(autouse=True)
def configured(dsn: str) -> Iterator[None]:
    configure(database=dsn)
    yield
    configure()


def with_fault() -> list[Any]:
    return [*MANY, ({1},)]


def server_process() -> int:
    with default_client().connection() as own:
        return own.info.backend_pid


def test_all_are_stored_in_order(connection: Connection) -> None:
    made = enqueue_many("shop.sync", MANY)

    found = connection.execute("SELECT id, args FROM taskd.queued ORDER BY seq").fetchall()
    assert found == [(job.id, f"[{number}]") for job, (number,) in zip(made, MANY, strict=True)]


def test_a_fault_of_the_last_leaves_nothing_and_spoils_no_connection(
    connection: Connection,
) -> None:
    enqueue_many("shop.sync", MANY)
    before = server_process()

    with pytest.raises(NotJson, match=f"^item {len(MANY)}: argument 1: set is not JSON"):
        enqueue_many("shop.sync", with_fault())

    assert count(connection, QUEUED) == len(MANY)
    assert server_process() == before


@pytest.mark.parametrize("number", [0, PART_JOBS, len(MANY) - 1])
def test_what_the_server_refuses_leaves_nothing(connection: Connection, number: int) -> None:
    connection.execute(
        f"ALTER TABLE taskd.queued ADD CONSTRAINT odd CHECK (args <> '[{number}]')".encode()
    )

    with pytest.raises(psycopg.errors.CheckViolation):
        enqueue_many("shop.sync", MANY)

    assert count(connection, QUEUED) == 0
    assert enqueue_many("shop.sync", [(-1,)])


def test_who_is_interrupted_between_parts_leaves_nothing_and_spoils_no_connection(
    connection: Connection,
) -> None:
    enqueue_many("shop.sync", MANY)
    before = server_process()

    def read(ids: list[int]) -> list[int]:
        raise KeyboardInterrupt

    parts = [NewJobs("shop.sync", ["[1]"] * 9, [None] * 9) for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        default_client().store_parts(parts, read)

    assert count(connection, QUEUED) == len(MANY)
    assert server_process() == before


def test_a_fault_leaves_a_callers_transaction_as_it_was(dsn: str) -> None:
    with psycopg.connect(dsn) as callers:
        enqueue_many("shop.sync", [(-1,)], connection=callers)
        with pytest.raises(NotJson):
            enqueue_many("shop.sync", with_fault(), connection=callers)

        assert callers.execute(QUEUED).fetchone() == (1,)


def test_in_a_callers_transaction_all_vanish_with_it(dsn: str, connection: Connection) -> None:
    with psycopg.connect(dsn) as callers:
        enqueue_many("shop.sync", MANY, connection=callers)
        before = callers.execute(QUEUED).fetchone()
        callers.rollback()

    assert (before, count(connection, QUEUED)) == ((len(MANY),), 0)


def test_hosts_are_told_of_each_part_though_none_is_idle_yet(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    listener = connect_again()
    listener.execute("LISTEN taskd")

    made = enqueue_many("shop.sync", MANY)

    parts = [made[0].id, made[PART_JOBS].id, made[3 * PART_JOBS].id]
    assert [seq for *_, seq in notifications(listener)] == parts


def test_a_part_is_asked_for_while_the_server_is_at_work(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()
    other.execute("SELECT pg_advisory_lock(1)")
    connection.deadline = ABRUPT

    def calls() -> Iterator[tuple[str]]:
        yield ("1",)
        other.execute("SELECT pg_advisory_unlock(1)")
        yield ("2",)

    with connection.transaction():
        assert list(LOCK.values(connection, calls())) == ["f", "f"]


def test_what_a_part_gave_is_told_while_the_server_is_at_work(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()
    other.execute("SELECT pg_advisory_lock(2)")
    connection.deadline = ABRUPT

    with connection.transaction():
        values = LOCK.values(connection, iter([("1",), ("2",)]))
        assert next(values) == "f"
        other.execute("SELECT pg_advisory_unlock(2)")
        assert list(values) == ["f"]


def test_who_does_not_read_on_can_use_the_connection(connection: Connection) -> None:
    with connection.transaction():
        values = LOCK.values(connection, iter([("1",), ("2",), ("3",)]))
        next(values)
        values.close()

        assert connection.execute("SELECT 1").fetchone() == (1,)
