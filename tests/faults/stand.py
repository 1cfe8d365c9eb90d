"""Several hosts on one database, under load, and what strikes them."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from math import inf
from pathlib import Path

import psycopg

from taskd.errors import DatabaseError
from tests.faults.host import CONFIG, Host
from tests.faults.ledger import KINDS, AnyTask, Ledger, Verdict
from tests.faults.plan import Strike
from tests.waiting import eventually

Fault = Callable[["Stand", random.Random], None]


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that has struck: when, in seconds since 1970, and which processes died of it."""

    fault: str
    at: float
    pids: tuple[int, ...] = ()
    until: float | None = None


@dataclass
class Stand:
    """Hosts, a ledger and the load that keeps them busy."""

    hosts: list[Host]
    ledger: Ledger
    seed: int
    struck: list[Struck] = field(default_factory=list)
    refused_enqueues: int = 0

    def start(self) -> None:
        for host in self.hosts:
            host.start()
        patience = 60 + 5 * len(self.hosts)  # they share the processors
        for host in self.hosts:
            eventually(host.is_ready, patience)

    @contextmanager
    def load(
        self,
        jobs_a_second: float,
        seconds: float = 0.05,
        kinds: Sequence[AnyTask] = KINDS,
        batch: int = 20,
    ) -> Iterator[None]:
        """Enqueue at this rate while the block runs; what fails is tried again, as clients do."""
        over = threading.Event()
        chance = random.Random(self.seed)

        def enqueue() -> None:
            pause = batch / jobs_a_second
            next_at = time.monotonic()
            while not over.wait(max(0.0, next_at - time.monotonic())):
                next_at = max(next_at + pause, time.monotonic() - 1.0)
                try:
                    self.ledger.enqueue(batch, chance.choice(kinds), chance, seconds)
                except (psycopg.Error, DatabaseError):
                    self.refused_enqueues += 1
                    over.wait(0.1)

        thread = threading.Thread(target=enqueue, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    def run(
        self,
        plan: Sequence[Strike],
        faults: Mapping[str, Fault],
        is_over: threading.Event | None = None,
    ) -> None:
        """Strike as planned, each in a thread of its own, so that faults overlap; wait for all.

        Once `is_over` is set no further one strikes.
        """
        is_over = is_over or threading.Event()
        begun = time.monotonic()
        threads: list[threading.Thread] = []
        errors: list[BaseException] = []

        def strike(one: Strike) -> None:
            try:
                faults[one.fault](self, random.Random(one.seed))
            except BaseException as error:  # told in the thread that waits for this one
                errors.append(error)

        for one in plan:
            if is_over.wait(max(0.0, begun + one.at - time.monotonic())):
                break
            threads.append(threading.Thread(target=strike, args=(one,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(300)
        if errors:
            raise errors[0]

    def settle(self, seconds: float = 60.0) -> Verdict:
        """Wait until every job has ended, then judge."""
        self.wait_until_quiet(seconds)
        return self.ledger.judge()

    def wait_until_quiet(self, seconds: float) -> None:
        """Wait until every job has ended; fails once so many seconds bring no further end."""
        fewest = inf
        while left := self._left():
            if left < fewest:
                fewest, deadline = left, time.monotonic() + seconds
            elif time.monotonic() > deadline:
                states = self.ledger.query("SELECT state, count(*) FROM taskd.live_job GROUP BY 1")
                raise AssertionError(f"none ended for {seconds:g} s: {states}\n{self.logs()}")
            time.sleep(0.05)

    def _left(self) -> float:
        """How many jobs have not ended; as many as can be while the server is away."""
        try:
            return self.ledger.left()
        except psycopg.OperationalError:
            return sys.float_info.max

    def strike(
        self,
        fault: str,
        pids: Sequence[int] = (),
        at: float | None = None,
        until: float | None = None,
    ) -> None:
        """Note that a fault has struck."""
        self.struck.append(Struck(fault, time.time() if at is None else at, tuple(pids), until))

    def resumed(self, fault: str = "") -> list[float]:
        """Of all jobs that a fault interrupted, any if none is named, seconds to the next run."""
        return sorted(
            seconds
            for one in self.struck
            if fault in ("", one.fault)
            for seconds in self.ledger.resumed(one.pids, one.at)
        )

    def first_ends(self) -> list[float]:
        """After each fault that lasted, the seconds from its end until the first job had ended."""
        over = [one.until for one in self.struck if one.until is not None]
        return [seconds for at in over if (seconds := self.ledger.first_end(at)) is not None]

    def back_at_work(self, host: Host, since: float) -> float:
        """Seconds from `since` until a worker that the host has now began its first job."""

        def first() -> float | None:
            return self.ledger.first_effect(host.pids("worker"), since)

        found = eventually(first, 60)
        assert found is not None
        return found

    def living_workers(self) -> list[int]:
        """The ids of all workers, once the processes that live are those that the database has."""

        def found() -> list[int] | None:
            rows = self.ledger.query(
                "SELECT w.id, w.pid, w.pool FROM taskd.worker w WHERE w.ended_at IS NULL ORDER BY 1"
            )
            living = {pid for host in self.hosts for pid in host.pids("worker")}
            is_settled = {pid for _, pid, _ in rows} == living
            has_all = {pool for *_, pool in rows} == {"io", "cpu"}
            return [worker for worker, *_ in rows] if is_settled and has_all else None

        workers = eventually(found, 60)
        assert workers is not None
        return workers

    def logs(self) -> str:
        return "".join(f"--- {host.folder.name}\n{host.log()[-6000:]}" for host in self.hosts)

    def close(self) -> None:
        for host in self.hosts:
            host.close()


@contextmanager
def open_stand(
    folder: Path,
    dsn: str,
    *,
    hosts: int = 2,
    seed: int = 1,
    lease: float = 3.0,
    processes: int = 2,
    ledger_dsn: str | None = None,
    config: str = CONFIG,
    prefixes: Sequence[tuple[str, ...]] = ((),),
    has_pipe: bool = False,
    variables: Sequence[Mapping[str, str]] = ({},),
) -> Iterator[Stand]:
    """Hosts that run, and nothing else yet; ended at the end of the block, whatever their state.

    `dsn` is what the daemons are given, `ledger_dsn` what ledger and jobs use (the same, usually);
    `variables` are those of the environment and `prefixes` the words before the daemon's own, for
    the first host, the second, …; with `has_pipe` what they say comes through a pipe;
    `config` is a text with places for `lease` and `processes`.
    """
    own = ledger_dsn or dsn
    ledger = Ledger(own)
    ledger.create()
    filled = config.format(lease=lease, processes=processes)
    made = [
        Host(folder / f"host-{number}", dsn, own, filled, environment, prefix, has_pipe)
        for number, environment, prefix in zip(range(hosts), cycle(variables), cycle(prefixes))
    ]
    stand = Stand(made, ledger, seed)
    try:
        stand.start()
        yield stand
    finally:
        stand.close()
