from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from taskd.store import connect, jobs
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.prepared import UNPREPARED_CALLS
from taskd.store.rows import JobEnd, NewJobs
from tests.store.makers import add_jobs, add_worker, claim, lanes

_ARGS = 8
"""Their place in a claimed row."""


def enqueue_often(connection: Connection, times: int = UNPREPARED_CALLS + 2) -> list[int]:
    return [add_jobs(connection)[0] for _ in range(times)]


def prepared(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
    return [name for (name,) in rows]


def test_an_enqueue_is_prepared_once_it_has_come_thrice(connection: Connection) -> None:
    enqueue_often(connection, UNPREPARED_CALLS)
    before = prepared(connection)
    enqueue_often(connection)

    assert (before, len(prepared(connection))) == ([], 1)


def test_jobs_keep_their_order_and_numbers_as_the_enqueue_becomes_a_prepared_one(
    connection: Connection,
) -> None:
    ids = enqueue_often(connection, 10)

    found = connection.execute("SELECT id FROM taskd.queued ORDER BY seq").fetchall()
    assert [job for (job,) in found] == ids


def test_what_the_server_has_forgotten_is_sent_as_it_is(connection: Connection) -> None:
    enqueue_often(connection)
    connection.execute("DEALLOCATE ALL")

    ids = enqueue_often(connection)

    assert len(set(ids)) == len(ids)
    assert prepared(connection) == []


def test_nothing_is_prepared_in_a_transaction(connection: Connection) -> None:
    with connection.transaction():
        ids = enqueue_often(connection)

    assert len(set(ids)) == len(ids)
    assert prepared(connection) == []


def test_what_a_transaction_sends_is_not_prepared_and_forbids_nothing(
    connection: Connection,
) -> None:
    enqueue_often(connection, UNPREPARED_CALLS)
    with connection.transaction():
        enqueue_often(connection)
    before = prepared(connection)
    enqueue_often(connection)

    assert (before, len(prepared(connection))) == ([], 1)


def test_a_transaction_is_not_spoilt_by_what_the_server_has_forgotten(
    connection: Connection,
) -> None:
    enqueue_often(connection)
    connection.execute("DEALLOCATE ALL")

    with connection.transaction():
        ids = enqueue_often(connection)

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("before", [0, UNPREPARED_CALLS + 1])
def test_in_a_pipeline_ids_are_there_as_well(connection: Connection, before: int) -> None:
    enqueue_often(connection, before)

    with connection.pipeline():
        connection.execute("SELECT 'of the user'")
        ids = enqueue_often(connection, 2)

    found = connection.execute("SELECT id FROM taskd.queued ORDER BY seq DESC LIMIT 2").fetchall()
    assert [job for (job,) in reversed(found)] == ids


def test_a_claim_is_prepared_too(connection: Connection) -> None:
    worker = add_worker(connection)
    for _ in range(UNPREPARED_CALLS + 1):
        (job,) = add_jobs(connection)
        assert [row[0] for row in claim(connection, worker)] == [job]

    assert [name for name in prepared(connection) if "claim" in name]


@pytest.mark.parametrize("result", [None, "1"])
@pytest.mark.parametrize("hands_off", [False, True])
def test_ends_are_prepared_with_a_hand_off_and_without(
    connection: Connection, result: str | None, hands_off: bool
) -> None:
    worker = add_worker(connection)
    for _ in range(UNPREPARED_CALLS + 1):
        add_jobs(connection)
        ((job, _, _, fence, *_),) = claim(connection, worker)
        both = HandOff(lanes(), 1, None, 0) if hands_off else None
        if result is None:
            lost = jobs.complete_succeeded(
                connection, worker, [job, -job], [fence, 0], [0.1, 0.1], hand_off=both
            )
        else:
            ends = [JobEnd(one, fence, 0.1, "s", result) for one in (job, -job)]
            lost = jobs.complete_jobs(connection, worker, ends, hand_off=both)
        assert lost == [-job]

    names = [name for name in prepared(connection) if "complete" in name or "hand_off" in name]
    assert [("hand_off" in name) for name in names] == [hands_off]


def test_a_connection_that_another_process_answers_on_prepares_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskd.store.prepared._IS_DIRECT", b"SELECT pg_backend_pid() + 1")

    enqueue_often(connection)

    assert prepared(connection) == []


def test_a_name_that_is_taken_on_the_server_is_left_alone(connection: Connection) -> None:
    name = jobs._ENQUEUE.name.decode()
    connection.execute(f'PREPARE "{name}" AS SELECT 1'.encode())

    ids = enqueue_often(connection)

    assert len(set(ids)) == len(ids)


def test_text_in_another_encoding_arrives_as_it_was(connection: Connection) -> None:
    connection.execute("SET client_encoding = 'LATIN1'")

    for _ in range(UNPREPARED_CALLS + 2):
        jobs.enqueue_jobs(connection, NewJobs("shop.sync", ['["Zoë"]'], [None]))

    claimed = claim(connection, add_worker(connection))
    assert [row[_ARGS] for row in claimed] == [["Zoë"]] * len(claimed) != []


@pytest.mark.parametrize("calls", [0, UNPREPARED_CALLS + 1])
def test_a_text_with_a_nul_is_refused_and_not_cut_off(connection: Connection, calls: int) -> None:
    enqueue_often(connection, calls)

    with pytest.raises(psycopg.DataError, match="NUL"):
        jobs.enqueue_jobs(connection, NewJobs("shop\0sync", ["[]"], [None]))


@pytest.mark.parametrize("calls", [0, UNPREPARED_CALLS + 1])
def test_an_error_of_the_server_is_psycopgs_and_spoils_nothing(
    connection: Connection, calls: int
) -> None:
    enqueue_often(connection, calls)

    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        jobs.enqueue_jobs(connection, NewJobs("shop.sync", ["{oops"], [None]))

    assert enqueue_often(connection)


def test_a_cut_connection_is_told_as_one(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    other = connect_again()
    enqueue_often(other)
    connection.execute("SELECT pg_terminate_backend(%s)", (other.info.backend_pid,))

    with pytest.raises(psycopg.OperationalError):
        add_jobs(other)


def test_a_connection_of_the_callers_is_used_as_he_has_set_it_up(dsn: str) -> None:
    with closing(psycopg.connect(dsn)) as callers, callers.pipeline():
        for _ in range(UNPREPARED_CALLS + 2):
            assert jobs.enqueue_jobs(callers, NewJobs("shop.sync", ["[]"], [None]))
        assert prepared(callers) == []
        callers.rollback()

    with closing(connect.connect(dsn)) as connection:
        assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (0,)
