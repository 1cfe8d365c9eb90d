"""A stand-in for the master: a real board, real seeds, forkservers and workers; no maintenance.

It registers a host, enters lanes on the board and wakes workers itself, as maintenance would.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from taskd import __version__
from taskd.board import Board, LaneTable, SlotReading, Wakeups, WorkerState
from taskd.board.layout import LOOK
from taskd.clock import monotonic_ns
from taskd.config.handover import settings_in_memory
from taskd.config.settings import PoolSettings, Settings
from taskd.store import hosts, jobs
from taskd.store.connect import connect
from taskd.store.graph import enqueue_graph
from taskd.store.needs import EXCLUSIVE
from taskd.store.rows import NewGraph, NewJob, NewJobs
from tests.conftest import TestServer
from tests.reader import Reader
from tests.store.conftest import empty_tables
from tests.waiting import eventually

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_MASTER_PID = 4  # the board's word that names the master
_HOUR_NS = 3_600_000_000_000
Message = dict[str, Any]


@dataclass
class Talk:
    """The master's end of a control socket."""

    ours: socket.socket
    theirs: socket.socket
    heard: list[Message] = field(default_factory=list)

    @classmethod
    def open(cls) -> Talk:
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))

    def say(self, message: Message, fds: Sequence[int] = ()) -> None:
        socket.send_fds(self.ours, [json.dumps(message).encode()], list(fds))

    def hear(self, seconds: float = 20.0) -> Message:
        """The next message; an empty one when the other side is gone."""
        self.ours.settimeout(seconds)
        data = self.ours.recv(1 << 18)
        return json.loads(data) if data else {}

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


