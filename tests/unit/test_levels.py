"""What a worker tells of what it holds after how many jobs of each task."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskd.board import Board
from taskd.board.layout import LIVE, LIVE_JOBS, SUCCEEDED
from taskd.pool import levels as levels_module
from taskd.pool.levels import Levels
from taskd.store.leaks import Level


@pytest.fixture
def words() -> Iterator[memoryview]:
    board = Board.create(1, 1)
    yield board.slot(0).words
    os.close(board.fd)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(levels_module, "monotonic", lambda: now[0])
    return now


def read(levels: Levels, words: memoryview, live: int, jobs: int) -> None:
    words[LIVE], words[LIVE_JOBS], words[SUCCEEDED] = live, jobs, jobs
    levels.beat()


def put_aside(levels: Levels) -> list[Level]:
    return list(levels._unstored)


def test_readings_between_two_levels_are_averaged(words: memoryview, now: list[float]) -> None:
    levels = Levels(words)
    levels.counts["a"] = 100
    read(levels, words, 1000, jobs=100)
    for jobs, live in ((200, 2000), (300, 3000)):
        now[0] += 1.5
        levels.counts["a"] = jobs
        read(levels, words, live, jobs)

    assert put_aside(levels) == [Level(0, 1000, {"a": 100}), Level(0, 2500, {"a": 250}, 2)]


def test_with_few_more_jobs_there_is_no_new_level(words: memoryview, now: list[float]) -> None:
    levels = Levels(words)
    levels.counts["a"] = 1000
    read(levels, words, 1000, jobs=1000)
    now[0] += 10
    read(levels, words, 1000, jobs=1040)
    assert len(put_aside(levels)) == 1

    now[0] += 600
    read(levels, words, 1000, jobs=1041)

    assert len(put_aside(levels)) == 2


def test_a_reading_is_not_taken_twice_nor_with_later_jobs(
    words: memoryview, now: list[float]
) -> None:
    levels = Levels(words)
    levels.counts["a"] = 100
    words[LIVE], words[LIVE_JOBS], words[SUCCEEDED] = 1000, 100, 101
    levels.beat()
    assert put_aside(levels) == []

    words[SUCCEEDED] = 100
    levels.beat()
    now[0] += 60
    levels.beat()

    assert len(put_aside(levels)) == 1
