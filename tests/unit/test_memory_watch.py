"""The master's look at the memory of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from taskd.board import Board, WorkerState, read_memory
from taskd.board.layout import FRESH, PID, SEATS, STATE
from taskd.config.memory import MemorySettings
from taskd.config.sections import PoolSettings
from taskd.events import Event, Events
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Forkserver, Worker
from taskd.supervisor.memory.course import Course, Reading, look
from taskd.supervisor.memory.machine import Machine
from taskd.supervisor.memory.oom import KernelKills, offer_to_kernel
from taskd.supervisor.memory.procfs import Process, private_memory, proportional_memory
from taskd.supervisor.memory.rules import Limits
from taskd.supervisor.memory.watch import MemoryWatch
from tests.waiting import eventually

MB = 1_000_000
HOLD = "import sys; held = b'x' * int(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys, threading
def start():
    child = subprocess.Popen([sys.executable, "-c", {HOLD!r}, "40000000"], stdout=-1, stdin=-1)
    child.stdout.readline()
    print("held", flush=True)
    stop.wait()
    child.communicate()
stop = threading.Event()
thread = threading.Thread(target=start)
thread.start()
sys.stdin.read()
stop.set()
thread.join()
"""


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    """A Python that has said that it holds what it is to hold; its pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.communicate()


def reading_of(pid: int) -> Reading:
    process = Process(pid)
    reading = look(process)
    process.close()
    assert reading is not None
    return reading


def test_a_process_is_read_with_what_it_holds() -> None:
    with running(HOLD, "0") as small, running(HOLD, "50000000") as large:
        more = reading_of(large).own - reading_of(small).own

        assert more == pytest.approx(50 * MB, abs=3 * MB)
        assert proportional_memory(large) > 50 * MB


def test_children_count_also_those_of_other_threads() -> None:
    with running(PARENT) as parent:
        reading = reading_of(parent)

    assert reading.children > 40 * MB > reading.own
    assert reading.bytes == reading.own + reading.children


def test_a_process_that_is_gone_has_no_reading_even_if_its_pid_lives_on() -> None:
    with running(HOLD, "0") as pid:
        process = Process(pid)
        assert look(process) is not None

    assert look(process) is None
    assert private_memory(pid) == proportional_memory(pid) == 0
    process.close()
    process.close()


def test_a_process_that_has_ended_and_was_not_waited_for_has_no_reading() -> None:
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process(ended.pid)
    assert look(process) is not None

    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

    assert look(process) is None
    process.close()
    ended.communicate()


def test_a_course_remembers_the_start_the_last_ten_and_the_most() -> None:
    course = Course(1)
    course.take(Reading(5), is_ready=False)
    for held in (20, 90, *range(30, 41)):
        course.take(Reading(held, 1), is_ready=True)

    assert course.fresh == 21
    assert (course.told.bytes, course.told.children) == (41, 1)
    assert (course.told.low, course.told.high, course.told.peak) == (32, 41, 91)


POOLS = {"io": PoolSettings(greenlets=5, memory=MemorySettings(hard="50%"))}
LIMITED = {"io": PoolSettings(greenlets=5, memory=MemorySettings(soft=20 * MB))}


class Stand:
    """A watch over workers that exist on the board alone, which it may take for any process."""

    def __init__(self, root: Path) -> None:
        (root / "proc").mkdir()
        self._vmstat = root / "proc" / "vmstat"
        (root / "proc" / "meminfo").write_text("MemTotal: 1000000 kB\n")
        self._vmstat.write_text("oom_kill 5\n")
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.board = Board.create(4, 1)
        self.machine = Machine(str(root))
        self.watch = MemoryWatch(self.board, events, self.machine)
        self.workers: list[Worker] = []
        self._channels: list[Channel] = []

    def hire(self, pid: int, state: WorkerState = WorkerState.READY, *jobs: int) -> Worker:
        channel = Channel()
        self._channels.append(channel)
        slot = len(self.workers)
        parent = Forkserver(channel=channel, pool="io", generation=1, kind="greenlet")
        words = self.board.slot(slot).words
        words[PID], words[STATE], words[SEATS] = pid, state, len(jobs)
        for seat, job in enumerate(jobs):
            self.board.slot(slot).seats[seat] = job
        worker = Worker(slot=slot, parent=parent, pid=pid, started_at=monotonic() - 100)
        self.workers.append(worker)
        return worker

    def look(self, pools: Mapping[str, PoolSettings] = POOLS, helpers: Sequence[int] = ()) -> None:
        """Look now, however soon after the last time."""
        self.watch._next_look = 0.0
        self.watch.look(self.workers, helpers, pools)

    def course(self, slot: int = 0) -> Course:
        course = self.watch.course(slot)
        assert course is not None
        return course

    def kernel_kills(self, count: int) -> None:
        self._vmstat.write_text(f"oom_kill {count}\n")

    def close(self) -> None:
        for worker in self.workers:
            self.watch.forget(worker.slot)
        for channel in self._channels:
            channel.close()
            channel.handed_over()
        os.close(self.board.fd)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.close()


def test_the_board_tells_what_a_worker_holds(stand: Stand) -> None:
    with running(HOLD, "30000000") as pid:
        stand.hire(pid)
        stand.look()

    told = read_memory(stand.board.slot(0))
    assert told.bytes == told.low == told.high == told.peak > 30 * MB


def test_a_worker_is_looked_at_once_a_second_and_when_it_has_become_ready(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1e6]
    monkeypatch.setattr("taskd.supervisor.memory.watch.monotonic", lambda: moment[0])
    stand.hire(os.getpid(), WorkerState.STARTING)

    looks = []
    for now, state in (
        (0.0, WorkerState.STARTING),
        (0.2, WorkerState.STARTING),
        (0.4, WorkerState.READY),
        (0.6, WorkerState.READY),
        (1.0, WorkerState.READY),
    ):
        moment[0] = 1e6 + now
        stand.board.slot(0).words[STATE] = state
        stand.watch.look(stand.workers, (), POOLS)
        looks.append(len(stand.course().window))

    assert looks == [1, 1, 2, 2, 3]


def test_a_share_is_one_of_the_memory_there_is(stand: Stand) -> None:
    stand.look()

    assert stand.watch.limits("io", POOLS["io"]) == Limits(hard=500_000 * 1024)


def test_a_fresh_worker_over_its_limit_ends_replacements_for_it_and_is_told_once(
    stand: Stand,
) -> None:
    with running(HOLD, "30000000") as pid, running(HOLD, "30000000") as other:
        stand.hire(pid)
        stand.look(LIMITED)
        stand.hire(other)
        stand.look(LIMITED)

        assert stand.watch.limits("io", LIMITED["io"]) == Limits()
    (said,) = map(str, stand.told)
    assert said.startswith("pool io: a fresh worker already holds 3")
    assert "over its soft limit of 20 MB; until one holds less, no worker is replaced" in said
    assert said.endswith("raise pools.io.memory.soft, or import less")


def test_a_fresh_worker_that_holds_less_puts_the_limit_in_force_again(stand: Stand) -> None:
    with running(HOLD, "30000000") as large, running(HOLD, "0") as small:
        stand.hire(large)
        stand.look(LIMITED)
        stand.hire(small)
        stand.look(LIMITED)

    assert stand.watch.limits("io", LIMITED["io"]) == Limits(soft=20 * MB)


def test_what_a_first_job_took_before_the_first_look_was_not_there_when_it_was_fresh(
    stand: Stand,
) -> None:
    with running(HOLD, "30000000") as pid:
        stand.hire(pid, WorkerState.READY, 7)
        stand.board.slot(0).words[FRESH] = 8 * MB
        stand.look(LIMITED)

        assert stand.course().fresh == 8 * MB
        assert stand.watch.limits("io", LIMITED["io"]) == Limits(soft=20 * MB)
    assert stand.told == []


def test_children_that_were_forked_count_what_they_share_once(stand: Stand) -> None:
    fork = (
        "import os, sys; held = b'x' * 40_000_000; r, w = os.pipe(); pid = os.fork()\n"
        "if pid: print('forked', flush=True); sys.stdin.read(); os.close(w); os.waitpid(pid, 0)\n"
        "else: os.close(w); os.read(r, 1)"
    )
    with running(fork) as pid:
        process = Process(pid)
        eventually(lambda: list(process.descendants()))
        twice, once = look(process), look(process, [30 * MB, 70 * MB])
        process.close()

    assert twice is not None
    assert once is not None
    assert twice.bytes > 80 * MB > once.bytes


def test_the_most_grown_worker_gives_way_when_the_daemon_holds_too_much(stand: Stand) -> None:
    budget = {"io": PoolSettings(greenlets=5, memory=MemorySettings(host_budget=50 * MB))}
    with running(HOLD, "60000000") as large, running(HOLD, "0") as small:
        stand.hire(large)
        stand.look(budget)
        stand.hire(small)
        stand.look(budget)
        stand.look(budget)

        held = [stand.watch.held(slot) for slot in (0, 1)]

    assert held[0] is not None
    assert "over its host budget of 50 MB" in held[0].gives_way
    assert held[1] is not None
    assert held[1].gives_way == ""


def test_when_nobody_can_give_way_that_is_told_once(stand: Stand) -> None:
    budget = {"io": PoolSettings(greenlets=5, memory=MemorySettings(host_budget=MB))}
    stand.hire(os.getpid())

    stand.look(budget, helpers=[os.getppid()])
    stand.look(budget)

    (said,) = map(str, stand.told)
    assert said.startswith("the daemon holds ")
    assert said.endswith("have fewer processes or more memory")


# -- the kernel's kills ---------------------------------------------------------------------------

KILLED, EXITED = 9, 256


def test_a_kill_that_the_kernel_has_counted_is_its_own_with_the_last_reading(stand: Stand) -> None:
    with running(HOLD, "30000000") as pid:
        stand.hire(pid)
        stand.look()
    stand.kernel_kills(6)

    said = stand.watch.how_it_ended(0, KILLED)

    assert said.startswith("killed by the kernel, which had run out of memory; it last held 3")


def test_a_death_by_a_signal_is_told_with_the_last_reading(stand: Stand) -> None:
    with running(HOLD, "30000000") as pid:
        stand.hire(pid)
        stand.look()

    assert stand.watch.how_it_ended(0, signal.SIGSEGV).startswith(
        "killed by SIGSEGV; it last held 3"
    )
    assert stand.watch.how_it_ended(0, EXITED) == "exited with status 1"


def test_each_of_its_kills_explains_one_death(stand: Stand) -> None:
    stand.kernel_kills(6)

    told = [stand.watch.how_it_ended(slot, KILLED) for slot in (0, 1)]

    assert told == ["killed by the kernel, which had run out of memory", "killed by SIGKILL"]


def test_other_deaths_and_other_kills_are_not_the_kernels(stand: Stand) -> None:
    assert stand.watch.how_it_ended(0, KILLED) == "killed by SIGKILL"
    stand.kernel_kills(6)
    assert stand.watch.how_it_ended(0, EXITED) == "exited with status 1"


def test_a_kill_is_not_forgotten_before_its_death_can_have_been_seen(stand: Stand) -> None:
    kills = KernelKills(stand.machine)
    stand.kernel_kills(6)
    kills.forget()
    assert kills.take()

    stand.kernel_kills(7)
    kills.forget()
    kills.forget()

    assert not kills.take()


def test_the_kernel_is_offered_workers_first() -> None:
    with running(HOLD, "0") as pid:
        offer_to_kernel(pid)
        own, score = (int(Path(f"/proc/{one}/oom_score_adj").read_text()) for one in ("self", pid))
    offer_to_kernel(pid)  # gone: harmless

    assert score == min(own + 500, 1000)
