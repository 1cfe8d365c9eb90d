"""taskd after a while: under a transaction that somebody left open, and over millions of jobs."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psycopg

from benchmarks.contest.bench import Bench, Workers
from benchmarks.contest.case import Case, Measure, Reach, Values
from benchmarks.contest.cases.filling import fill
from benchmarks.contest.failure import CaseFailed
from benchmarks.contest.stores import Database
from benchmarks.peers.peer import Load

AHEAD = 200_000
"""So many jobs wait at any time."""
A_REFILL = 20_000
WINDOWS = 12
START_SECONDS = 60.0
STUCK_SECONDS = 60.0
PARTS = 10

_SIZE = "SELECT pg_total_relation_size('taskd.queued') + pg_total_relation_size('taskd.running')"


def held(bench: Bench) -> Values:
    """The rate of the last window ÷ that of the first; workers are replaced meanwhile."""
    window = bench.sizes.held / WINDOWS
    pause = min(bench.sizes.recycle, bench.sizes.held / 2)
    with _open_transaction(bench.database()), _fed(bench) as feeder, bench.workers(Load(2)) as ours:
        _wait_for_first(bench)
        began = time.monotonic()
        counts, replaced = [bench.tally.count()], 0
        for number in range(1, WINDOWS + 1):
            while (now := time.monotonic() - began) < number * window:
                if now > (replaced + 1) * pause:
                    ours.processes[0].send_signal(signal.SIGHUP)
                    replaced += 1
                time.sleep(min(0.02, window / 10))
            counts.append(bench.tally.count())
        ours.check()
        feeder.check()
    return {"kept": (counts[-1] - counts[-2]) / (counts[1] - counts[0])}


def row(bench: Bench) -> Values:
    """The last tenth of many jobs in a row against the first, and what the tables came to."""
    total = bench.sizes.row
    moments, sizes = [], []
    with _fed(bench, total) as feeder, bench.workers(Load(2)) as workers:
        _wait_for_first(bench)
        for part in range(PARTS + 1):
            _wait_for_part(bench, max(1, total * part // PARTS), workers)
            moments.append(time.monotonic())
            sizes.append(_size(bench.database()))
        feeder.check()
    return {
        "kept": (moments[1] - moments[0]) / (moments[-1] - moments[-2]),
        "size": max(sizes) / max(sizes[:2]),
    }


class _Feeder:
    """Keeps the queue filled until `stop`; the workers must never find it empty."""

    def __init__(self, bench: Bench, total: int | None) -> None:
        self._bench = bench
        self._total = total
        self._filled = 0
        self._has_stopped = Event()
        self._starved = False
        self._thread = Thread(target=self._run, daemon=True)
        self._refill(min(AHEAD, total or AHEAD))
        self._thread.start()

    def check(self) -> None:
        """Raises CaseFailed if the queue was empty meanwhile: the daemon was not what held it."""
        if self._starved or (not self._thread.is_alive() and self._filled != self._total):
            raise CaseFailed("the queue could not be filled as fast as it was drained")

    def stop(self) -> None:
        self._has_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while self._filled != self._total and not self._has_stopped.wait(0.01):
            waiting = self._filled - self._bench.tally.count()
            self._starved = self._starved or waiting <= 0
            if waiting < AHEAD:
                left = A_REFILL if self._total is None else self._total - self._filled
                self._refill(min(A_REFILL, left))

    def _refill(self, jobs: int) -> None:
        fill(self._bench.database(), jobs)
        self._filled += jobs


@contextmanager
def _fed(bench: Bench, total: int | None = None) -> Iterator[_Feeder]:
    feeder = _Feeder(bench, total)
    try:
        yield feeder
    finally:
        feeder.stop()


@contextmanager
def _open_transaction(store: Database) -> Iterator[None]:
    """Somebody's transaction, with its snapshot, until the block ends."""
    with psycopg.connect(store.dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM taskd.history")
        yield


def _wait_for_first(bench: Bench) -> None:
    if not bench.tally.wait_for(1, START_SECONDS):
        raise CaseFailed(f"no job ran within {START_SECONDS:g} s")


def _wait_for_part(bench: Bench, jobs: int, workers: Workers) -> None:
    """However long it takes, as long as jobs end."""
    before = -1
    while not bench.tally.wait_for(jobs, STUCK_SECONDS):
        workers.check()
        if before == (before := bench.tally.count()):
            raise CaseFailed(f"no job ended for {STUCK_SECONDS:g} s: {workers.last_words()}")


def _size(store: Database) -> int:
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        found = connection.execute(_SIZE).fetchone()
    return int(found[0]) if found else 0


CASES = (
    Case(
        name="held",
        measures=(
            Measure(
                key="kept",
                title="rate, one transaction held open, last ÷ first",
                unit="ratio",
                more_is_better=True,
                reaches=(Reach(0.9),),
            ),
        ),
        run=held,
        is_ours=True,
    ),
    Case(
        name="row",
        measures=(
            Measure(
                key="kept",
                title="rate, many in a row, last tenth ÷ first",
                unit="ratio",
                more_is_better=True,
                reaches=(Reach(0.95),),
            ),
            Measure(
                key="size",
                title="its live tables, largest ÷ first tenth's",
                unit="ratio",
                more_is_better=False,
                reaches=(Reach(2.0),),
            ),
        ),
        run=row,
        is_ours=True,
    ),
)
