"""Enqueues with one system, in its own environment: `python -m benchmarks.peers.client APP VERB …`.

An app has: `prepare()`, whatever a user does once before the first job; `enqueue(task, argument)`;
`enqueue_each(task, argument, count)`, one after the other; `enqueue_many(task, argument, count)`,
the quickest way that is documented. Each enqueue has returned once the job is stored.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from benchmarks.peers.work import FOLDER, SAMPLE

PATIENCE = 30.0
WARM_UP = 20


class App(Protocol):
    def prepare(self) -> None: ...
    def enqueue(self, task: str, argument: float) -> None: ...
    def enqueue_each(self, task: str, argument: float, count: int) -> None: ...
    def enqueue_many(self, task: str, argument: float, count: int) -> None: ...


def main(name: str, verb: str, *words: str) -> object:
    """Do one thing with an app; what there is to tell of it."""
    app = cast(App, import_module(name))
    match verb, *words:
        case ["prepare"]:
            app.prepare()
            return None
        case ["each", task, argument, count]:
            return _timed(app, app.enqueue_each, task, float(argument), int(count))
        case ["many", task, argument, count]:
            return _timed(app, app.enqueue_many, task, float(argument), int(count))
        case ["fill", task, argument, count]:
            app.enqueue_many(task, float(argument), int(count))
            return None
        case ["latency", count, gap]:
            return latencies(app, int(count), float(gap))
        case _:
            raise SystemExit(f"no such verb: {verb} {words}")


def _timed(
    app: App, call: Callable[[str, float, int], None], task: str, argument: float, count: int
) -> float:
    """How long the call takes once the app is connected."""
    app.enqueue("noop", 0.0)
    began = time.perf_counter()
    call(task, argument, count)
    return time.perf_counter() - began


def latencies(app: App, count: int, gap: float) -> list[float]:
    """Seconds from the call of enqueue to the first line of the job, of jobs that come alone."""
    stamps = os.open(Path(os.environ[FOLDER]) / "stamps", os.O_RDWR)
    dice = random.Random(7)
    samples = []
    for _ in range(count + WARM_UP):
        time.sleep(gap * dice.uniform(0.5, 1.5))
        app.enqueue("stamp", time.monotonic())
        if not select.select([stamps], [], [], PATIENCE)[0]:
            raise SystemExit(f"a job had not started {PATIENCE} s after it was enqueued")
        samples.append(SAMPLE.unpack(os.read(stamps, SAMPLE.size))[0])
    return samples[WARM_UP:]


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
