"""When chores run, and when their connection is open."""

from __future__ import annotations

import pytest

from taskd.clock import monotonic
from taskd.events import Events
from taskd.maintenance import chores as chores_module
from taskd.maintenance.chores import LINGER_SECONDS, Chores
from taskd.store.connect import Connection
from tests.store.keepers import Clock, MakeLink, make_link

__all__ = ["make_link"]


class Bell:
    """A chore that rings at its time, and then again in a minute."""

    def __init__(self, at: float) -> None:
        self.at = at

    def due(self) -> float:
        return self.at

    def run(self, connection: Connection) -> None:
        connection.execute("SELECT 1")
        self.at += 60


def test_the_connection_is_closed_once_nothing_is_due_for_a_while(
    make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(chores_module, "monotonic", clock)
    link, bell = make_link(), Bell(clock.now)
    chores = Chores(link, Events())
    chores.add(bell)

    waits, are_open = [], []
    for _ in range(3):
        waits.append(chores.step())
        are_open.append(link.is_open)
        clock.now += waits[-1]

    assert waits == pytest.approx([LINGER_SECONDS, 60 - LINGER_SECONDS, LINGER_SECONDS])
    assert are_open == [True, False, True]


def test_the_connection_stays_open_while_something_is_due_soon(
    make_link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(chores_module, "monotonic", clock)
    link = make_link()
    chores = Chores(link, Events())
    chores.add(Bell(clock.now))
    chores.add(Bell(clock.now + LINGER_SECONDS / 2))

    wait = chores.step()
    clock.now += wait
    chores.step()

    assert wait == pytest.approx(LINGER_SECONDS / 2)
    assert link.is_open


def test_the_connection_stays_open_while_jobs_run(make_link: MakeLink) -> None:
    link = make_link()
    chores = Chores(link, Events(), is_busy=lambda: True)
    bell = Bell(monotonic())
    chores.add(bell)

    wait = chores.step()

    assert link.is_open
    assert wait > LINGER_SECONDS
