"""`taskd top` on a real database, into a pipe and on a terminal of its own."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from taskd.cli.top.screen import Screen
from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd
from tests.commands import run_taskd
from tests.store.keepers import cut
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.store.test_statistics import succeed

pytestmark = pytest.mark.one_server
PROCESS = {
    "pid": 1, "role": "worker", "pool": "io", "slot": 0, "generation": 1, "state": "busy",
    "in_flight": 1, "memory_bytes": 10 << 20, "children_bytes": 0, "peak_bytes": 12 << 20,
    "started": "2030-01-01T00:00:00.000+00:00",
}  # fmt: skip


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def ended(connection: Connection) -> None:
    """Three of shop.sync have succeeded, one has failed; two wait."""
    host = add_host(connection)
    worker = add_worker(connection, host)
    hosts.write_report(connection, host, json.dumps([PROCESS]))
    add_jobs(connection, 4)
    rows = claim(connection, worker)
    succeed(connection, worker, rows[:3], took=0.5)
    end = JobEnd(rows[3][0], fence_of(rows[3]), 0.5, "f", None, "ValueError: 17 is odd")
    jobs.complete_jobs(connection, worker, [end])
    add_jobs(connection, 2)


def test_one_picture_goes_into_a_pipe(dsn: str) -> None:
    result = run_taskd("--database", dsn, "top", "--once", COLUMNS="80")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("1 host, 1 worker, 1 slot, 0 jobs in hand")
    assert "1 failed" in lines[1]
    queue = next(line for line in lines if line.startswith("default")).split()
    assert queue[5:8] == ["2", "2", "0"]
    worker = next(line for line in lines if line.startswith("io/0")).split()
    assert worker[1:7] == ["here", "silent", "1", "1", "10.5", "MB"]  # nobody plays the host
    assert "ValueError: # is odd" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_canary_is_told_from_other_workers(dsn: str, connection: Connection) -> None:
    (host,) = hosts.list_hosts(connection)
    canary = {**PROCESS, "pid": 2, "slot": 4, "canary": True}
    hosts.write_report(connection, host.id, json.dumps([PROCESS, canary]))

    result = run_taskd("--database", dsn, "top", "--once", COLUMNS="100")

    names = [line.split("  ")[0] for line in result.stdout.splitlines() if line.startswith("io/")]
    assert names == ["io/0", "io/4 canary"]


def test_without_a_terminal_only_one_picture_can_be_had(dsn: str) -> None:
    result = run_taskd("--database", dsn, "top")

    assert result.exit_code == 2
    assert "add --once" in result.stderr


class Terminal:
    """A terminal of 80 x 24 with a `taskd top` on it."""

    def __init__(self, dsn: str, **variables: str) -> None:
        self._end, self._line = pty.openpty()
        fcntl.ioctl(self._line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self._line)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskd", "--database", dsn, "top", "--every", "0.2s"],
            stdin=self._line,
            stdout=self._line,
            stderr=self._line,
            env={**os.environ, "TERM": "xterm", **variables},
        )
        self.seen = ""

    def read_until(self, text: str, times: int = 1) -> None:
        while self.seen.count(text) < times:
            ready, _, _ = select.select([self._end], [], [], 20)
            assert ready, self.seen
            self.seen += os.read(self._end, 65536).decode()

    def press(self, key: str) -> None:
        os.write(self._end, key.encode())

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._line) == self.modes

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)
        os.close(self._line)


@contextmanager
def terminal(dsn: str, **variables: str) -> Iterator[Terminal]:
    found = Terminal(dsn, **variables)
    try:
        yield found
    finally:
        found.close()


def test_it_is_drawn_anew_until_q_and_leaves_the_terminal_as_it_was(dsn: str) -> None:
    with terminal(dsn, NO_COLOR="1") as shown:
        shown.read_until("io/0", times=2)
        page = shown.seen.split("\x1b[H")[1]
        shown.press("x")
        shown.press("q")
        shown.read_until("\x1b[?1049l")

        assert shown.process.wait(20) == 0
        assert shown.is_as_before()
    assert shown.seen.startswith("\x1b[?1049h")
    lines = page.split("\r\n")
    assert len(lines) <= 24
    assert max(len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line)) for line in lines) <= 80
    assert not re.search(r"\x1b\[[0-9;]*m", page)  # no colours


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_or_terminated_it_leaves_the_terminal_as_it_was(
    dsn: str, number: signal.Signals, status: int
) -> None:
    with terminal(dsn) as shown:
        shown.read_until("io/0")
        shown.process.send_signal(number)
        shown.read_until("\x1b[?1049l")

        assert shown.process.wait(20) == status
        assert shown.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_something_swallows_ends_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    end, line = pty.openpty()
    with open(line) as keys:
        monkeypatch.setattr(sys, "stdin", keys)
        with Screen() as screen:
            with suppress(KeyboardInterrupt, SystemExit):
                signal.raise_signal(number)

            with pytest.raises((KeyboardInterrupt, SystemExit)):
                screen.wait(1)
    os.close(end)


def test_while_the_database_is_away_the_last_picture_stays(
    dsn: str, connection: Connection
) -> None:
    with terminal(dsn) as shown:
        shown.read_until("io/0")
        cut(connection, "taskd top")
        shown.read_until("as it was: ")
        trouble = shown.seen.rindex("as it was: ")
        shown.read_until("\x1b[H", times=shown.seen.count("\x1b[H") + 2)

    assert "io/0" in shown.seen[trouble:]
    assert "as it was" not in shown.seen.split("\x1b[H")[-1]  # another connection was opened
