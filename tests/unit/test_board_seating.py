"""The seats of a worker and its text, from both sides."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator

import pytest

from taskd.board import Seating
from taskd.board.seating import DUMP_SIGNAL, is_open


@pytest.fixture
def worker() -> Iterator[Seating]:
    seating = Seating.create(25)
    yield seating
    seating.close()


@pytest.fixture
def master(worker: Seating) -> Iterator[Seating]:
    seating = Seating.open(os.getpid(), worker.fd)
    assert seating is not None
    yield seating
    seating.close()


def test_the_master_sees_the_deadlines_of_all_seats(worker: Seating, master: Seating) -> None:
    worker.deadlines[24], worker.deadlines[0] = 4711, 1 << 60

    assert master.seats == 25
    assert (master.deadlines[24], master.deadlines[0]) == (4711, 1 << 60)


def test_text_is_read_until_it_is_emptied_and_the_next_begins_anew(
    worker: Seating, master: Seating
) -> None:
    worker.write("first\n")
    worker.write("second \ud800\n")
    both = master.read()
    master.empty()
    worker.write("third\n")

    assert both == "first\nsecond \\ud800\n"
    assert master.read() == "third\n"


def test_text_leaves_the_seats_alone(worker: Seating, master: Seating) -> None:
    worker.deadlines[24] = 1
    worker.write("x" * 100_000)
    master.empty()

    assert (master.deadlines[24], master.read()) == (1, "")


def test_faulthandler_writes_into_it(worker: Seating, master: Seating) -> None:
    faulthandler.register(DUMP_SIGNAL, worker.fd, all_threads=False)

    os.kill(os.getpid(), DUMP_SIGNAL)
    faulthandler.unregister(DUMP_SIGNAL)

    assert "in test_faulthandler_writes_into_it" in master.read()


def test_a_descriptor_that_is_something_else_by_now_is_not_opened(worker: Seating) -> None:
    with open(os.devnull) as other:
        assert not is_open(os.getpid(), other.fileno())
        assert Seating.open(os.getpid(), other.fileno()) is None
    assert Seating.open(os.getpid(), 1 << 20) is None
    assert is_open(os.getpid(), worker.fd)


def test_a_worker_without_its_descriptor_goes_on(worker: Seating) -> None:
    fd, worker.fd = worker.fd, 1 << 20

    worker.write("nobody hears\n")

    worker.fd = fd


def test_closing_twice_is_harmless(master: Seating) -> None:
    master.close()
    master.close()
