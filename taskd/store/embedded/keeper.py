"""The keeper: `python -m taskd.store.embedded.keeper STATE_DIR MAX_CONNECTIONS REPORT_FD`.

    started by whoever needs the server first ──► detaches itself ──► starts (or adopts) PostgreSQL
        while somebody holds users.lock: restart it if it crashes
        nobody for GRACE seconds: take users.lock alone, stop PostgreSQL, end

While it holds users.lock alone, `hold` waits; so nobody can start to use a server that is about to
stop. If the keeper is killed, PostgreSQL goes on, and the next keeper adopts it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded.account import Account
from taskd.store.embedded.binaries import find_binaries
from taskd.store.embedded.cluster import Cluster
from taskd.store.embedded.users import lock_file, try_lock, unlock

GRACE_SECONDS = float(os.environ.get("TASKD_KEEPER_GRACE", "10"))
LOOK_SECONDS = min(0.5, GRACE_SECONDS / 2)
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0


class Keeper:
    """Keeps one server as long as it has users."""

    def __init__(self, cluster: Cluster, max_connections: int) -> None:
        self._cluster = cluster
        self._max_connections = max_connections
        self._users = lock_file(cluster.folder / "users.lock")
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server, or adopt the one that runs; the version of its programs.

        Blocks at most a minute. Raises EmbeddedServerFailed.
        """
        cluster = self._cluster
        cluster.prepare()
        binaries = find_binaries(cluster.folder, cluster.account, cluster.major)
        if cluster.ready_pid() is None:
            cluster.create(binaries)
            self._child = cluster.start(binaries, self._max_connections)
        return binaries.version

    def keep(self) -> None:
        """Block until nobody has used the server for a while, then stop it."""
        unused_since: float | None = None
        pause = FIRST_PAUSE
        while True:
            time.sleep(LOOK_SECONDS)
            pause = self._restart_if_dead(pause)
            if not try_lock(self._users):
                unused_since = None
                continue
            now = time.monotonic()
            unused_since = now if unused_since is None else unused_since
            if now - unused_since >= GRACE_SECONDS:
                self.stop()  # with users.lock held, so that whoever comes now waits
                return
            unlock(self._users)

    def _restart_if_dead(self, pause: float) -> float:
        if self._child is not None:
            self._child.poll()
        if self._cluster.ready_pid() is not None:
            return FIRST_PAUSE
        try:
            self.start()
        except EmbeddedServerFailed as error:
            print(f"keeper: {error}", file=sys.stderr, flush=True)
            time.sleep(pause)
        return min(pause * 2, LAST_PAUSE)

    def stop(self) -> None:
        """Stop the server in good order."""
        pid = self._cluster.ready_pid()
        if pid is not None:
            self._cluster.stop(pid)


def main(arguments: list[str]) -> int:
    """Detach, take the keeper's lock, report to who called, and keep."""
    state_dir, max_connections, report_fd = arguments[0], int(arguments[1]), int(arguments[2])
    _let_go_of_everything_but(report_fd)
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(report_fd, "w", encoding="utf-8") as report:
        try:
            cluster = Cluster(state_dir, Account.choose())
            keeper_lock = lock_file(cluster.folder / "keeper.lock")
            if not try_lock(keeper_lock):
                raise EmbeddedServerFailed("another keeper is at work already: try again")
            keeper = Keeper(cluster, max_connections)
            report.write(json.dumps({"version": keeper.start()}))
        except (EmbeddedServerFailed, OSError) as error:
            report.write(json.dumps({"error": str(error)}))
            return 1
    _leave_terminal(cluster)
    keeper.keep()
    return 0


def _let_go_of_everything_but(fd: int) -> None:
    """Close what was inherited: a daemon's descriptors must not live on in the keeper."""
    os.closerange(3, fd)
    os.closerange(fd + 1, os.sysconf("SC_OPEN_MAX"))


def _leave_terminal(cluster: Cluster) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(cluster.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir("/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
