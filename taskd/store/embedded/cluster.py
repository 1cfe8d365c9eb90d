"""One database cluster: where it is, making it, starting it, knowing that it answers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from taskd.errors import EmbeddedServerFailed
from taskd.store.embedded.account import Account
from taskd.store.embedded.binaries import Binaries

LONGEST_SOCKET_FOLDER = 85
_LOG_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# What a crashed server leaves behind goes away by itself: backends that still end, a pid that
# nobody has reaped. Its files are never deleted by us.
_PASSING = ("still in use", "postmaster.pid", "could not create shared memory")


class Cluster:
    """The server of a state directory, whoever started it."""

    def __init__(self, state_dir: str | Path, account: Account) -> None:
        self.folder = Path(state_dir).absolute() / "postgres"
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.account = account
        self.sockets = _socket_folder(self.folder)

    @property
    def dsn(self) -> str:
        """How to connect to it."""
        return f"host={self.sockets} user=taskd dbname=postgres"

    @property
    def major(self) -> int | None:
        """The version its data is bound to; None if there is no data yet."""
        try:
            return int((self.data / "PG_VERSION").read_text().split(".")[0])
        except FileNotFoundError:
            return None

    def prepare(self) -> None:
        """Make the folders that only the server's user may enter."""
        self.account.insist_on_reaching(self.folder)
        for folder in (self.data, self.sockets):
            folder.mkdir(mode=0o700, exist_ok=True)
            self.account.own(folder)

    def create(self, binaries: Binaries) -> None:
        """Run initdb unless that has been done; blocks about a second."""
        if self.major is not None:
            return
        command = [binaries.folder / "initdb", "-D", self.data, "-U", "taskd", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-instructions"]
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", env=_environment(),
            stdin=subprocess.DEVNULL, **self.account.spawn_options,
        )  # fmt: skip
        if made.returncode != 0:
            raise EmbeddedServerFailed(
                f"could not make a database in {self.data}: {' '.join(made.stderr.split())}"
            )

    def start(self, binaries: Binaries, max_connections: int) -> subprocess.Popen[bytes]:
        """Start the server and wait until it accepts connections; blocks at most a minute.

        Raises EmbeddedServerFailed with the end of the log.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            process = self._spawn(binaries, max_connections)
            while process.poll() is None and time.monotonic() < deadline:
                if self.ready_pid() == process.pid:
                    return process
                time.sleep(0.01)
            if process.poll() is None:
                process.kill()
                process.wait()
            tail = self.log_tail()
            passing = any(sign in tail for sign in _PASSING)
            if not passing or time.monotonic() >= deadline:
                raise EmbeddedServerFailed(f"PostgreSQL did not start: {tail} (see {self.log})")
            time.sleep(0.3)

    def _spawn(self, binaries: Binaries, max_connections: int) -> subprocess.Popen[bytes]:
        command = [str(binaries.folder / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        for setting in (
            "listen_addresses=",
            "unix_socket_permissions=0700",
            f"max_connections={max_connections}",
            "shared_buffers=64MB",
            "logging_collector=off",
        ):
            command += ["-c", setting]
        with os.fdopen(os.open(self.log, _LOG_FLAGS, 0o600), "ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=_environment(), start_new_session=True, **self.account.spawn_options,
            )  # fmt: skip

    def ready_pid(self) -> int | None:
        """The postmaster's pid if it says that it is ready and it lives."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return None
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        return int(lines[0]) if _lives(int(lines[0])) else None

    def stop(self, pid: int) -> None:
        """Stop the server in good order (fast: transactions are rolled back); blocks."""
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        while _lives(pid) and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.02)

    def log_tail(self) -> str:
        """The last lines of the log, as one."""
        try:
            return " ".join(self.log.read_text(errors="replace")[-600:].split())
        except OSError:
            return "no log was written"


def _lives(pid: int) -> bool:
    """Whether a process is there and no zombie (pid 1 may be slow to reap)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _environment() -> dict[str, str]:
    """Ours without what would change PostgreSQL's mind."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _socket_folder(folder: Path) -> Path:
    """A unix socket's path holds 107 bytes: deep state directories get a short one in /tmp."""
    if len(os.fsencode(folder / "run")) <= LONGEST_SOCKET_FOLDER:
        return folder / "run"
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(f"/tmp/taskd-{os.geteuid()}-{digest}")
