"""Live stacks over HTTP, with a maintenance played by the test that answers for its workers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from taskd.errors import StatementTimedOut
from taskd.store import questions
from taskd.store.connect import Connection
from taskd.web import source, stacks
from taskd.web.source import MOST_ASKING, Source, TooManyAsk
from tests.store.makers import add_host, add_jobs, add_worker, claim
from tests.store.serving import READERS, Served, served
from tests.waiting import eventually

pytestmark = pytest.mark.one_server

FRAME = {"file": "shop.py", "line": 31, "function": "fetch", "code": "get(url)"}


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn) as found:
        yield found


def stack(job: int | None, who: str = "") -> dict[str, Any]:
    task = "shop.fetch" if job else None
    told = {"job": job, "task": task, "seconds": job and 2.5, "who": who, "runs": False}
    return {**told, "frames": [FRAME]}


@contextmanager
def answering(connection: Connection, worker: int, *stacks: dict[str, Any]) -> Iterator[None]:
    """Answer the next question to a worker."""
    said = json.dumps({"note": "", "stacks": stacks})

    def answer() -> None:
        (asked,) = eventually(lambda: questions.take_questions(connection, [worker]), 10)
        questions.answer_questions(connection, [asked.id], said)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is waited for however late a loaded machine gives it."""
    monkeypatch.setattr(stacks, "ANSWER_SECONDS", 20.0)


@pytest.mark.usefixtures("patient")
def test_a_reader_is_told_where_a_job_stands_and_nothing_of_its_neighbours(
    web: Served, connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(connection, add_host(connection))
    job, other = add_jobs(connection, 2)
    claim(connection, worker, count=2)

    with answering(connect_again(), worker, stack(job), stack(other), stack(None, "hub")):
        reply = web.ask(f"/jobs/{job}/stacks", token=READERS)

    assert reply.status == 200, reply.body
    assert reply.json["state"] == "running"
    assert [each["job"] for each in reply.json["worker"]["stacks"]] == [job]
    assert reply.json["worker"]["stacks"][0]["frames"] == [FRAME]


@pytest.mark.usefixtures("patient")
def test_a_worker_tells_all_that_it_has(
    web: Served, connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(connection, add_host(connection))

    with answering(connect_again(), worker, stack(7), stack(None, "hub")):
        found = web.get(f"/workers/{worker}/stacks")

    assert (found["pool"], found["note"]) == ("io", "")
    assert [each["who"] for each in found["stacks"]] == ["", "hub"]


def test_who_does_not_answer_and_what_does_not_run_is_told(
    web: Served, connection: Connection
) -> None:
    worker = add_worker(connection, add_host(connection))
    (waiting,) = add_jobs(connection, 1)

    assert web.get(f"/workers/{worker}/stacks")["note"] == "does not answer"
    assert web.get(f"/jobs/{waiting}/stacks") == {"state": "queued", "worker": None}
    assert web.ask("/jobs/4711/stacks").status == 404
    assert web.ask("/workers/4711/stacks").status == 404


@pytest.mark.usefixtures("patient")
def test_who_looks_within_a_second_is_given_the_same_answer_and_none_is_left(
    web: Served,
    connection: Connection,
    connect_again: Callable[[], Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "KEPT_SECONDS", 60.0)
    worker = add_worker(connection, add_host(connection))
    (job,) = add_jobs(connection, 1)
    claim(connection, worker)

    with answering(connect_again(), worker, stack(job)):
        found = web.get(f"/workers/{worker}/stacks")

    assert web.get(f"/workers/{worker}/stacks") == found
    assert web.get(f"/jobs/{job}/stacks")["worker"] == found
    assert questions.take_questions(connection, [worker]) == []
    assert connection.execute("SELECT count(*) FROM taskd.answer").fetchone() == (0,)


def test_who_waits_for_workers_that_are_silent_keeps_nobody_waiting(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "STATEMENT_SECONDS", 0.2)
    worker = add_worker(connection, add_host(connection))
    crowded = Source(dsn)

    with ExitStack() as asking:
        asking.callback(crowded.close)
        first, *_ = (asking.enter_context(crowded.asking()) for _ in range(MOST_ASKING))

        with pytest.raises(TooManyAsk):
            stacks.worker_stacks(crowded, {"id": worker})
        with pytest.raises(StatementTimedOut):
            first.execute("SELECT pg_sleep(5)")
