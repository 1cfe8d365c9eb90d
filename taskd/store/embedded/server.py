"""Making sure that the server runs: the way in for everybody."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded.account import Account
from taskd.store.embedded.binaries import find_binaries
from taskd.store.embedded.cluster import Cluster
from taskd.store.embedded.users import lock_file, try_lock, unlock

ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `started`: this call started it."""

    dsn: str
    data_dir: str
    bin_dir: str
    version: str
    started: bool


def ensure_server(state_dir: str | Path, max_connections: int = 100) -> Server:
    """Start the embedded server of a state directory unless it runs; take `hold` first.

    Blocks about a second for the first start, at most a minute. Any number of processes may call
    it at once. A server that runs keeps its max_connections. Raises EmbeddedServerFailed.
    """
    cluster = Cluster(state_dir, Account.choose())
    cluster.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    start_lock = lock_file(cluster.folder / "start.lock")
    try:
        fcntl.flock(start_lock, fcntl.LOCK_EX)
        started = not _is_kept(cluster)
        if started:
            _start_keeper(cluster, Path(state_dir), max_connections)
        _wait_for_answer(cluster)
    finally:
        os.close(start_lock)
    binaries = find_binaries(cluster.folder, cluster.account, cluster.major)
    data, programs = str(cluster.data), str(binaries.folder)
    return Server(cluster.dsn, data, programs, binaries.version, started)


def _is_kept(cluster: Cluster) -> bool:
    """Whether a keeper is at work."""
    fd = lock_file(cluster.folder / "keeper.lock")
    try:
        if not try_lock(fd):
            return True
        unlock(fd)
        return False
    finally:
        os.close(fd)


def _start_keeper(cluster: Cluster, state_dir: Path, max_connections: int) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    flags = ["-P"] if sys.flags.safe_path else []
    command = [sys.executable, *flags, "-m", "taskd.store.embedded.keeper"]
    command += [str(state_dir.absolute()), str(max_connections), str(writing)]
    pid = os.posix_spawn(sys.executable, command, os.environ)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading, encoding="utf-8") as report:
        told = report.read()
    answer = json.loads(told) if told else {"error": "its keeper ended without a word"}
    if "error" in answer:
        raise EmbeddedServerFailed(answer["error"])


def _wait_for_answer(cluster: Cluster) -> None:
    """Readiness is proved by connecting; a pid that looks alive may be starting, or ending."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            psycopg.connect(cluster.dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(
                    f"PostgreSQL in {cluster.data} does not answer: {' '.join(str(error).split())}"
                ) from error
            time.sleep(0.05)
        else:
            return
