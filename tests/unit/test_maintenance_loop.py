from __future__ import annotations

import threading
from math import inf

from taskd.errors import DatabaseUnavailable
from taskd.events import Event, Events
from taskd.maintenance.events import PartFailed
from taskd.maintenance.loop import Backoff, Loop
from taskd.store.link import Link
from tests.waiting import eventually

NOWHERE = Link(lambda: None, "clock")


def told(events: Events) -> list[Event]:
    heard: list[Event] = []
    events.subscribe(heard.append)
    return heard


def test_a_loop_steps_when_it_starts_and_when_it_is_hurried() -> None:
    steps = threading.Semaphore(0)

    def step() -> float:
        steps.release()
        return inf

    loop = Loop(NOWHERE, step, Events())
    loop.start()
    assert steps.acquire(timeout=10)
    loop.hurry()
    assert steps.acquire(timeout=10)
    loop.stop(10)


def test_a_loop_that_is_stopped_before_or_after_it_ran_stays_stopped() -> None:
    steps: list[int] = []

    def step() -> float:
        steps.append(1)
        return 0.0

    loop = Loop(NOWHERE, step, Events())
    loop.stop()
    loop.start()
    loop.stop()
    loop.stop()

    assert steps == []
    assert not loop.is_alive(within=60.0)


def test_a_step_that_raises_is_told_and_repeated() -> None:
    events = Events()
    heard = told(events)
    done = threading.Event()

    def step() -> float:
        if not heard:
            raise RuntimeError("no such luck")
        done.set()
        return inf

    loop = Loop(NOWHERE, step, events)
    loop.start()

    assert done.wait(10)
    loop.stop(10)
    (failed,) = heard
    assert isinstance(failed, PartFailed)
    assert "no such luck" in str(failed)


def test_a_database_that_is_away_is_not_told_by_every_loop() -> None:
    events = Events()
    heard = told(events)
    tries: list[int] = []

    def step() -> float:
        tries.append(1)
        if len(tries) < 3:
            raise DatabaseUnavailable("gone")
        return inf

    loop = Loop(NOWHERE, step, events)
    loop.start()
    eventually(lambda: len(tries) == 3)
    loop.stop(10)

    assert heard == []


def test_pauses_grow_up_to_their_limit_and_begin_anew() -> None:
    backoff = Backoff(1.0, 8.0)

    pauses = [backoff.next() for _ in range(6)]
    backoff.reset()

    for pause, about in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert 0.8 * about <= pause <= 1.2 * about
    assert backoff.next() <= 1.2
