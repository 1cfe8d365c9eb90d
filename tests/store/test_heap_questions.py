"""Who asks what grows in a worker while another has it looked at: played with a slot of our own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from taskd.board import Sheet
from taskd.board.layout import HEAP_ASKED, HEAP_SHEET, HEAP_TOLD, PID
from taskd.maintenance.questions import Questions
from taskd.store import questions
from taskd.store.connect import Connection
from taskd.store.questions import HEAP
from tests.store.makers import add_host, add_worker


@dataclass
class Looked:
    """A worker whose slot we play, and the maintenance that asks it."""

    worker: int
    sheet: Sheet = field(default_factory=Sheet.create)
    index: int = 0
    words: list[int] = field(default_factory=lambda: [0] * 1000)

    def __post_init__(self) -> None:
        self.words[PID], self.words[HEAP_SHEET] = os.getpid(), self.sheet.fd
        self.orders: list[Any] = []
        self.chore = Questions(self, self.orders.append, lambda: None)  # type: ignore[arg-type]

    def workers(self) -> dict[int, Looked]:
        return {self.worker: self}

    def ask(self, connection: Connection, seconds: float) -> int:
        (asked,) = questions.ask_workers(connection, HEAP, [self.worker], seconds)
        self.chore.soon()
        self.chore.run(connection)
        return asked

    def tell(self, connection: Connection) -> None:
        self.sheet.write(json.dumps({"note": ""}))
        self.words[HEAP_TOLD] = self.words[HEAP_ASKED]
        self.chore.run(connection)


@pytest.fixture
def looked(connection: Connection) -> Iterator[Looked]:
    looked = Looked(add_worker(connection, add_host(connection)))
    yield looked
    looked.sheet.close()


def test_who_asks_for_as_long_has_the_same_answer(looked: Looked, connection: Connection) -> None:
    asked = [looked.ask(connection, 3600.0) for _ in range(2)]
    assert questions.fetch_answers(connection, asked) == {}

    looked.tell(connection)

    assert questions.fetch_answers(connection, asked) == dict.fromkeys(asked, '{"note": ""}')
    assert len(looked.orders) == 1


@pytest.mark.parametrize(("first", "second", "shown"), [(3600.0, 0.0, "1 h"), (0.0, 300.0, "0 ms")])
def test_who_asks_for_another_time_is_told_so_at_once(
    looked: Looked, connection: Connection, first: float, second: float, shown: str
) -> None:
    running = looked.ask(connection, first)

    other = looked.ask(connection, second)

    said = questions.fetch_answers(connection, [running, other])
    note = f"is looked at for {shown} by somebody else: ask later"
    assert said == {other: json.dumps({"note": note})}
    looked.tell(connection)
    assert questions.fetch_answers(connection, [running]) == {running: '{"note": ""}'}
