"""Workers that leak are suspected, and nobody else: real allocations, told on a real board."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator

import pytest

from taskd.board import Board, WorkerState, read_memory
from taskd.board.layout import LIVE, LIVE_JOBS, PID, STATE, SUCCEEDED, TRIM, TRIMMED
from taskd.events import Event, Events
from taskd.pool.live import LiveBytes
from taskd.supervisor.channel import Channel
from taskd.supervisor.child import Forkserver, Worker
from taskd.supervisor.memory.suspicion import Suspicions

KB = 1_000
MB = 1_000_000
READINGS = 250


class Stand:
    """A worker that is this process, and the master's look at it."""

    def __init__(self) -> None:
        gc.collect()  # or what others have left would be freed in mid-run, and hide what is kept
        self.board = Board.create(1, 1)
        self.slot = self.board.slot(0)
        self.slot.words[PID], self.slot.words[STATE] = os.getpid(), WorkerState.READY
        self.live = LiveBytes(self.slot)
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.suspicions = Suspicions(self.board, events)
        self._channel = Channel()
        parent = Forkserver(channel=self._channel, pool="io", generation=1, kind="greenlet")
        self.worker = Worker(slot=0, parent=parent, pid=os.getpid())

    def run(self, job: Callable[[], object], readings: int = READINGS, per: int = 100) -> None:
        """Run jobs; after so many each, the worker reads and the master looks."""
        for _ in range(readings):
            for _ in range(per):
                job()
            self.slot.words[SUCCEEDED] += per
            self.live.read_soon()
            self.live.beat()
            self.suspicions.look([self.worker])

    @property
    def suspect(self) -> int:
        return read_memory(self.slot).suspect

    def close(self) -> None:
        self._channel.close()
        self._channel.handed_over()
        os.close(self.board.fd)


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


@pytest.mark.parametrize("size", [100, 4 * KB])  # Python's own allocator, and the C library's
def test_a_worker_whose_jobs_keep_something_is_suspected_and_that_is_told_once(
    stand: Stand, size: int
) -> None:
    kept: list[bytes] = []
    pieces = 4 * KB // size

    stand.run(lambda: kept.extend(bytes(size) for _ in range(pieces)))

    assert stand.suspect == pytest.approx(4 * KB, rel=0.5)
    (said,) = map(str, stand.told)
    assert said.startswith("io/0: a leak is suspected: what the code holds grows by ")
    assert "a job, seen over " in said


def test_garbage_that_is_only_not_collected_yet_is_no_leak(stand: Stand) -> None:
    def make_garbage() -> None:
        circle: list[object] = [bytes(4 * KB)]
        circle.append(circle)

    gc.disable()
    try:
        stand.run(make_garbage)
    finally:
        gc.enable()

    assert stand.slot.words[TRIM] == stand.slot.words[TRIMMED] > 0  # it was looked at closely
    assert (stand.suspect, stand.told) == (0, [])


def test_a_cache_that_is_full_is_no_leak(stand: Stand) -> None:
    cache: dict[int, bytes] = {}
    number = iter(range(10**9))

    def use_cache() -> None:
        key = next(number) % 6000
        cache[key] = bytes(4 * KB)

    stand.run(use_cache)

    assert (stand.suspect, stand.told) == (0, [])


def test_a_cache_that_was_taken_for_a_leak_is_cleared_when_it_is_full(stand: Stand) -> None:
    cache: dict[int, bytes] = {}
    number = iter(range(10**9))

    def fill_cache() -> None:
        cache[next(number) % 20_000] = bytes(4 * KB)

    stand.run(fill_cache, readings=190)
    assert stand.suspect
    stand.run(fill_cache, readings=700)

    assert stand.suspect == 0
    assert [str(one) for one in stand.told[1:]] == [
        "io/0: it grows no more: no leak, maybe a cache that has filled"
    ]


def test_the_next_worker_in_a_slot_is_not_suspected_for_the_last(stand: Stand) -> None:
    kept: list[bytes] = []
    stand.run(lambda: kept.append(bytes(4 * KB)))
    assert stand.suspect
    stand.suspicions.forget(0)
    stand.slot.clear()
    stand.slot.words[PID], stand.slot.words[STATE] = os.getpid(), WorkerState.READY

    stand.run(lambda: None)

    assert stand.suspect == 0


def test_live_bytes_grow_by_what_is_allocated_and_fall_when_it_is_given_up() -> None:
    board = Board.create(1, 1)
    live = LiveBytes(board.slot(0))
    before = live.read()

    held = [bytes(1 * KB) for _ in range(20_000)]
    grown = live.read() - before
    del held
    left = live.read() - before

    assert grown == pytest.approx(20_000 * (1_000 + 33 + 64), rel=0.05)
    assert abs(left) < MB
    os.close(board.fd)


def test_a_heap_that_is_slow_to_read_is_read_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board.create(1, 1)
    slot, moment = board.slot(0), [100.0]
    live = LiveBytes(slot)
    monkeypatch.setattr("taskd.pool.live.monotonic", lambda: moment[0])

    def read_slowly() -> int:
        moment[0] += 0.05
        return MB

    monkeypatch.setattr(live, "read", read_slowly)
    read_at = []
    while moment[0] < 130.0:
        slot.words[SUCCEEDED] += 1
        live.beat()
        if slot.words[LIVE_JOBS] == slot.words[SUCCEEDED]:
            read_at.append(moment[0])
        moment[0] += 0.5

    assert len(read_at) == 3
    os.close(board.fd)


def test_the_worker_reads_once_a_second_and_only_after_jobs() -> None:
    board = Board.create(1, 1)
    slot = board.slot(0)
    live = LiveBytes(slot)
    live.beat()
    assert slot.words[LIVE] == 0  # no job has ended

    slot.words[SUCCEEDED] = 5
    live.beat()
    assert slot.words[LIVE] == 0  # not yet
    live.read_soon()
    live.beat()

    assert (slot.words[LIVE] > MB, slot.words[LIVE_JOBS]) == (True, 5)
    os.close(board.fd)
