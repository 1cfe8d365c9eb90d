"""One exclusive resource that thousands wait for: what a hand-off costs.

A hand-off is the end of the holder, the grant to the first in line, and the claim of that job.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.cases import IMPORTS, QUEUES, Case, Figure
from benchmarks.daemon import fresh_database, running_daemon, wait_for_count
from benchmarks.many import seconds
from benchmarks.needs import Needy, enqueue_all, line_up
from taskd.store import hosts, jobs
from taskd.store.connect import Connection, connect
from taskd.store.embedded import Server

WAITING = 17_000
COMMITS = 1_000

_HANDED_OFF = """
SELECT extract(epoch FROM max(finished_at) - min(finished_at))::float8
FROM (SELECT finished_at FROM taskd.history ORDER BY finished_at LIMIT %s) first
"""


def rate(server: Server, tools: Path, waiting: int = WAITING, hand_offs: int = 1000) -> Figure:
    """Hand-offs a second of a daemon, against small commits of one client in the same database."""
    dsn = fresh_database(server, "bench_hot")
    with closing(connect(dsn)) as connection:
        line_up(connection, [_job(n) for n in range(waiting + hand_offs)])
        before = _commit_rate(connection)
        with running_daemon(dsn, "--processes", "2", "--greenlets", "25", *QUEUES, *IMPORTS):
            wait_for_count(connection, "history", hand_offs + 1)
        row = connection.execute(_HANDED_OFF, (hand_offs + 1,)).fetchone()
        best = statistics.mean([before, _commit_rate(connection)])
    reached = hand_offs / row[0] if row else 0.0
    detail = f"{reached:,.0f} hand-offs/s, {best:,.0f} commits/s"
    name = f"hand-offs, {waiting:,} waiting ÷ commits"
    return Figure(name, reached / best, detail, 0.2, "min")


def cost(server: Server, tools: Path, waiting: int = WAITING, turns: int = 20) -> Figure:
    """One hand-off with thousands waiting against one with 100: in turns, medians."""
    counts = (100, waiting)
    lines = {count: _Line(fresh_database(server, f"bench_{count}"), count) for count in counts}
    costs: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(turns):
        for count, line in lines.items():
            costs[count] += [line.hand_off() for _ in range(50)]
            line.refill(50)
    for line in lines.values():
        line.close()
    few, many = (statistics.median(costs[count][50:]) for count in counts)
    detail = f"{many * 1000:.2f} ms, with 100 {few * 1000:.2f} ms"
    return Figure(f"hand-off, {waiting:,} waiting ÷ 100", many / few, detail, 1.2, "max")


def held(server: Server, tools: Path, hand_offs: int = 20_000) -> Figure:
    """The last thousand of hand-offs under an open transaction against the first: medians.

    Each as a multiple of what one costs at that time in a database that nobody holds open, so that
    a machine which became slower meanwhile does not count.
    """
    part = hand_offs // 20
    line = _Line(fresh_database(server, "bench_held"), hand_offs + part)
    quiet = _Line(fresh_database(server, "bench_quiet"), 21 * part // 5)
    for one in (line, quiet):
        one.hand_offs(part // 5)  # plans are made
    with _open_transaction(line.dsn):
        costs = [(line.hand_offs(part), quiet.hand_offs(part // 5)) for _ in range(20)]
    for one in (line, quiet):
        one.close()
    (first, first_quiet), (last, last_quiet) = costs[0], costs[-1]
    detail = (
        f"{last * 1000:.2f} ms, at first {first * 1000:.2f} ms; "
        f"with none open {last_quiet * 1000:.2f} and {first_quiet * 1000:.2f} ms"
    )
    name = f"{hand_offs:,}th hand-off, open transaction ÷ 1st"
    return Figure(name, (last / last_quiet) / (first / first_quiet), detail, 1.2, "max")


class _Line:
    """A database with one hot resource, and one worker's claims and completions, nothing else.

    Its commits do not wait for the disk, so that what is compared is the work of a hand-off.
    """

    def __init__(self, dsn: str, waiting: int) -> None:
        self.dsn = dsn
        self._connection = connect(dsn)
        line_up(self._connection, [_job(n) for n in range(waiting + 1)])
        self._connection.execute("SET synchronous_commit = off")
        host = hosts.register_host(self._connection, uuid4(), "here", 1, "0")
        worker = hosts.register_worker(self._connection, host, 1, "io", 0, 1)
        if worker is None:
            raise SystemExit("the worker could not register")
        self._worker = worker
        self._mark = 0
        self._holder = self._claim()

    def hand_off(self) -> float:
        """How many seconds it took until the next one has the resource."""
        began = time.perf_counter()
        job, _, _, fence, *_ = self._holder
        if jobs.complete_succeeded(self._connection, self._worker, [job], [fence], [0.001]):
            raise SystemExit(f"job {job} was lost")
        self._holder = self._claim()
        return time.perf_counter() - began

    def hand_offs(self, count: int) -> float:
        """The median of so many."""
        return statistics.median(self.hand_off() for _ in range(count))

    def refill(self, count: int) -> None:
        """Let so many more join the line."""
        enqueue_all(self._connection, [_job(n) for n in range(count)])

    def close(self) -> None:
        self._connection.close()

    def _claim(self) -> jobs.Row:
        """The one job that may run."""
        lanes = "{bench}", "{25}", f"{{{self._mark}}}"
        found = jobs.claim_jobs(self._connection, self._worker, lanes, 25)
        if not found or len(found) != 1:
            raise SystemExit(f"not one job could be claimed but {found}")
        self._mark = found[0][1]
        return found[0]


def _job(number: int) -> Needy:
    return Needy("noop", number, exclusive=("hot",))


def _commit_rate(connection: Connection) -> float:
    """Small rows that one client inserts and commits a second, one by one."""
    connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (number integer)")

    def insert() -> None:
        for number in range(COMMITS):
            connection.execute("INSERT INTO bench_commits VALUES (%s)", (number,))

    return COMMITS / seconds(insert)


@contextmanager
def _open_transaction(dsn: str) -> Iterator[None]:
    """Somebody's transaction that keeps its snapshot until the block ends."""
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM taskd.history")
        yield


CASES: dict[str, Case] = {"hot": rate, "hot-cost": cost, "hot-held": held}
