"""The servers that tests run against: found or installed here, started here, stopped here.

The embedded PostgreSQL comes from its wheel. Debian's PostgreSQL 15 and PgBouncer are installed by
apt when the tests may do so (root on Debian); elsewhere the tests that need them are skipped, with
the command that would bring them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER = Path("/usr/sbin/pgbouncer")
START_SECONDS = 60.0


@cache
def fast_disk() -> str | None:
    """Where files cost next to nothing, if there is room: these tests are not about power cuts.

    A fresh database takes a sixth of the time there, and every test of the store wants one.
    """
    memory = "/dev/shm"
    is_fit = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30
    return memory if is_fit else None


@dataclass
class RunningServer:
    """A server that this test run started; `stop` ends it and its folder."""

    dsn: str
    process: subprocess.Popen[bytes]
    folder: Path

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Account:
    """Whom a server runs as: PostgreSQL and PgBouncer refuse root."""

    popen: dict[str, Any] = field(default_factory=dict)
    name: str | None = None

    @classmethod
    def unprivileged(cls) -> Account:
        if os.geteuid() != 0:
            return cls()
        import pwd

        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(
                {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}, entry.pw_name
            )
        pytest.fail("no unprivileged user (postgres, nobody) to run a server as")

    def own(self, folder: Path) -> None:
        if self.name is not None:
            shutil.chown(folder, self.name)


def install(package: str, wanted: Path) -> None:
    """Bring a Debian package, or skip the test that needs it."""
    if wanted.exists():
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        pytest.skip(f"needs {wanted}: run `apt-get install {package}` as root")
    with (Path(tempfile.gettempdir()) / "taskd-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may want it at once
        if wanted.exists():
            return
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "check": True}
        subprocess.run([apt, "update", "-qq"], **quiet)
        subprocess.run([apt, "install", "-y", "-qq", "--no-install-recommends", package], **quiet)


def start_debian_postgres() -> RunningServer:
    """Debian's PostgreSQL 15 on a unix socket of its own."""
    install("postgresql-15", DEBIAN_POSTGRES / "postgres")
    account = Account.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="taskd-pg15-", dir=fast_disk()))
    folder.chmod(0o755)
    data, run = folder / "data", folder / "run"
    for part in (data, run):
        part.mkdir(mode=0o700)
        account.own(part)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    options: dict[str, Any] = {"cwd": "/", "env": environment, **account.popen}
    subprocess.run(
        [DEBIAN_POSTGRES / "initdb", "-D", data, "-U", "taskd", "-A", "trust", "-E", "UTF8", "-N"],
        check=True,
        capture_output=True,
        **options,
    )
    settings = [
        "listen_addresses=",
        "fsync=off",
        "max_connections=150",
        f"unix_socket_directories={run}",
    ]
    command = [str(DEBIAN_POSTGRES / "postgres"), "-D", str(data)]
    for setting in settings:
        command += ["-c", setting]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **options)
    server = RunningServer(f"host={run} user=taskd dbname=postgres", process, folder)
    wait_until_it_answers(server.dsn, process, folder / "log")
    return server


def start_pgbouncer(dsn: str) -> RunningServer:
    """PgBouncer in transaction mode in front of the server of `dsn`; any database name goes."""
    install("pgbouncer", PGBOUNCER)
    account = Account.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="taskd-bouncer-"))
    folder.chmod(0o700)
    account.own(folder)
    named = psycopg.conninfo.conninfo_to_dict(dsn)
    host, port = named["host"], named.get("port", "5432")
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={host} port={port} user=taskd\n"
        "[pgbouncer]\nlisten_addr =\n"
        f"unix_socket_dir = {folder}\nlisten_port = 6432\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    account.own(configuration)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PGBOUNCER, configuration], stdout=log, stderr=log, cwd="/", **account.popen
        )
    server = RunningServer(f"host={folder} port=6432 user=taskd", process, folder)
    wait_until_it_answers(f"{server.dsn} dbname=postgres", process, folder / "log")
    return server


def wait_until_it_answers(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        else:
            return
