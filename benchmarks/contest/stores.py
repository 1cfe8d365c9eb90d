"""Where a system keeps its jobs: a database or a Redis of its own, for one measurement."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql

from benchmarks.contest.failure import CaseFailed
from benchmarks.peers.peer import Store
from taskd.store.embedded import Server

PATIENCE = 20.0
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

_COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"
_WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'"
_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What PostgreSQL has done so far."""

    commits: int
    wal_bytes: int


class Kept(Protocol):
    """A store."""

    environment: Mapping[str, str]
    redis: Path | None

    def log_statements(self) -> None:
        """Say before workers start that `statements` will be asked."""

    def statements(self) -> int:
        """How many have been sent so far."""

    def connections(self) -> int:
        """How many a system holds now."""


class Database:
    """A new database of the server, which all systems on PostgreSQL share in turns."""

    redis = None

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self._server = server
        self._admin = psycopg.connect(server.dsn, autocommit=True)
        self.dsn = psycopg.conninfo.make_conninfo(server.dsn, dbname=name)
        parts = psycopg.conninfo.conninfo_to_dict(self.dsn)
        self.environment = {
            "TASKD_DATABASE": self.dsn,
            "PGHOST": str(parts["host"]),
            "PGUSER": str(parts["user"]),
            "PGPORT": str(parts.get("port", 5432)),
            "PGDATABASE": name,
        }
        self._require_durability()
        self._execute("CREATE DATABASE {}")
        self.checkpoint()

    def log_statements(self) -> None:
        self._execute("ALTER DATABASE {} SET log_statement = 'all'")

    def statements(self) -> int:
        log = Path(str(self._value("SHOW data_directory"))).parent / "postgres.log"
        lines = log.read_bytes().splitlines()
        return sum(b"LOG:  statement: " in one or b"LOG:  execute " in one for one in lines)

    def connections(self) -> int:
        return int(str(self._value(_CONNECTIONS, self.name)))

    def work(self) -> Work:
        """What was done; commits are complete once whoever made them has disconnected."""
        commits, wal = self._value(_COMMITS, self.name), self._value(_WAL)
        return Work(int(str(commits)), int(str(wal)))

    def settle(self) -> None:
        """Let no vacuum of what was just filled fall into the measurement."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def checkpoint(self) -> None:
        """Let no checkpoint for what was written before fall into it either."""
        self._admin.execute("CHECKPOINT")

    def close(self) -> None:
        self._execute("DROP DATABASE {} WITH (FORCE)")
        self._admin.close()

    def _require_durability(self) -> None:
        for setting in DURABLE:
            if self._value(f"SHOW {setting}") != "on":
                raise CaseFailed(f"PostgreSQL runs with {setting} off: nothing would be comparable")

    def _execute(self, statement: str) -> None:
        self._admin.execute(sql.SQL(statement).format(sql.Identifier(self.name)))

    def _value(self, statement: str, *parameters: object) -> object:
        row = self._admin.execute(statement.encode(), parameters).fetchone()
        return row[0] if row else None


class Redis:
    """Debian's Redis on a unix socket in a folder of its own."""

    def __init__(self, folder: Path, fsync: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise CaseFailed("needs redis-server: apt-get install redis-server")
        self.redis = folder / "redis.sock"
        self.environment = {"BENCH_REDIS": str(self.redis)}
        command = [program, "--port", "0", "--unixsocket", str(self.redis), "--dir", str(folder)]
        command += ["--appendonly", "yes", "--appendfsync", fsync, "--save", ""]
        with (folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._asked = 0
        self._wait_until_it_answers()

    def log_statements(self) -> None:
        """It counts anyway."""

    def statements(self) -> int:
        """Commands, those of scripts included, without the questions asked here."""
        calls = self._info("commandstats").values()
        return sum(int(one.split("calls=")[1].split(",")[0]) for one in calls) - self._asked

    def connections(self) -> int:
        return int(self._info("clients")["connected_clients"]) - 1

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _info(self, section: str) -> dict[str, str]:
        self._asked += 1
        with closing(socket.socket(socket.AF_UNIX)) as client, client.makefile("rb") as reply:
            client.connect(str(self.redis))
            client.sendall(f"INFO {section}\r\n".encode())
            text = reply.read(int(reply.readline()[1:])).decode()
        return dict(one.split(":", 1) for one in text.splitlines() if ":" in one)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.redis.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise CaseFailed("Redis did not start")
            time.sleep(0.01)


@contextmanager
def opened(store: Store, server: Server, name: str, folder: Path) -> Iterator[Database | Redis]:
    """A store of this kind until the block ends."""
    kept: Database | Redis
    if store is Store.POSTGRES:
        kept = Database(server, name)
    else:
        kept = Redis(folder, "always" if store is Store.REDIS_ALWAYS else "everysec")
    with closing(kept):
        yield kept
