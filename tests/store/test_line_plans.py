"""A long line before a resource: nobody who comes, goes or is granted reads along it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import psycopg
import pytest

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from tests.conftest import TestServer
from tests.store.explained import Scan, explained
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_graph,
    claim_one,
    complete,
    dispatch,
    is_settled,
    new_job,
    retry,
    set_capacity,
    used,
)
from tests.store.long_lines import Templates, copied
from tests.store.makers import add_jobs, add_worker, claim, places
from tests.store.test_mail_plans import reads

WAITING = 5_000
OF_LINES = {"line", "blocked", "resource", "capacity", "mail", "dependency"}
"""The tables of what waits."""


@pytest.fixture(scope="session")
def templates() -> Templates:
    """A database a server with a long line, to be copied; it ends with the server."""
    return {}


@pytest.fixture(params=["analyzed", "never analyzed"])
def line(
    request: pytest.FixtureRequest, server: TestServer, templates: Templates
) -> Iterator[Connection]:
    """Two share x and are in the queue; thousands wait, each for x and something of its own."""
    with copied(server, templates, stand_in_line, request.param) as connection:
        yield connection


def stand_in_line(connection: Connection) -> None:
    """Let everybody take their places."""
    add_graph(connection, *[new_job(needs={"x": 1}) for _ in range(2)])
    for start in range(0, WAITING, 1000):
        needs = [{"x": EXCLUSIVE, f"own-{start + n}": EXCLUSIVE} for n in range(1000)]
        add_graph(connection, *[new_job(needs=one) for one in needs])
    while dispatch(connection):
        pass


def waiting(connection: Connection, which: str) -> int:
    """One of those who wait: the first, the last, or one in the middle."""
    ids = [job for (job,) in connection.execute("SELECT id FROM taskd.blocked ORDER BY id")]
    return int({"first": ids[0], "middle": ids[len(ids) // 2], "last": ids[-1]}[which])


def check(scans: list[Scan], at_most: int = 20, tables: Collection[str] = OF_LINES) -> None:
    """Fail if the tables of what waits are read otherwise than by place, or more rows than this."""
    of_lines = [scan for scan in scans if scan.table in tables]
    assert [scan for scan in of_lines if not scan.is_by_place and scan.table != "mail"] == []
    assert [scan for scan in of_lines if scan.table == "line" and not is_of_one_line(scan)] == []
    for table in tables:
        assert sum(scan.rows for scan in of_lines if scan.table == table) <= at_most, of_lines


def is_of_one_line(scan: Scan) -> bool:
    return scan.kind == "Tid Scan" or "res" in scan.condition


def test_a_claim_looks_neither_at_lines_nor_at_who_waits(line: Connection) -> None:
    worker = add_worker(line)

    with explained(line) as scans:
        rows = claim(line, worker)

    assert len(rows) == 2
    assert {scan.table for scan in scans} == {"queued", "worker"}
    assert all(scan.is_by_place for scan in scans if scan.table == "queued")


def test_a_release_that_lets_nobody_in_looks_at_the_head_of_the_line(line: Connection) -> None:
    worker = add_worker(line)
    one, _ = claim(line, worker)

    with explained(line) as scans:
        complete(line, worker, [one])

    check(scans)
    assert any(scan.table == "line" for scan in scans)
    assert claim(line, worker) == []
    assert used(line, "x") == 1


def test_a_release_that_grants_looks_at_the_head_of_the_line(line: Connection) -> None:
    worker = add_worker(line)
    first = waiting(line, "first")

    with explained(line) as scans:
        complete(line, worker, claim(line, worker))

    check(scans)
    assert any(scan.table == "line" for scan in scans)
    assert claim_one(line, worker)[0] == first
    assert used(line, "x") == EXCLUSIVE


def test_one_who_comes_looks_at_nobody_in_the_line(line: Connection) -> None:
    with explained(line) as scans:
        job = add_exclusive(line, "x", "own-7")

    check(scans)
    assert places(line, job) == ["blocked"]


def test_a_free_one_behind_thousands_is_let_in_at_once(line: Connection) -> None:
    with explained(line) as scans:
        job = add_exclusive(line, "free")

    check(scans)
    assert places(line, job) == ["queued"]


@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_cancel_of_one_who_waits_goes_to_its_own_place(line: Connection, which: str) -> None:
    job = waiting(line, which)

    with explained(line) as scans:
        assert jobs.cancel_jobs(line, [job]) == {job: "cancelled"}

    check(scans)
    assert places(line, job) == ["history"]
    assert is_settled(line)


def test_a_cancel_of_a_holder_that_nobody_has_claimed_looks_at_the_head_of_the_line(
    line: Connection,
) -> None:
    first = waiting(line, "first")
    holders = [job for (job,) in line.execute("SELECT id FROM taskd.queued")]

    with explained(line) as scans:
        assert set(jobs.cancel_jobs(line, holders).values()) == {"cancelled"}

    check(scans)
    assert places(line, first) == ["queued"]


def test_a_retry_that_lets_go_looks_at_the_head_of_the_line(line: Connection) -> None:
    worker = add_worker(line)
    one, other = claim(line, worker)
    complete(line, worker, [one])

    with explained(line) as scans:
        retry(line, worker, other, release=True)

    check(scans)
    assert places(line, other[0]) == ["blocked"]


def test_a_rescue_of_a_holder_looks_at_nobody_in_the_line(line: Connection) -> None:
    worker = add_worker(line)
    assert len(claim(line, worker)) == 2

    with explained(line) as scans:
        hosts.rescue_workers(line, [worker], "it died", charge=True)

    assert {scan.table for scan in scans} & {"line", "blocked", "resource"} == set()
    assert used(line, "x") == 2


def test_a_change_of_how_much_there_is_looks_at_the_head_of_the_line(line: Connection) -> None:
    with explained(line) as scans:
        set_capacity(line, "x", 3)

    check(scans, tables=OF_LINES - {"capacity"})  # all of that is looked at, a row a limit


def test_a_place_of_what_is_counted_goes_to_the_head_of_its_line(line: Connection) -> None:
    worker = add_worker(line)
    set_capacity(line, "counted", 2)
    ids = add_graph(line, *[new_job(needs={"counted": 1}) for _ in range(500)])
    one, other = (row for row in claim(line, worker) if row[0] in ids)
    assert ids[:2] == [one[0], other[0]]

    with explained(line) as scans:
        complete(line, worker, [one])

    check(scans)
    assert claim_one(line, worker)[0] == ids[2]
    assert used(line, "counted") == 2


def test_the_end_of_jobs_that_hold_nothing_looks_at_no_line(line: Connection) -> None:
    worker = add_worker(line)
    plain = add_jobs(line, 50)
    rows = [row for row in claim(line, worker) if row[0] in plain]

    with explained(line) as scans:
        complete(line, worker, rows)

    assert {scan.table for scan in scans} & {"line", "blocked", "resource"} == set()


def test_a_hand_off_reads_as_little_after_hundreds_under_an_open_transaction(
    line: Connection,
) -> None:
    worker = add_worker(line)
    line.execute("SELECT setseed(0)")  # where to begin to read is noted now and then, by chance
    with psycopg.connect(line.info.dsn) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.execute("SELECT count(*) FROM taskd.line")
        one, rest = claim(line, worker)
        complete(line, worker, [one])
        hand_off = hand_offs(line, worker, rest)
        for _ in range(500):
            next(hand_off)

        with reads(line, 25, line=200):
            next(hand_off)


def hand_offs(line: Connection, worker: int, row: list[Any]) -> Iterator[None]:
    """End the holder and claim the next one, above the mark, as often as is asked for."""
    while True:
        complete(line, worker, [row])
        (row,) = claim(line, worker, 1, ("default", 25, row[1]))
        yield
