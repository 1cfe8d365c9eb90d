"""What grows in a worker, over HTTP, with a maintenance played by the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from taskd.store import questions
from taskd.store.connect import Connection
from taskd.web import heap
from taskd.web.source import MOST_ASKING, Source, TooManyAsk
from tests.store.makers import add_host, add_worker
from tests.store.serving import READERS, Served, served
from tests.waiting import eventually

pytestmark = pytest.mark.one_server

GROWN = {"type": "dict", "before": 10, "after": 4010}
SAID = {
    "note": "",
    "seconds": 0.5,
    "blocks_before": 70_000,
    "blocks_after": 90_000,
    "longest_stop": 0.002,
    "types": [GROWN],
    "containers": [{**GROWN, "name": "shop.cache"}],
}


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn) as found:
        yield found


def ask(web: Served, connection: Connection, worker: int, said: dict[str, Any]) -> Any:
    """Ask for what grows in half a second, and answer so; the question, and what is told."""
    asked: list[questions.Question] = []

    def answer() -> None:
        asked.extend(eventually(lambda: questions.take_questions(connection, [worker]), 10))
        questions.answer_questions(connection, [asked[0].id], json.dumps(said))

    thread = threading.Thread(target=answer)
    thread.start()
    reply = web.ask(f"/workers/{worker}/heap", token=READERS, seconds="500ms")
    thread.join()
    return asked[0], reply.json


def test_a_worker_tells_what_grows_in_it(web: Served, connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))

    asked, told = ask(web, connection, worker, SAID)

    assert (asked.kind, asked.seconds) == ("heap", 0.5)
    assert {**told, "worker": ""} == {**SAID, "worker": ""}
    assert told["worker"].startswith("io/0 on here, pid ")
    assert connection.execute("SELECT count(*) FROM taskd.answer").fetchone() == (0,)


def test_what_hindered_an_answer_is_told(web: Served, connection: Connection) -> None:
    worker = add_worker(connection, add_host(connection))

    _, told = ask(web, connection, worker, {"note": "holds too much"})

    assert (told["note"], told["types"], told["seconds"]) == ("holds too much", [], None)
    assert web.ask("/workers/4711/heap").status == 404
    assert web.ask(f"/workers/{worker}/heap", seconds="31s").status == 400


def test_one_looks_at_what_grows_and_takes_no_place_of_those_who_ask_for_stacks(
    dsn: str, connection: Connection
) -> None:
    worker = add_worker(connection, add_host(connection))
    crowded = Source(dsn)

    with ExitStack() as asking:
        asking.callback(crowded.close)
        asking.enter_context(crowded.asking_heap())

        with pytest.raises(TooManyAsk, match="somebody else looks at what grows"):
            heap.worker_heap(crowded, {"id": worker, "seconds": 0.0})
        for _ in range(MOST_ASKING):
            asking.enter_context(crowded.asking())
        with crowded.reading() as one:
            assert one.execute("SELECT 1").fetchone() == (1,)
