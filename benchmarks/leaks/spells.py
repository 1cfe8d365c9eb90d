"""Imported by a daemon's workers like a user's tasks: they watch their memory and time by turns.

    watched │ unwatched │ unwatched │ watched │ watched │ …        all workers at the same time

Unwatched, they follow no switches, keep no levels and read nothing of their allocators. Drained,
each adds its spells to the file that SPELLS names in the environment.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import gevent
import greenlet

from taskd.pool.levels import Levels
from taskd.pool.live import LiveBytes
from taskd.pool.worker import Worker

SPELLS = "TASKD_BENCH_SPELLS"
SECONDS = 0.5
"""As long as a worker's beat, so that none is without one."""


class Spell(NamedTuple):
    """What a worker did in one; the even number and the next are a pair."""

    number: int
    is_watched: bool
    jobs: int
    cpu: float
    seconds: float


_watched = [True]
_spells: list[Spell] = []


def _take_turns(counts: Mapping[str, int]) -> None:
    """Change at each full spell of the machine's clock."""
    trace = greenlet.gettrace()
    before = None
    while True:
        now = time.monotonic()
        number = int(now / SECONDS) + 1
        gevent.sleep(number * SECONDS - now)
        is_watched = _watched[0] = number % 4 in (0, 3)
        after = sum(counts.values()), time.process_time(), time.perf_counter()
        if before is not None:
            jobs, cpu, seconds = (b - a for a, b in zip(before, after, strict=True))
            _spells.append(Spell(number - 1, (number - 1) % 4 in (0, 3), int(jobs), cpu, seconds))
        before = after
        greenlet.settrace(trace if is_watched else None)


def _only_watched(method: Callable[..., None]) -> Callable[..., None]:
    def called(*args: object) -> None:
        if _watched[0]:
            method(*args)

    return called


def _start(worker: Worker, start: Callable[[Worker], None] = Worker.start) -> None:
    start(worker)
    gevent.spawn(_take_turns, worker.reporter.levels.counts)


def _drain(worker: Worker, drain: Callable[[Worker], None] = Worker.drain) -> None:
    drain(worker)
    with open(os.environ[SPELLS], "a", encoding="utf-8") as spells:
        spells.write(json.dumps(_spells) + "\n")


Worker.start, Worker.drain = _start, _drain  # type: ignore[method-assign,assignment]
Levels.beat = _only_watched(Levels.beat)  # type: ignore[method-assign]
Levels.flush = _only_watched(Levels.flush)  # type: ignore[method-assign]
LiveBytes.beat = _only_watched(LiveBytes.beat)  # type: ignore[method-assign]