def inherit_only(wanted: set[int]) -> None:
    """Let a child have these descriptors alone; what other tests have left open is not its own."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # that of the listing itself
            os.set_inheritable(fd, fd in wanted)


class Stand:
    """One host of the given pools, its code in `folder`."""

    def __init__(self, dsn: str, folder: Path, pools: dict[str, PoolSettings], **more: Any) -> None:
        self.dsn = dsn
        self.folder = folder
        self.settings = Settings(database=dsn, imports=("app",), pools=pools, **more)
        self.board = Board.create(slots=8, lanes=64)
        self.board.maintenance_beat = monotonic_ns() + _HOUR_NS
        self.wakeups = Wakeups.create(8)
        self.kick_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.tree_fd = os.open(folder / "tree", os.O_RDWR | os.O_CREAT)
        for inherited in (self.kick_fd, self.tree_fd):
            os.set_inheritable(inherited, True)
        self.table = LaneTable(self.board)
        self.pids: set[int] = set()
        self.ended: dict[int, int] = {}
        self.log = folder / "log"
        self.masters_version = __version__
        self._reader = Reader(dsn)
        self._kept: set[int] = set()
        self._forkserver_pids: set[int] = set()
        self._was_subreaper = False
        self._seeds: dict[str, Talk] = {}
        self._forkservers: dict[str, Talk] = {}

    def __enter__(self) -> Self:
        self._was_subreaper = _is_subreaper()  # for another stand, of all tests of the module
        _be_subreaper(True)
        self.connection = connect(self.dsn)
        self.enter_host()
        self.enter_lanes("default")
        return self

    def __exit__(self, *error: object) -> None:
        for talk in (*self._forkservers.values(), *self._seeds.values()):
            talk.close()
        for pid in self.reap():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.reap())
        _be_subreaper(self._was_subreaper)
        self.connection.close()
        self._reader.close()
        for fd in (self.board.fd, self.kick_fd, self.tree_fd, *self.wakeups.fds):
            os.close(fd)

    def renew(self, *, keep_code: bool = True) -> None:
        """As at the start, for the next test; but seeds stay, and forkservers with their code."""
        if not keep_code:
            self._kept -= self._forget_forkservers()
        for pid in self.reap() - self._kept:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.reap() <= self._kept)
        self.pids = self.reap()
        self.ended.clear()
        for slot in range(self.board.slots):
            self.board.slot(slot).clear()
            self.wakeups.clear(slot)
        self.board.words[_MASTER_PID] = os.getpid()
        with suppress(BlockingIOError):
            os.eventfd_read(self.kick_fd)
        if self.log.exists():
            os.truncate(self.log, 0)
        empty_tables(self.connection)
        self.enter_host()

    def _forget_forkservers(self) -> set[int]:
        for talk in self._forkservers.values():
            talk.close()
        self._forkservers.clear()
        forgotten, self._forkserver_pids = self._forkserver_pids, set()
        return forgotten

    # -- what the master does ---------------------------------------------------------------------

    def write_app(self, code: str) -> None:
        """Write the user's module `app`."""
        (self.folder / "app.py").write_text(textwrap.dedent(code))

    def seed(self, kind: str) -> Talk:
        """The seed of a kind, started when first asked for and ready."""
        if kind not in self._seeds:
            assert self.start_seed(kind).hear() == {"op": "ready"}, self.said()
        return self._seeds[kind]

    def start_seed(self, kind: str) -> Talk:
        """A new seed; what it says first is for the caller."""
        talk = self._seeds[kind] = Talk.open()
        self._keep(self._spawn_seed(kind, talk))
        talk.theirs.close()
        return talk

    def _spawn_seed(self, kind: str, talk: Talk) -> int:
        _keep_boards_of_other_tests(self.board.fd)
        birth = {
            "board_fd": self.board.fd,
            "control_fd": talk.theirs.fileno(),
            "wakeup_fds": self.wakeups.fds,
            "kick_fd": self.kick_fd,
            "tree_fd": self.tree_fd,
            "master": os.getpid(),
            "version": self.masters_version,
        }
        fd = os.memfd_create("birth", 0)
        os.write(fd, json.dumps(birth).encode())
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        wanted = {fd, talk.theirs.fileno(), self.board.fd, self.kick_fd, self.tree_fd}
        inherit_only(wanted | {0, 1, 2, *self.wakeups.fds})
        here = os.getcwd()
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONPATH"] = here  # for taskd itself, if it is not installed
        os.chdir(self.folder)
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-m", "taskd.pool.seed", kind, str(fd)],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
            )
        finally:
            os.chdir(here)
            os.close(fd)
            os.close(log)
        return pid

    def order_forkserver(self, pool: str, *, generation: int = 1, late: bool = False) -> Talk:
        """A new forkserver, as soon as it is forked; what it says first is for the caller."""
        seed = self.seed(self.settings.pools[pool].kind)
        talk = Talk.open()
        order = {
            "op": "fork",
            "role": "forkserver",
            "key": f"{pool}:{generation}",
            "pool": pool,
            "generation": generation,
            "late": late,
        }
        with settings_in_memory(self.settings) as settings_fd:
            seed.say(order, [talk.theirs.fileno(), settings_fd])
        talk.theirs.close()
        forked = seed.hear()
        assert forked["op"] == "forked", self.said()
        self._keep(forked["pid"])
        self._forkserver_pids.add(forked["pid"])
        self._forkservers[f"{pool}:{generation}:{late}"] = talk
        return talk

    def forkserver(self, pool: str) -> Talk:
        """The pool's forkserver, ready."""
        key = f"{pool}:1:False"
        if key not in self._forkservers:
            ready = self.order_forkserver(pool).hear()
            assert ready["op"] == "ready", (ready, self.said())
        return self._forkservers[key]

    def _keep(self, pid: int) -> None:
        self.pids.add(pid)
        self._kept.add(pid)

    def order_worker(self, talk: Talk, slot: int, generation: int = 1) -> int:
        """Let a forkserver fork a worker; its pid."""
        self.board.slot(slot).clear()
        talk.say({"op": "fork", "slot": slot, "generation": generation, "dsn": self.dsn})
        forked = talk.hear()
        assert forked["op"] == "forked", (forked, self.said())
        self.pids.add(forked["pid"])
        pid: int = forked["pid"]
        return pid

    def start(self, pool: str, slot: int = 0) -> int:
        """A worker of a pool, registered and idle; its pid."""
        pid = self.order_worker(self.forkserver(pool), slot)
        self.wait_until_idle(slot)
        return pid

    def reap(self) -> set[int]:
        """Note the ends of children that have ended; those that live."""
        for pid in self.pids - self.ended.keys():
            try:
                found, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue  # not ours yet: its middle process still lives
            if found:
                self.ended[pid] = os.waitstatus_to_exitcode(status)
        return self.pids - self.ended.keys()

    def pretend_to_be_dead(self) -> None:
        """Let workers see another master's pid on the board than the one of their parent."""
        self.board.words[_MASTER_PID] = 1

    def wait_for_end(self, pid: int, seconds: float = 20.0) -> int:
        """The exit status of a child, negative for a signal."""
        eventually(lambda: pid not in self.reap(), seconds)
        return self.ended[pid]

    def read(self, slot: int = 0) -> SlotReading:
        """What a worker says on the board."""
        return self.board.slot(slot).read()

    def wait_until_idle(self, slot: int = 0) -> None:
        """Wait until a worker is registered and has found nothing to claim."""

        def idle() -> bool:
            reading = self.read(slot)
            return reading.state is WorkerState.READY and reading.idle > 0

        try:
            eventually(idle, 20.0)
        except AssertionError as error:
            raise AssertionError(f"{self.read(slot)}\n{self.said()}") from error

    def said(self) -> str:
        """What all processes of the stand wrote to stdout and stderr."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # -- what maintenance does --------------------------------------------------------------------

    def enter_host(self) -> int:
        """A new living host on the board; its id."""
        self.board.host = hosts.register_host(
            self.connection, uuid4(), "stand", os.getpid(), "test"
        )
        return self.board.host

    def enter_lanes(self, queue: str) -> None:
        """Enter the lanes of a queue that tests use: suspects, given back, both of priority 5."""
        for number in (11, 10, 25, 5):
            self.table.add(queue, number)

    def wake(self) -> None:
        """Wake all workers."""
        for slot in range(self.board.slots):
            self.wakeups.wake(slot)

    def order_cancel(self, slot: int, job: int) -> None:
        """Cancel a job, and tell its worker to look."""
        jobs.cancel_jobs(self.connection, [job])
        self.board.slot(slot).words[LOOK] = job
        self.wakeups.wake(slot)

    # -- what clients do --------------------------------------------------------------------------

    def enqueue(self, task: str, *args: Any, **options: Any) -> int:
        """Enqueue one job of a function of `app`, and wake the workers."""
        return self.enqueue_many(task, [args], **options)[0]

    def enqueue_many(self, task: str, calls: Sequence[Sequence[Any]], **options: Any) -> list[int]:
        arguments = [json.dumps(list(call)) for call in calls]
        new = NewJobs(f"app.{task}", arguments, [None] * len(calls), **options)
        ids = jobs.enqueue_jobs(self.connection, new)
        self.wake()
        return ids

    def enqueue_exclusive(self, task: str, resource: str, count: int, *args: Any) -> list[int]:
        """Enqueue jobs that exclude each other, and wake the workers."""
        arguments = json.dumps(list(args))
        one = NewJob(task=f"app.{task}", args=arguments, res=(resource,), need=(EXCLUSIVE,))
        ids = enqueue_graph(self.connection, NewGraph((one,) * count))
        self.wake()
        return ids

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask on a connection of its own."""
        return self._reader.ask(statement, *parameters)

    def state(self, job: int) -> str:
        """Where a job is."""
        return str(self.query("SELECT state FROM taskd.job WHERE id = %s", job)[0][0])

    def wait_for(self, job: int, state: str, seconds: float = 20.0) -> tuple[Any, ...]:
        """Wait until a job is in a state; its (result, error, traceback, attempt)."""
        try:
            eventually(lambda: self.state(job) == state, seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.state(job)}, not {state}\n{self.said()}") from error
        return self.query(
            "SELECT result, error, traceback, attempt FROM taskd.job WHERE id = %s", job
        )[0]

    def wait_for_count(self, state: str, count: int, seconds: float = 30.0) -> None:
        """Wait until so many jobs are in a state."""

        def as_many() -> bool:
            found = self.query("SELECT count(*) FROM taskd.job WHERE state = %s", state)
            return bool(found[0][0] == count)

        try:
            eventually(as_many, seconds)
        except AssertionError as error:
            counts = self.query("SELECT state, count(*) FROM taskd.job GROUP BY 1")
            raise AssertionError(f"{counts}\n{self.said()}") from error


@contextmanager
def lasting_stand(
    server: TestServer, folder: Path, pools: dict[str, PoolSettings], app: str, **more: Any
) -> Iterator[Stand]:
    """A stand for all tests of a module, on a database of its own; each test renews it."""
    name = server.create()
    with Stand(server.of(name), folder, pools, **more) as stand:
        stand.write_app(app)
        yield stand
    server.drop(name)


def _is_subreaper() -> bool:
    found = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0) == 0
    return bool(found.value)


def _be_subreaper(on: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) == 0


def _keep_boards_of_other_tests(own: int) -> None:
    """Hand no board on but our own: tests in this process may have left theirs open."""
    for name in os.listdir("/proc/self/fd"):
        try:
            is_board = os.readlink(f"/proc/self/fd/{name}").startswith("/memfd:taskd-board")
            if is_board and int(name) != own:
                os.set_inheritable(int(name), False)
        except OSError:
            continue  # it was the listing's own
