"""Long lines in shares, before the limits of a queue and of a task: nobody reads along them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.limits import declare_limits
from taskd.store.rows import NewJob
from tests.conftest import TestServer
from tests.store.explained import explained
from tests.store.graph_makers import add_graph, complete, is_settled, retry, used
from tests.store.long_lines import Templates, copied
from tests.store.makers import add_host, add_worker, claim, ids_of, places
from tests.store.test_line_plans import OF_LINES, check

WAITING = 2_000
OTHERS = 50
SECONDS_A_TOKEN = 1000.0
QUEUES = {"@queue limited": "limited", "@queue rated": "rated", "@task shop.sync": "tasks"}
LIMITS = {
    "@queue limited": (2, None, None),
    "@queue rated": (None, 1 / SECONDS_A_TOKEN, 2),
    "@task shop.sync": (2, None, None),
}


@dataclass(frozen=True)
class Line:
    """A line whose first two are in their queue; every other one that waits is of share big."""

    connection: Connection
    name: str
    worker: int

    def add(self, share: str) -> int:
        (job,) = add_graph(self.connection, fair(self.name, share))
        return job

    def claim(self) -> list[list[Any]]:
        return claim(self.connection, self.worker, 100, (QUEUES[self.name], 25, 0))

    def in_turn(self) -> list[int]:
        """Who waits, in the order in which they will be let in."""
        line = "SELECT id FROM taskd.line WHERE res = %s ORDER BY turn, place"
        return [job for (job,) in self.connection.execute(line, (self.name,))]


def fair(limit: str, share: str) -> NewJob:
    needs = (limit,) if limit.startswith("@task") else ()
    return NewJob(
        task="shop.sync",
        args="[]",
        queue=QUEUES[limit],
        res=needs,
        need=(1,) * len(needs),
        extra={"fair": share},
    )


@pytest.fixture(scope="session")
def lines_of_shares() -> Templates:
    """A database a server with a long line before each limit, to be copied."""
    return {}


@pytest.fixture(params=["analyzed", "never analyzed"])
def long_lines(
    request: pytest.FixtureRequest, server: TestServer, lines_of_shares: Templates
) -> Iterator[Connection]:
    with copied(server, lines_of_shares, stand_in_lines, request.param) as connection:
        yield connection


def stand_in_lines(connection: Connection) -> None:
    """Let everybody take their places."""
    declare_limits(connection, add_host(connection), LIMITS)
    for limit in LIMITS:
        for start in range(0, WAITING, 500):
            shares = ("big" if n % 2 else f"s{n % OTHERS}" for n in range(start, start + 500))
            add_graph(connection, *[fair(limit, share) for share in shares])
    assert is_settled(connection)


@pytest.fixture(params=["@queue limited", "@task shop.sync"])
def line(request: pytest.FixtureRequest, long_lines: Connection) -> Line:
    return Line(long_lines, request.param, add_worker(long_lines))


def test_a_claim_looks_neither_at_lines_nor_at_who_waits(line: Line) -> None:
    with explained(line.connection) as scans:
        rows = line.claim()

    assert len(rows) == 2
    assert {scan.table for scan in scans} == {"queued", "worker"}
    assert all(scan.is_by_place for scan in scans if scan.table == "queued")


def test_a_release_lets_in_whose_turn_it_is_and_looks_at_the_head_of_the_line(line: Line) -> None:
    rows, (next_, *_) = line.claim(), line.in_turn()

    with explained(line.connection) as scans:
        complete(line.connection, line.worker, rows[:1])

    check(scans)
    assert any(scan.table == "line" for scan in scans)
    assert ids_of(line.claim()) == [next_]
    assert used(line.connection, line.name) == 2


@pytest.mark.parametrize(("share", "is_soon"), [("big", False), ("s2", False), ("new", True)])
def test_one_who_comes_takes_its_turn_and_looks_at_the_head_and_its_own_share(
    line: Line, share: str, is_soon: bool
) -> None:
    with explained(line.connection) as scans:
        job = line.add(share)

    check(scans)
    assert (line.in_turn().index(job) < 2 * OTHERS) is is_soon


@pytest.mark.parametrize("which", [0, WAITING // 2, -1])
def test_a_cancel_of_one_who_waits_goes_to_its_own_place(line: Line, which: int) -> None:
    job = line.in_turn()[which]

    with explained(line.connection) as scans:
        assert jobs.cancel_jobs(line.connection, [job]) == {job: "cancelled"}

    check(scans)
    assert job not in line.in_turn()
    assert is_settled(line.connection)


def test_a_retry_that_lets_go_takes_a_turn_anew_and_looks_at_the_head(line: Line) -> None:
    rows, (next_, *_) = line.claim(), line.in_turn()

    with explained(line.connection) as scans:
        retry(line.connection, line.worker, rows[0], release=True)

    check(scans)
    assert places(line.connection, rows[0][0]) == ["blocked"]
    assert places(line.connection, next_) == ["queued"]


def test_a_token_that_has_come_goes_to_the_head_of_its_line(long_lines: Connection) -> None:
    line = Line(long_lines, "@queue rated", add_worker(long_lines))
    rows, (next_, *_) = line.claim(), line.in_turn()
    complete(long_lines, line.worker, rows)
    long_lines.execute(
        "UPDATE taskd.resource SET empty_at = empty_at - %(by)s * interval '1 second', "
        "retry_at = retry_at - %(by)s * interval '1 second' WHERE retry_at IS NOT NULL",
        {"by": SECONDS_A_TOKEN},
    )

    with explained(long_lines) as scans:
        jobs.promote_jobs(long_lines, 100)

    check(scans, tables=OF_LINES - {"resource"})
    assert sum(scan.rows for scan in scans if scan.table == "resource") <= 20
    assert ids_of(line.claim()) == [next_]
