"""One daemon as a service manager keeps it: started again when it has ended."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tests.process.daemon import is_alive
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
RESTART_SECONDS = 0.2
ROLES = ("worker", "forkserver", "maintenance", "master")

CONFIG = """
imports: [tests.faults.work]
lease: {lease}s
max_losses: 1000
max_crashes: 1000
pools:
  io: {{queues: [default], processes: {processes}, greenlets: 10, shutdown_timeout: 10s}}
  cpu: {{queues: [cpu], processes: 1}}
log: {{level: info}}
"""


@dataclass
class Host:
    """A daemon with a state directory of its own: to all others a machine of its own."""

    folder: Path
    dsn: str
    ledger_dsn: str
    config: str
    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """What the daemon is started with: the words of `ip netns exec …`, say."""
    has_pipe: bool = False
    """Whether its output comes through a small pipe, whose reader may stop."""
    starts: list[float] = field(default_factory=list)
    """When it was started, seconds since 1970."""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "taskd.yaml").write_text(self.config)
        self.log_path = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = False
        self._is_over = threading.Event()
        self._lock = threading.Lock()  # guards _process and _is_wanted
        self._reads = threading.Event()
        self._reads.set()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    # -- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        self.restore()
        self._keeper.start()

    def restore(self) -> None:
        """Let the host be there, from now on."""
        with self._lock:
            self._is_wanted = True
            if self._is_down():
                self._start()

    def lose(self) -> list[int]:
        """Kill all of its processes at once, as when its power fails; their pids."""
        with self._lock:
            self._is_wanted = False
            return self._kill_all()

    def stop(self) -> int:
        """End it in good order; the exit status."""
        with self._lock:
            self._is_wanted = False
            process = self._process
        assert process is not None
        process.terminate()
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"the daemon did not end:\n{self.log()}") from late

    def close(self) -> None:
        self._is_over.set()
        self.lose()
        self._keeper.join(10)

    def _keep(self) -> None:
        while not self._is_over.wait(0.05):
            if not self._is_down() or self._is_over.wait(RESTART_SECONDS):
                continue
            with self._lock:
                if self._is_wanted and self._is_down():  # nobody else has started it meanwhile
                    self._start()

    def _is_down(self) -> bool:
        process = self._process
        return process is None or process.poll() is not None

    def _start(self) -> None:
        self.starts.append(time.time())
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        with self._open_output() as output:
            self._process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "taskd"],
                cwd=self.folder,
                env={
                    **os.environ,
                    "TASKD_DATABASE": self.dsn,
                    "TASKD_STATE_DIR": str(state),
                    "FAULTS_LEDGER": self.ledger_dsn,
                    "PYTHONPATH": str(REPOSITORY),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **self.variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _open_output(self) -> BinaryIO:
        log = self.log_path.open("ab")
        if not self.has_pipe:
            return log
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, mmap.PAGESIZE)
        threading.Thread(target=self._copy, args=(reading, log), daemon=True).start()
        return os.fdopen(writing, "wb")

    def _copy(self, reading: int, log: BinaryIO) -> None:
        """Write into the log what the daemon says, while it is to be read."""
        with log, os.fdopen(reading, "rb", buffering=0) as output:
            while self._reads.wait() and (said := output.read(mmap.PAGESIZE)):
                log.write(said)
                log.flush()

    @contextmanager
    def unread(self) -> Iterator[None]:
        """While the block runs nobody reads what it says; its pipe is full soon."""
        self._reads.clear()
        try:
            yield
        finally:
            self._reads.set()

    def _kill_all(self) -> list[int]:
        if self._process is None:
            return []
        killed = [*self.pids("master"), *_children(self._process.pid)]
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(20)
        eventually(lambda: not any(map(is_alive, killed)))
        return killed

    # -- what it is made of -----------------------------------------------------------------------

    def pids(self, role: str) -> list[int]:
        """Those of one role that live now ("worker io": of one pool); none while it is down."""
        process = self._process
        if process is None or self._is_down():
            return []
        if role == "master":
            return [process.pid]
        return [pid for pid in _children(process.pid) if _title(pid).startswith(_titles(role))]

    def tree(self) -> dict[str, set[int]]:
        """All of them, by role."""
        return {role: set(self.pids(role)) for role in ROLES}

    def is_ready(self) -> bool:
        """Whether all of its workers have come up; looked for in its log."""
        process = self._process
        assert process is not None
        if process.poll() is not None and not self._is_wanted:
            raise AssertionError(f"the daemon ended early:\n{self.log()}")
        return "master: ready: " in self.log()

    def clock(self) -> float:
        """How far its clock was ahead when it was started, in seconds, as its log says."""
        first = datetime.fromisoformat(self.log().partition("+")[0]).replace(tzinfo=UTC)
        return first.timestamp() - self.starts[0]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


def _titles(role: str) -> tuple[str, ...]:
    if role == "forkserver":
        return ("taskd: io forkserver", "taskd: cpu forkserver")
    return (f"taskd: {role}",)


def _children(pid: int) -> list[int]:
    """The children of a process: all of a daemon's are its master's."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        found = [Path(f"/proc/{pid}/task/{one}/children").read_text().split() for one in threads]
    except OSError:
        return []
    return [int(child) for children in found for child in children]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
