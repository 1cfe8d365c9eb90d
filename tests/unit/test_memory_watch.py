"""The master's look at the memory of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskd.board import Board, WorkerState, read_memory
from taskd.board.layout import PID, STATE
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Forkserver, Worker
from taskd.supervisor.memory.course import Course, Reading, look
from taskd.supervisor.memory.procfs import Process, private_memory, proportional_memory
from taskd.supervisor.memory.watch import MemoryWatch

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


def test_a_course_remembers_the_start_the_last_ten_and_the_most() -> None:
    course = Course(1)
    course.take(Reading(5), is_ready=False)
    for held in (20, 90, *range(30, 41)):
        course.take(Reading(held, 1), is_ready=True)

    assert course.fresh == 21
    assert (course.told.bytes, course.told.children) == (41, 1)
    assert (course.told.low, course.told.high, course.told.peak) == (32, 41, 91)


@contextmanager
def worker_on(board: Board, pid: int, state: WorkerState = WorkerState.READY) -> Iterator[Worker]:
    channel = Channel()
    parent = Forkserver(channel=channel, pool="io", generation=1, kind="greenlet")
    words = board.slot(0).words
    words[PID], words[STATE] = pid, state
    yield Worker(slot=0, parent=parent, pid=pid)
    channel.close()
    channel.handed_over()
    os.close(board.fd)


def test_the_board_tells_what_a_worker_holds() -> None:
    board = Board.create(1, 1)
    watch = MemoryWatch(board)

    with running(HOLD, "30000000") as pid, worker_on(board, pid) as worker:
        watch.look([worker])
        told = read_memory(board.slot(0))
        watch.forget(0)

    assert told.bytes == told.low == told.high == told.peak > 30 * MB


def test_a_worker_is_looked_at_once_a_second_and_when_it_has_become_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board.create(1, 1)
    watch = MemoryWatch(board)
    moment = [100.0]
    monkeypatch.setattr("taskd.supervisor.memory.watch.monotonic", lambda: moment[0])

    with worker_on(board, os.getpid(), WorkerState.STARTING) as worker:
        looks = []
        for now, state in (
            (100.0, WorkerState.STARTING),
            (100.2, WorkerState.STARTING),
            (100.4, WorkerState.READY),
            (100.6, WorkerState.READY),
            (101.0, WorkerState.READY),
        ):
            moment[0] = now
            board.slot(0).words[STATE] = state
            watch.look([worker])
            course = watch.course(0)
            assert course is not None
            looks.append(len(course.window))
        watch.forget(0)

    assert looks == [1, 1, 2, 2, 3]
