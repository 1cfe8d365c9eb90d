"""A real daemon on a project of its own: a folder with a module and a taskd.yaml."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from taskd.cli.workers import fresh_reports
from taskd.errors import DatabaseError
from taskd.store.connect import connect
from tests.conftest import TestServer
from tests.reader import Reader
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io:
    processes: 2
    greenlets: 25
    shutdown_timeout: 10s
log: {level: debug}
"""
_READY = re.compile(r"\bready: \d+ workers? (is|are) waiting")


@dataclass
class Project:
    """A user's project: code, configuration, database, and the daemons that were started on it."""

    folder: Path
    dsn: str
    daemons: list[Daemon] = field(default_factory=list)
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.dsn)

    def write(self, name: str, text: str) -> Path:
        """Write one of the project's files; indentation is taken off."""
        path = self.folder / name
        path.write_text(textwrap.dedent(text))
        return path

    @property
    def environment(self) -> dict[str, str]:
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        return {
            **os.environ,
            "TASKD_DATABASE": self.dsn,
            "TASKD_STATE_DIR": str(state),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def taskd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the CLI in the project's folder."""
        return subprocess.run(
            [sys.executable, "-m", "taskd", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def python(self, script: str) -> str:
        """Run a script in the project's folder, as a client would; what it printed."""
        return subprocess.run(
            [sys.executable, script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    def start(self, *flags: str, ready: bool = True) -> Daemon:
        """Start a daemon; returns when its workers are ready, unless told otherwise."""
        daemon = Daemon(self, len(self.daemons), flags)
        self.daemons.append(daemon)
        if ready:
            daemon.wait_until_ready()
        return daemon

    def enqueue(self, task: str, *arguments: Any) -> int:
        """Enqueue as any client would, with a connection of its own."""
        return self.enqueue_many(task, [arguments])[0]

    def enqueue_many(
        self, task: str, calls: list[tuple[Any, ...]], queue: str = "default"
    ) -> list[int]:
        from taskd.store import jobs
        from taskd.store.rows import NewJobs

        arguments = [json.dumps(list(call)) for call in calls]
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            new = NewJobs(task, arguments, [None] * len(calls), queue=queue)
            return jobs.enqueue_jobs(connection, new)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self.reader.ask(statement, *parameters)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def states(self) -> dict[str, int]:
        """How many jobs are in each state."""
        return dict(self.query("SELECT state, count(*) FROM taskd.job GROUP BY state"))

    def wait_for_states(self, seconds: float = 30.0, **wanted: int) -> None:
        """Wait until exactly these states hold exactly so many jobs."""

        def as_wanted() -> bool:
            return self.states() == wanted

        try:
            eventually(as_wanted, seconds)
        except AssertionError as error:
            raise AssertionError(f"wanted {wanted}, have {self.states()}\n{self.logs()}") from error

    def logs(self) -> str:
        """What all daemons of this project have said."""
        return "".join(f"--- daemon {d.number}\n{d.log()}" for d in self.daemons)

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.kill()
        self.reader.close()


class Daemon:
    """One run of the daemon."""

    def __init__(self, project: Project, number: int, flags: tuple[str, ...]) -> None:
        self.project = project
        self.number = number
        self.log_path = project.folder / f"log-{number}"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "taskd", *flags],
                cwd=project.folder,
                env=project.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str, seconds: float = 30.0) -> str:
        """Wait until the log says something; the line that does."""

        def line() -> str | None:
            return next((one for one in self.log().splitlines() if text in one), None)

        try:
            found = eventually(line, seconds)
        except AssertionError as error:
            raise AssertionError(f"the log never said {text!r}:\n{self.log()}") from error
        assert found is not None
        return found

    def wait_until_ready(self, seconds: float = 30.0) -> None:
        """Wait until its log says that every worker has registered and waits for work."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended early:\n{self.log()}")
            return _READY.search(self.log()) is not None

        try:
            eventually(ready, seconds)
        except AssertionError as error:
            raise AssertionError(f"not ready: {self.tree()}\n{self.log()}") from error

    def tree(self) -> list[dict[str, Any]]:
        """Its processes, as `taskd workers` finds them; none while there is no schema yet."""
        try:
            with closing(connect(self.project.dsn)) as connection:
                found = [one for report in fresh_reports(connection) for one in report.processes()]
        except (psycopg.Error, DatabaseError):
            return []
        return [one for one in found if one.get("master_pid", self.pid) == self.pid]

    def pids(self, role: str, pool: str | None = None) -> list[int]:
        """The processes of one role."""
        return [
            one["pid"]
            for one in self.tree()
            if one["role"] == role and (pool is None or one["pool"] == pool)
        ]

    def children(self, title: str) -> list[int]:
        """Its processes whose title holds this, as the system knows them at this moment."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in path.read_text().split() if title in _title(int(pid))]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for its end; the exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"the daemon did not end:\n{self.log()}") from late

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it and everything it started, whatever state it is in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] not in "ZX"


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""  # it has just been reaped


@contextmanager
def project_on(server: TestServer, folder: Path, config: str, shop: str) -> Iterator[Project]:
    """A project with a database and a running daemon for all tests of a module."""
    name = server.create()
    project = Project(folder, server.of(name))
    project.write("taskd.yaml", config)
    project.write("shop.py", shop)
    try:
        project.start()
        yield project
    finally:
        project.close()
        server.drop(name)


def open_project(folder: Path, dsn: str) -> Iterator[Project]:
    project = Project(folder, dsn)
    project.write("taskd.yaml", CONFIG)
    yield project
    project.close()
