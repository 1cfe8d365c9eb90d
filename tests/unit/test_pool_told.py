from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskd.board import Board, SlotReading, Why
from taskd.pool.told import Told
from taskd.tasks.context import JobAttempt


class Bench:
    def __init__(self, board: Board) -> None:
        self.slot = board.slot(0)
        self.told = Told(self.slot.words)

    def attempt(self, job: int) -> JobAttempt:
        attempt = JobAttempt(job, job, 1, 1, "shop.nap")
        attempt.is_open = True
        return attempt

    @property
    def shown(self) -> tuple[int, int]:
        reading: SlotReading = self.slot.read()
        return reading.told, reading.told_why


@pytest.fixture
def bench() -> Iterator[Bench]:
    board = Board.create(1, 1)
    yield Bench(board)
    os.close(board.fd)


def test_a_job_is_told_once(bench: Bench) -> None:
    attempt = bench.attempt(7)

    assert bench.told.note(attempt, Why.TIMEOUT)
    assert not bench.told.note(attempt, Why.TIMEOUT)
    assert bench.shown == (7, Why.TIMEOUT)


def test_another_attempt_of_the_same_job_is_told_again(bench: Bench) -> None:
    first = bench.attempt(7)
    bench.told.note(first, Why.TIMEOUT)
    first.is_open = False

    assert bench.told.note(bench.attempt(7), Why.TIMEOUT)


def test_the_board_shows_who_was_told_first_and_has_not_ended(bench: Bench) -> None:
    first, second = bench.attempt(7), bench.attempt(8)
    bench.told.note(first, Why.TIMEOUT)
    bench.told.note(second, Why.CANCEL)
    shown = [bench.shown]

    first.is_open = False
    bench.told.show()
    shown.append(bench.shown)
    second.is_open = False
    bench.told.show()
    shown.append((bench.shown[0], 0))

    assert shown == [(7, Why.TIMEOUT), (8, Why.CANCEL), (0, 0)]


def test_a_timed_out_job_that_is_cancelled_is_to_end_as_cancelled(bench: Bench) -> None:
    attempt = bench.attempt(7)
    bench.told.note(attempt, Why.TIMEOUT)
    at = bench.slot.read().told_at

    assert not bench.told.note(attempt, Why.CANCEL)
    assert bench.shown == (7, Why.CANCEL)
    assert bench.slot.read().told_at == at


def test_an_interrupted_job_is_not_told_again_and_not_shown(bench: Bench) -> None:
    attempt = bench.attempt(7)

    assert bench.told.note(attempt, None)
    assert not bench.told.note(attempt, None)
    assert not bench.told.note(attempt, Why.TIMEOUT)
    assert bench.shown == (0, 0)


def test_behind_an_interrupted_job_the_next_that_was_told_is_shown(bench: Bench) -> None:
    bench.told.note(bench.attempt(7), None)
    bench.told.note(bench.attempt(8), Why.TIMEOUT)

    assert bench.shown == (8, Why.TIMEOUT)


def test_an_interrupted_job_that_is_cancelled_is_shown_to_be(bench: Bench) -> None:
    attempt = bench.attempt(7)
    bench.told.note(attempt, None)

    assert not bench.told.note(attempt, Why.CANCEL)
    assert bench.shown == (7, Why.CANCEL)
