"""Greenlet workers whose hub a job blocks: what they say, and what they do when they are asked."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskd.board import Seating, Why
from taskd.board.layout import BREAK, BREAK_WHY, TELL
from taskd.board.seating import DUMP_SIGNAL
from taskd.clock import monotonic_ns
from taskd.config.settings import PoolSettings
from taskd.supervisor.evidence import Evidence, others_of, read_evidence
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

APP = """
import itertools
import time

import gevent


def add(a, b):
    return a + b


def nap(seconds):
    time.sleep(seconds)


def spin(path=None):
    if path is not None:
        open(path, "w").close()
    while True:
        time.monotonic()


def spin_in_c(path):
    open(path, "w").close()
    sum(itertools.repeat(1, 10**12))


def spin_in_a_greenlet(path):
    gevent.spawn(spin, path).get()


def leave_a_spinner(path, seconds):
    gevent.spawn_later(seconds, spin, path)


def swallow():
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass
"""
IO = PoolSettings(greenlets=5, shutdown_timeout=5.0, kill_grace=1.0)


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    with lasting_stand(embedded_server, folder, {"io": IO}, APP) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew()
    return shared_stand


@pytest.fixture
def pid(stand: Stand) -> int:
    return stand.start("io")


@pytest.fixture
def seating(stand: Stand, pid: int) -> Iterator[Seating]:
    """The master's view of the worker's seats."""
    found = Seating.open(pid, stand.read().seating)
    assert found is not None
    yield found
    found.close()


@pytest.fixture
def neighbour(stand: Stand, pid: int) -> int:
    """A job that sleeps in the same worker."""
    job = stand.enqueue("nap", 1.5)
    eventually(lambda: stand.read().in_flight == 1)
    return job


@pytest.fixture
def hog(stand: Stand, neighbour: int, tmp_path: Path) -> Callable[..., int]:
    """Start a job that blocks the hub, and wait until it does."""

    def start(task: str, *more: object, **options: object) -> int:
        path = tmp_path / "blocks"
        job = stand.enqueue(task, str(path), *more, **options)
        eventually(path.exists)
        return job

    return start


def is_still(stand: Stand) -> bool:
    return stand.read().due < monotonic_ns() - 100_000_000


def who_computes(stand: Stand, seating: Seating, pid: int, number: int) -> Evidence:
    """Ask the worker by a signal; its answer."""
    seating.empty()
    os.kill(pid, number)
    found = eventually(lambda: read_evidence(seating.read(), stand.board.slot(0).seats))
    assert found is not None
    return found


def test_a_worker_says_when_it_beats_again_and_does(stand: Stand, pid: int) -> None:
    first = stand.read()

    later = eventually(lambda: (r := stand.read()).beat > first.beat and r)

    assert isinstance(later, type(first))
    assert first.beat < first.due <= first.beat + 600_000_000
    assert later.beat < first.due + 1_000_000_000


def test_a_hub_that_a_job_blocks_beats_no_more(stand: Stand, hog: Callable[..., int]) -> None:
    hog("spin")

    eventually(lambda: is_still(stand))


def test_a_job_that_starts_in_an_idle_worker_has_the_beat_before_it(
    stand: Stand, pid: int, tmp_path: Path
) -> None:
    stand.enqueue("spin", str(tmp_path / "spins"))
    eventually((tmp_path / "spins").exists)

    reading = stand.read()
    assert reading.due - reading.beat <= 100_000_000


@pytest.mark.parametrize(
    ("task", "number"),
    [
        ("spin", signal.SIGUSR1),
        ("spin", DUMP_SIGNAL),
        ("spin_in_c", DUMP_SIGNAL),
        ("spin_in_a_greenlet", signal.SIGUSR1),
    ],
)
def test_the_master_learns_who_blocks_the_hub(
    stand: Stand, hog: Callable[..., int], seating: Seating, pid: int, task: str, number: int
) -> None:
    job = hog(task)
    eventually(lambda: is_still(stand))

    found = who_computes(stand, seating, pid, number)

    assert (found.job, found.task) == (job, f"app.{task}")
    assert "app.py:" in found.place


def test_asking_breaks_nobody(
    stand: Stand, hog: Callable[..., int], seating: Seating, pid: int
) -> None:
    job = hog("spin")

    who_computes(stand, seating, pid, signal.SIGUSR1)

    assert stand.state(job) == "running"
    assert is_still(stand) or eventually(lambda: is_still(stand))


def find_guilty(stand: Stand, job: int, why: Why) -> None:
    """Say, as the master does, that a job blocks the hub and is to end."""
    words = stand.board.slot(0).words
    words[BREAK_WHY], words[BREAK] = why, job


@pytest.mark.parametrize("task", ["spin", "spin_in_a_greenlet"])
def test_whom_the_master_found_to_block_is_broken_and_its_neighbour_goes_on(
    stand: Stand, hog: Callable[..., int], neighbour: int, pid: int, task: str
) -> None:
    job = hog(task)
    find_guilty(stand, job, Why.HOG)

    os.kill(pid, signal.SIGUSR1)

    assert "HubBlocked: let no other job of its worker run for" in stand.wait_for(job, "failed")[1]
    stand.wait_for(neighbour, "succeeded")
    stand.wait_for(stand.enqueue("add", 1, 1), "succeeded")


def test_a_cancel_that_the_master_brings_ends_it_as_cancelled(
    stand: Stand, hog: Callable[..., int], pid: int
) -> None:
    job = hog("spin")
    find_guilty(stand, job, Why.CANCEL)

    os.kill(pid, signal.SIGUSR1)

    stand.wait_for(job, "cancelled")


def test_whoever_computes_when_another_was_found_is_left_alone(
    stand: Stand, hog: Callable[..., int], neighbour: int, seating: Seating, pid: int
) -> None:
    job = hog("spin")
    find_guilty(stand, neighbour, Why.HOG)

    who_computes(stand, seating, pid, signal.SIGUSR1)

    assert stand.state(job) == "running"


def test_a_greenlet_that_a_job_left_behind_is_not_taken_for_the_next_job(
    stand: Stand, seating: Seating, pid: int, tmp_path: Path
) -> None:
    path = tmp_path / "blocks"
    stand.wait_for(stand.enqueue("leave_a_spinner", str(path), 1.0), "succeeded")
    next_job = stand.enqueue("nap", 60)
    eventually(lambda: stand.read().in_flight == 1)
    assert stand.board.slot(0).seated() == [next_job]
    eventually(path.exists)
    find_guilty(stand, next_job, Why.HOG)

    found = who_computes(stand, seating, pid, signal.SIGUSR1)

    assert found.job == 0
    assert stand.state(next_job) == "running"


def test_a_job_that_swallows_its_timeout_is_shown_to_the_master(stand: Stand, pid: int) -> None:
    job = stand.enqueue("swallow", timeout=0.2)

    reading = eventually(lambda: (r := stand.read()).told == job and r)

    assert not isinstance(reading, bool)
    assert reading.told_why == Why.TIMEOUT
    assert stand.state(job) == "running"


def test_a_cancelled_job_that_does_not_end_is_shown_to_the_master(stand: Stand, pid: int) -> None:
    job = stand.enqueue("swallow")
    eventually(lambda: stand.state(job) == "running")

    stand.order_cancel(0, job)

    eventually(lambda: (stand.read().told, stand.read().told_why) == (job, Why.CANCEL))


def test_a_job_that_ends_when_it_is_told_is_shown_no_more(stand: Stand, pid: int) -> None:
    job = stand.enqueue("nap", 60, timeout=0.2)

    stand.wait_for(job, "failed")

    eventually(lambda: stand.read().told == 0)


def test_the_deadline_of_a_job_stands_in_its_seat_while_it_runs(
    stand: Stand, seating: Seating
) -> None:
    job = stand.enqueue("nap", 1, timeout=30.0)
    seats = stand.board.slot(0).seats
    eventually(lambda: job in seats.tolist())  # which is told a moment before its deadline
    seat = seats.tolist().index(job)
    eventually(lambda: seating.deadlines[seat])

    deadline = seating.deadlines[seat]

    assert 0 < deadline - monotonic_ns() < 30e9
    stand.wait_for(job, "succeeded")
    assert set(seating.deadlines) == {0}


def test_a_worker_that_is_to_be_killed_tells_where_its_jobs_wait(
    stand: Stand, hog: Callable[..., int], neighbour: int, seating: Seating, pid: int
) -> None:
    job = hog("spin")
    stand.board.slot(0).words[TELL] = 1

    os.kill(pid, signal.SIGUSR1)

    eventually(lambda: "in nap" in others_of(seating.read(), job))
    assert f"job {neighbour} (app.nap)" in others_of(seating.read(), job)
