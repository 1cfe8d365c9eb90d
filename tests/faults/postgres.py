"""A PostgreSQL of its own, which may be restarted, killed, filled up, cut off and promoted."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from taskd.store import connect, schema
from tests.process.daemon import is_alive
from tests.servers import DEBIAN_POSTGRES, Account, fast_disk, install, wait_until_it_answers
from tests.waiting import eventually

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

HARNESS = "harness"
"""What the harness calls itself where it looks for itself, and is none of those it looks at."""


@dataclass
class Postgres:
    """Debian's PostgreSQL 15 on a port of the loopback interface."""

    folder: Path
    data: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=taskd dbname=postgres"

    def init(self) -> None:
        _run("initdb", "-D", str(self.data), "-U", "taskd", "-A", "trust", "-E", "UTF8", "-N")
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 trust\n")

    def start(self, *, wait: bool = True) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # the machine itself is not taken away, only its processes
            "max_connections": "150",
            **self.settings,
        }
        command = [str(DEBIAN_POSTGRES / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, **_options(self.variables)
            )
        if wait:
            wait_until_it_answers(self.dsn, self._process, self.folder / "server.log")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is "fast", SIGQUIT "immediate", SIGKILL leaves its children to it."""
        process, self._process = self._process, None
        if process is None:
            return
        children = self._children(process.pid)
        process.send_signal(number)
        process.wait(30)
        if number == signal.SIGKILL:
            # They notice by themselves, a busy one only at its next wait; a service manager would
            # not start another server over them either.
            eventually(lambda: not any(map(is_alive, children)), 30)
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        self.stop(number)
        self.start()

    def backends(self) -> list[int]:
        """The server processes of clients of taskd."""
        return [
            row[0]
            for row in self.query(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'taskd%'"
            )
        ]

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """For the harness itself, which must not hang."""
        return psycopg.connect(
            self.dsn,
            autocommit=True,
            connect_timeout=5,
            options="-c statement_timeout=30s",
            application_name=HARNESS,
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def execute(self, statement: str) -> None:
        with self._connect() as connection:
            connection.execute(statement.encode())

    def set(self, name: str, value: str | None) -> None:
        """Change a setting that needs no restart; None takes it back."""
        self.execute(
            f"ALTER SYSTEM RESET {name}"
            if value is None
            else f"ALTER SYSTEM SET {name} = '{value}'"
        )
        self.execute("SELECT pg_reload_conf()")

    def allow(self, address: str) -> None:
        """Let this address connect."""
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/32 trust\n")
            rules.write("host all all samehost trust\n")
        self.execute("SELECT pg_reload_conf()")

    def install_schema(self) -> None:
        with connect.connect(self.dsn) as connection:
            schema.install_or_upgrade(connection)

    def clock(self) -> float:
        """What it takes for the time, in seconds since 1970."""
        ((now,),) = self.query("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(now)

    def promote(self) -> None:
        """Make a standby the primary; returns when it takes writes."""
        self.execute("SELECT pg_promote(true, 30)")

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)

    @staticmethod
    def _children(pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            return [int(child) for child in text.split()]
        return []


@contextmanager
def make_postgres(data: Path | None = None, **settings: str) -> Iterator[Postgres]:
    """A server that is not started yet, gone after the block; `data` lies elsewhere if given."""
    install("postgresql-15", DEBIAN_POSTGRES / "postgres")
    account = Account.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="taskd-faults-pg-", dir=fast_disk()))
    folder.chmod(0o755)
    account.own(folder)
    server = Postgres(folder, data or folder / "data", free_port(), settings)
    if data is None:
        server.data.mkdir(mode=0o700)
        account.own(server.data)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(data: Path | None = None, **settings: str) -> Iterator[Postgres]:
    """A server that runs."""
    with make_postgres(data, **settings) as server:
        server.init()
        server.start()
        yield server


def make_standby(primary: Postgres, standby: Postgres) -> None:
    """Fill an empty server with what the primary has, to stream from it from now on."""
    _run(
        *("pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "taskd"),
        *("-D", str(standby.data), "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"),
    )


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _run(program: str, *words: str) -> None:
    ran = subprocess.run(
        [str(DEBIAN_POSTGRES / program), *words], capture_output=True, text=True, **_options({})
    )
    assert ran.returncode == 0, ran.stderr


def _options(variables: dict[str, str]) -> dict[str, Any]:
    environment = {**_ENVIRONMENT, **variables}
    return {"cwd": "/", "env": environment, **Account.unprivileged().popen}
