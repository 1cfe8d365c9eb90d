"""Jobs that say when they begin and end, and end only when the test lets them.

Each waits at a gate, a lock that the test holds until it opens the gate. So nothing here depends on
speed: what stands where is looked at when no letter is left, and then it can only change by a gate.
"""

from __future__ import annotations

import json
from contextlib import suppress

import psycopg

from taskd.store import jobs
from taskd.store.graph import enqueue_graph
from taskd.store.rows import NewGraph, NewJob
from tests.process.daemon import Project
from tests.waiting import eventually

EXCLUSIVE, SHARED = 2147483647, 1

CODE = """
import os

import psycopg

from taskd import task

TELL = "INSERT INTO seen (job, what, pid) VALUES (%s, %s, %s)"


@task
def gated(name):
    with psycopg.connect(os.environ["TASKD_DATABASE"], autocommit=True) as connection:
        connection.execute(TELL, (name, "begins", os.getpid()))
        connection.execute("SELECT pg_advisory_lock_shared(hashtext(%s))", (name,))
        connection.execute(TELL, (name, "ends", os.getpid()))
"""
_SEEN = """
DROP TABLE IF EXISTS seen;
CREATE TABLE seen (at integer GENERATED ALWAYS AS IDENTITY, job text, what text, pid integer)
"""
_STANDS = """
SELECT j.args::json->>0,
       CASE WHEN j.state <> 'running'
              OR (SELECT s.what FROM seen s
                  WHERE s.job = j.args::json->>0 ORDER BY s.at DESC LIMIT 1) = 'begins'
            THEN j.state END
FROM taskd.job j WHERE NOT EXISTS (SELECT FROM taskd.mail)
"""


class Gates:
    """The jobs of a test by their names, each behind its gate."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._connection = psycopg.connect(project.dsn, autocommit=True)
        self._ids: dict[str, int] = {}
        project.write("shop.py", CODE)
        project.execute(_SEEN)
        project.execute("DELETE FROM taskd.history")  # that of tests with the same daemon

    def enqueue(self, name: str, queue: str = "default", /, **needs: int) -> None:
        """Enqueue a job that needs these resources; its gate is closed."""
        self._connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
        new = NewJob(
            task="shop.gated",
            args=json.dumps([name]),
            queue=queue,
            res=tuple(needs),
            need=tuple(needs.values()),
        )
        (self._ids[name],) = enqueue_graph(self._connection, NewGraph((new,)))

    def open(self, name: str) -> None:
        """Let a job end."""
        self._connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (name,))

    def cancel(self, name: str) -> str:
        """Cancel a job; what became of it."""
        job = self._ids[name]
        return jobs.cancel_jobs(self._connection, [job])[job]

    def wait_for(self, *, running: str = "", blocked: str = "", cancelled: str = "") -> None:
        """Wait until these have begun and those wait, and all others have succeeded."""
        wanted = dict.fromkeys(self._ids, "succeeded")
        for state, names in {
            "running": running,
            "blocked": blocked,
            "cancelled": cancelled,
        }.items():
            wanted |= dict.fromkeys(names.split(), state)
        stands: dict[str, str | None] = {}

        def as_wanted() -> bool:
            nonlocal stands
            stands = dict(self._project.query(_STANDS)) or stands
            return stands == wanted

        try:
            eventually(as_wanted)
        except AssertionError as error:
            logs = self._project.logs()
            raise AssertionError(f"wanted {wanted}, have {stands}\n{logs}") from error

    def seen(self) -> list[tuple[str, str]]:
        """Who has begun and ended, in the order in which it happened."""
        return self._project.query("SELECT job, what FROM seen ORDER BY at")

    def pids(self, name: str) -> list[int]:
        """The workers in which a job has begun, attempt by attempt."""
        statement = "SELECT pid FROM seen WHERE job = %s AND what = 'begins' ORDER BY at"
        return [pid for (pid,) in self._project.query(statement, name)]

    def held(self) -> dict[str, int]:
        """How many units are held of each resource of which any are."""
        assert self._project.query("SELECT * FROM taskd.audit") == []
        return dict(self._project.query("SELECT name, used FROM taskd.resource WHERE used > 0"))

    def close(self) -> None:
        """Open all gates."""
        with suppress(psycopg.Error):
            self._connection.close()
