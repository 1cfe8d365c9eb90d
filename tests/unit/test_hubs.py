"""How the master watches hubs, on processes that compute, sleep or are stopped in their stead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from taskd.board import Board, Slot, WorkerState
from taskd.board.layout import BEAT, DUE, PID, STATE, STOOD
from taskd.clock import monotonic, monotonic_ns
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Forkserver, Worker
from taskd.supervisor.hubs import Hubs, Process, Standstill, look_at_process
from taskd.supervisor.ladder import HubView
from tests.waiting import eventually

BURNS = "while True: pass"
SLEEPS = "import time; time.sleep(600)"
SECOND = 1_000_000_000


class Bench:
    """One worker on a board, as the master knows it."""

    def __init__(self, pid: int) -> None:
        channel = Channel()
        forkserver = Forkserver(pool="io", generation=1, kind="greenlet", channel=channel)
        self.worker = Worker(slot=0, pid=pid, parent=forkserver)
        board = Board.create(1, 1)
        self.slot: Slot = board.slot(0)
        self.slot.words[PID], self.slot.words[STATE] = pid, WorkerState.READY
        self.hubs = Hubs(board)
        self._close = [channel.close, lambda: os.close(board.fd)]

    def beat(self, due_in: float) -> None:
        now = monotonic_ns()
        self.slot.words[DUE], self.slot.words[BEAT] = now + int(due_in * SECOND), now

    def look(self) -> HubView | None:
        return self.hubs.look(self.worker, self.slot.read())

    def see(self, **wanted: object) -> HubView:
        """Look until the view is as wanted."""

        def seen() -> HubView | None:
            view = self.look()
            fits = view and all(getattr(view, name) == value for name, value in wanted.items())
            return view if fits else None

        found = eventually(seen)
        assert found is not None
        return found

    def close(self) -> None:
        for close in self._close:
            close()


@pytest.fixture
def make_bench() -> Iterator[Callable[[str], Bench]]:
    with ExitStack() as opened:

        def make(program: str) -> Bench:
            process = subprocess.Popen([sys.executable, "-c", program])
            opened.callback(process.wait)
            opened.callback(process.kill)
            bench = Bench(process.pid)
            opened.callback(bench.close)
            return bench

        yield make


def test_a_hub_whose_beat_is_not_due_turns(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench(BURNS)
    bench.beat(due_in=0.0)

    assert bench.look() is None
    assert not bench.hubs.is_any_still


def test_a_late_beat_and_burnt_time_show_a_hub_that_somebody_blocks(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench(BURNS)
    began = monotonic()
    bench.beat(due_in=-2.0)

    view = bench.see(burns=True)

    assert 2.0 <= view.stands <= 2.0 + (monotonic() - began)
    assert bench.hubs.is_any_still


def test_a_late_beat_of_one_that_sleeps_burns_nothing(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench(SLEEPS)
    bench.beat(due_in=-20.0)
    bench.see()
    until = monotonic() + 0.5

    views = []
    eventually(lambda: views.append(bench.look()) or monotonic() > until)

    assert views[-1] is not None
    assert not views[-1].burns


def test_who_gets_little_of_the_processor_and_burns_it_all_blocks_its_hub(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench(BURNS)
    bench.beat(due_in=-2.0)
    bench.see()
    standstill = bench.hubs[0]
    assert standstill is not None

    standstill.noticed_at -= 60.0
    crowded = replace(standstill.process, waited=standstill.process.waited - 59.0)
    standstill.process = crowded  # as if it had waited for the processor for all that time

    bench.see(burns=True)


def test_who_has_computed_and_waits_now_does_not_block_for_long(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench("import time\nwhile time.process_time() < 0.6: pass\ntime.sleep(600)")
    bench.beat(due_in=-2.0)
    bench.see(burns=True)
    standstill = bench.hubs[0]
    assert standstill is not None

    standstill.noticed_at -= 60.0

    bench.see(burns=False)


def test_a_stopped_process_is_not_looked_at(make_bench: Callable[[str], Bench]) -> None:
    bench = make_bench(BURNS)
    os.kill(bench.worker.pid, signal.SIGSTOP)
    eventually(lambda: (seen := look_at_process(bench.worker.pid)) and seen.is_stopped)
    bench.beat(due_in=-20.0)

    assert [bench.look() for _ in range(3)] == [None] * 3


def test_after_the_master_stood_still_the_time_begins_anew(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench(BURNS)
    bench.beat(due_in=-20.0)
    assert bench.see(burns=True).stands > 19

    bench.hubs.excuse()

    assert bench.see(burns=True).stands < 15


def test_a_hub_that_turns_again_is_seen_once_more_with_its_time(
    make_bench: Callable[[str], Bench],
) -> None:
    bench = make_bench(BURNS)
    bench.beat(due_in=-20.0)
    bench.see(burns=True)

    bench.slot.words[STOOD] = 3 * SECOND
    bench.beat(due_in=0.1)
    over, after = bench.look(), bench.look()

    assert over is not None
    assert (over.is_over, over.stands, over.burns) == (True, 3.0, True)
    assert after is None


def test_a_worker_that_is_gone_is_nobody() -> None:
    assert look_at_process(1 << 22) is None


def text(job: int) -> str:
    return f'Stack (most recent call first):\n  File "a.py", line 1 in f\njob {job} shop.f\n'


IDLE = Process(0.0, is_stopped=False)


def standstill() -> Standstill:
    return Standstill(pid=1, beat=0, since=100.0, noticed_at=100.1, process=IDLE)


def test_the_clock_goes_on_while_the_same_job_computes() -> None:
    known = standstill()

    known.hears(text(7), [], IDLE, 101.0)
    known.hears(text(7), [], IDLE, 102.0)

    assert (known.hog, known.view(103.0).stands) == (7, 3.0)


def test_what_another_job_has_burned_is_nobody_elses() -> None:
    known = standstill()
    known.hears(text(7), [], Process(3.0, is_stopped=False), 103.0)
    known.measure(Process(3.0, is_stopped=False), 103.0)
    assert known.burns

    known.hears(text(8), [], Process(6.0, is_stopped=False), 106.0)
    known.measure(Process(6.0, is_stopped=False), 109.0)

    assert not known.burns


def test_the_clock_starts_anew_when_another_job_computes() -> None:
    known = standstill()

    known.hears(text(7), [], IDLE, 101.0)
    known.hears(text(8), [], IDLE, 102.0)

    assert (known.hog, known.view(103.0).stands) == (8, 1.0)


def test_no_answer_leaves_what_is_known() -> None:
    known = standstill()
    known.hears(text(7), [], IDLE, 101.0)

    known.hears("", [], IDLE, 102.0)

    assert (known.hog, known.view(103.0).stands) == (7, 3.0)


def test_a_stack_of_nobody_counts_when_nothing_follows_it() -> None:
    known = standstill()
    known.hears(text(7), [], IDLE, 101.0)
    half = text(7).rpartition("job")[0]

    known.hears(half, [], IDLE, 102.0)
    at_first = known.hog
    known.hears(half, [], IDLE, 102.3)

    assert (at_first, known.hog) == (7, 0)


def test_who_was_broken_is_forgotten_when_another_computes() -> None:
    known = standstill()
    known.hears(text(7), [], IDLE, 101.0)
    known.broken, known.broken_at = 7, 101.5
    of_seven = known.view(102.0).broken_at

    known.hears(text(8), [], IDLE, 102.0)

    assert (of_seven, known.view(102.0).broken_at) == (101.5, None)
