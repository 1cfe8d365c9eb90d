"""Server-sent events over HTTP: what they tell, for how many, and that they end."""

from __future__ import annotations

import json
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import Any

import pytest

from taskd.errors import DatabaseUnavailable
from taskd.events import Events
from taskd.store.connect import Connection
from taskd.web import live as live_module
from taskd.web.live import Live
from taskd.web.source import Source
from tests.store.makers import add_jobs, add_worker
from tests.store.serving import READERS, served
from tests.waiting import eventually

pytestmark = pytest.mark.one_server


def next_event(stream: HTTPResponse) -> tuple[str, Any]:
    """The next event; what stands before it that is none, such as when to try again, is read."""
    said: dict[str, str] = {}
    while line := stream.readline().decode():
        name, colon, value = line.rstrip("\n").partition(": ")
        if colon:
            said[name] = value
        elif "data" in said:
            return said["event"], json.loads(said["data"])
    raise AssertionError("the stream has ended")


def test_who_watches_is_told_again_and_again(dsn: str, connection: Connection) -> None:
    add_worker(connection)
    add_jobs(connection, 2, queue="mail")
    with served(dsn) as web, web.watching(READERS) as stream:
        assert stream.getheader("Content-Type") == "text/event-stream"
        assert stream.getheader("Cache-Control") == "no-store"
        name, first = next_event(stream)
        _, second = next_event(stream)

    assert name == "overview"
    assert [(queue["queue"], queue["queued"]) for queue in first["queues"]] == [("mail", 2)]
    assert (first["workers"], first["hosts"]) == (1, 1)
    assert first["stats"]["succeeded"] == 0
    assert first["at"] < second["at"]


def test_news_are_made_once_for_all_who_watch(dsn: str) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(len(made))
        return {"number": made[-1]}

    with (
        served(dsn, make_live=lambda _, events: Live(make, events, period=0.3)) as web,
        ExitStack() as held,
    ):
        streams = [held.enter_context(web.watching()) for _ in range(10)]
        told = [[next_event(stream)[1]["number"] for _ in range(3)] for stream in streams]

    assert max(numbers[-1] for numbers in told) < len(made) + 1
    assert len(made) < 10


def test_no_more_may_watch_than_there_are_threads_and_who_leaves_makes_room(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "MOST_VIEWERS", 1)
    with served(dsn, make_live=lambda _, events: Live(dict, events, period=0.1)) as web:
        with web.watching() as stream:
            assert next_event(stream)[0] == "overview"
            refused = web.ask("/live")
            assert refused.status == 503
            assert "watch already" in refused.json["error"]

        def is_let_in() -> bool:
            with web.watching() as stream:
                return stream.status == 200

        assert eventually(is_let_in)


def test_trouble_with_the_database_is_told_and_the_stream_goes_on(dsn: str) -> None:
    answers: list[object] = [DatabaseUnavailable("gone"), {"fine": True}]

    def make() -> dict[str, Any]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, dict)
        return answer

    def make_live(_: Source, events: Events) -> Live:
        return Live(make, events, period=0.1)

    with served(dsn, make_live=make_live) as web, web.watching() as stream:
        name, trouble = next_event(stream)
        assert (name, trouble["error"]) == ("trouble", "gone")
        assert next_event(stream) == ("overview", {"fine": True})


def test_streams_end_when_the_server_is_to_end(dsn: str) -> None:
    lives: list[Live] = []

    def make_live(_: Source, events: Events) -> Live:
        lives.append(Live(dict, events, period=0.1))
        return lives[0]

    with served(dsn, make_live=make_live) as web, web.watching() as stream:
        next_event(stream)
        lives[0].is_over = True

        stream.read()  # returns, so it has ended


def test_a_stream_is_not_for_strangers(dsn: str) -> None:
    with served(dsn) as web:
        assert web.ask("/live", token=None).status == 401
