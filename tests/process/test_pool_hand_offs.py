"""Greenlet workers that claim with the ends of their jobs: what may fail on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.board import WorkerState
from taskd.config.settings import PoolSettings
from taskd.store.hosts import rescue_workers
from tests.pool_stand import Stand
from tests.process.wire import Wire
from tests.waiting import eventually

APP = """
import os
import time


def hold(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def measure(text):
    return len(text)


def note_the_end(path):
    try:
        time.sleep(60)
    finally:
        open(path, "w").close()
"""


@pytest.fixture
def wire(dsn: str, tmp_path: Path) -> Iterator[Wire]:
    with Wire(dsn, tmp_path) as wire:
        yield wire


@pytest.fixture
def stand(wire: Wire, tmp_path: Path) -> Iterator[Stand]:
    """A host with an idle worker that speaks to the database through the wire."""
    with Stand(wire.dsn, tmp_path, {"io": PoolSettings(greenlets=5)}) as stand:
        stand.write_app(APP)
        stand.start("io")
        yield stand


class Line:
    """Jobs one after the other, the first of which runs until it may end; the claimer sleeps."""

    def __init__(self, stand: Stand, gate: Path, count: int) -> None:
        self._gate = gate
        self.jobs = stand.enqueue_exclusive("hold", "x", count, str(gate))
        eventually(lambda: stand.state(self.jobs[0]) == "running" and 0 < stand.read().idle < 5)

    def go_on(self) -> None:
        self._gate.touch()


def test_jobs_that_cannot_be_read_after_a_hand_off_are_claimed_again(
    stand: Stand, wire: Wire, tmp_path: Path
) -> None:
    line = Line(stand, tmp_path / "gate", 3)
    _, bad, last = line.jobs
    stand.query("UPDATE taskd.blocked SET args = '{oops' WHERE id = %s RETURNING 1", bad)
    wire.lose_what_is_read_one_by_one()

    line.go_on()

    assert wire.lost.wait(10)
    assert "cannot be decoded" in stand.wait_for(bad, "failed", 10)[1]
    stand.wait_for(last, "succeeded", 10)


def test_a_worker_that_was_taken_for_dead_registers_as_soon_as_a_hand_off_tells_it(
    stand: Stand, tmp_path: Path
) -> None:
    line = Line(stand, tmp_path / "gate", 1)
    (worker,) = stand.query("SELECT id FROM taskd.worker")[0]
    rescue_workers(stand.connection, [worker], "it seemed to be dead", charge=False)

    line.go_on()

    stand.wait_for_count("succeeded", 1, seconds=3)
    assert stand.query("SELECT count(*) FROM taskd.worker") == [(2,)]


def test_a_cancel_is_heard_while_a_hand_off_gets_no_answer(
    stand: Stand, wire: Wire, tmp_path: Path
) -> None:
    job = stand.enqueue("note_the_end", str(tmp_path / "ended"))
    stand.wait_for(job, "running")
    line = Line(stand, tmp_path / "gate", 1)
    wire.keep_the_answer_to_a_hand_off()
    line.go_on()
    assert wire.lost.wait(10)

    stand.order_cancel(0, job)

    eventually((tmp_path / "ended").exists, 5.0)


def test_a_cancel_of_what_is_being_handed_off_is_not_forgotten(
    stand: Stand, wire: Wire, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    line = Line(stand, gate, 2)
    wire.keep_the_answer_to_a_hand_off()
    line.go_on()
    assert wire.lost.wait(10)

    stand.order_cancel(0, line.jobs[1])
    eventually(
        lambda: stand.query("SELECT count(*) FROM taskd.request WHERE taken_at IS NULL") == [(0,)]
    )
    gate.unlink()  # the one that is on its way would wait there for ever
    wire.go_on()

    stand.wait_for(line.jobs[1], "cancelled", 10)


def test_jobs_with_large_arguments_are_handed_off(stand: Stand, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    line = Line(stand, gate, 1)
    large = stand.enqueue_exclusive("measure", "x", 3, "a" * 300_000)

    line.go_on()

    for job in large:
        assert stand.wait_for(job, "succeeded", 10)[0] == "300000"
    assert stand.query("SELECT recoveries FROM taskd.worker") == [(0,)]


def test_what_was_handed_off_to_a_worker_that_drains_goes_back(
    stand: Stand, wire: Wire, tmp_path: Path
) -> None:
    line = Line(stand, tmp_path / "gate", 2)
    wire.keep_the_answer_to_a_hand_off()
    line.go_on()
    assert wire.lost.wait(10)
    pid = stand.read().pid

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.read().state is WorkerState.DRAINING)
    wire.go_on()

    assert stand.wait_for_end(pid) == 0
    assert [stand.state(job) for job in line.jobs] == ["succeeded", "queued"]
    assert stand.query("SELECT attempt, losses FROM taskd.queued") == [(0, 0)]


def test_what_a_worker_tells_of_itself_after_a_hand_off_may_fail(
    stand: Stand, tmp_path: Path
) -> None:
    stand.connection.execute("ALTER TABLE taskd.memory_level RENAME TO gone")
    gate = tmp_path / "gate"
    gate.touch()

    def is_told() -> bool:
        *_, last = stand.enqueue_exclusive("hold", "x", 3, str(gate))
        stand.wait_for(last, "succeeded")
        return "memory_level" in stand.said()

    eventually(is_told)

    assert stand.query("SELECT recoveries FROM taskd.worker") == [(0,)]
