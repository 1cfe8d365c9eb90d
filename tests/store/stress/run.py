"""Starts clients, kills some, lets everything end, and judges.

python -m tests.store.stress.run DSN SECONDS
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import sys
import time
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg

from taskd.store import connect, hosts, jobs, mail
from taskd.store.rows import JobEnd
from tests.store.makers import lanes
from tests.store.stress import witness
from tests.store.stress.client import QUEUES, Client, rescue_all

CLIENTS = 6
SECONDS_BETWEEN_KILLS = 0.5
DRAIN_SECONDS = 120.0

Connection = psycopg.Connection[Any]
_context = multiprocessing.get_context("fork")


def be_a_client(dsn: str, host: int, seed: int, until: float) -> None:
    """What each process does."""
    Client(dsn, host, os.getpid(), seed).run(until)


class Crew:
    """The clients: as many as wanted, whoever is killed."""

    def __init__(self, dsn: str, host: int, until: float) -> None:
        self._dsn, self._host, self._until = dsn, host, until
        self._processes: list[multiprocessing.process.BaseProcess] = []
        self.started = 0
        self.kills = 0
        self.failures = 0

    def fill(self) -> None:
        """Start clients until there are enough of them."""
        while len(self._processes) < CLIENTS:
            self.started += 1
            arguments = (self._dsn, self._host, self.started, self._until)
            process = _context.Process(target=be_a_client, args=arguments)
            process.start()
            self._processes.append(process)

    def kill_one(self, connection: Connection) -> None:
        """Kill a client in the middle of whatever it does; the others will hear of it."""
        victim = random.choice(self._processes)
        victim.kill()
        self.kills += 1
        self._bury(connection, victim)

    def wait(self, connection: Connection) -> None:
        """Until the last one is done."""
        for process in list(self._processes):
            self._bury(connection, process)

    def _bury(self, connection: Connection, process: multiprocessing.process.BaseProcess) -> None:
        process.join()
        self.failures += process.exitcode not in (0, -9)
        self._processes.remove(process)
        connection.execute(
            "INSERT INTO stress.dead SELECT id FROM taskd.worker WHERE pid = %s", (process.pid,)
        )


def drain(connection: Connection, host: int) -> None:
    """Let one quiet worker do what is left, until nothing is."""
    workers = connection.execute("SELECT id FROM taskd.worker").fetchall()
    rescue_all(connection, [row[0] for row in workers])
    worker = hosts.register_worker(connection, host, 0, "io", 0, 1)
    assert worker is not None
    wanted = lanes(*((queue, lane, 0) for queue in QUEUES for lane in (10, 25, 5)))
    until = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < until:
        jobs.promote_jobs(connection, 1000)
        mail.dispatch(connection)
        rows = jobs.claim_jobs(connection, worker, wanted, 1000)
        if rows:
            ids = [row[0] for row in rows]
            witness.hold(connection, worker, ids)
            witness.let_go(connection, worker, ids)
            ends = [JobEnd(row[0], row[3], 0.1, "s") for row in rows]
            jobs.complete_jobs(connection, worker, ends)
        elif not witness.what_is_left(connection):
            return


def run(dsn: str, seconds: float) -> dict[str, Any]:
    """The whole of it: what happened, and `faults`, which should be empty."""
    with closing(connect.connect(dsn)) as connection:
        witness.set_up(connection)
        host = hosts.register_host(connection, uuid4(), "here", 1, "0")
        until = time.monotonic() + seconds
        crew = Crew(dsn, host, until)
        audits = []
        while time.monotonic() < until - 2 * SECONDS_BETWEEN_KILLS:
            crew.fill()
            time.sleep(random.random() * 2 * SECONDS_BETWEEN_KILLS)
            crew.kill_one(connection)
            audits += connection.execute("SELECT * FROM taskd.audit").fetchall()
        crew.fill()
        crew.wait(connection)
        drain(connection, host)
        return judge(connection, crew, audits)


def judge(connection: Connection, crew: Crew, audits: list[Any]) -> dict[str, Any]:
    """What happened, and what should not have."""
    violations = connection.execute("SELECT what FROM stress.violation").fetchall()
    faults = {
        "left": witness.what_is_left(connection),
        "violations": [row[0] for row in violations],
        "overtakings": witness.overtakings(connection),
        "audits": audits,
        "clients that failed": crew.failures,
    }
    done = connection.execute(
        "SELECT what, sum(n)::bigint FROM stress.done GROUP BY what ORDER BY what"
    ).fetchall()
    states = connection.execute("SELECT state, count(*) FROM taskd.history GROUP BY state")
    grants = connection.execute("SELECT count(*) FROM stress.granted").fetchone()
    return {
        "clients": crew.started,
        "kills": crew.kills,
        "grants": grants and grants[0],
        "ended": dict(states.fetchall()),
        "done": dict(done),
        "faults": {name: found for name, found in faults.items() if found},
    }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2])), default=str))
