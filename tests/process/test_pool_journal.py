"""What attempts say, on its way into a real database; the clock is the test's."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskd.events import Event, Events
from taskd.pool.journal import MOST_BYTES, Journal
from taskd.pool.scribe import BURST, REST_SECONDS, Scribe
from taskd.store.connect import Connection
from taskd.store.hosts import register_host, register_worker, rescue_workers
from taskd.store.jobs import claim_jobs, enqueue_jobs
from taskd.store.log_rows import LogFilter, LogLine
from taskd.store.logs import fetch_progress, read_log
from taskd.store.rows import NewJobs
from taskd.tasks.context import JobAttempt

pytestmark = pytest.mark.one_server


class Desk:
    """A registered worker with running attempts, and its journal."""

    def __init__(self, connection: Connection, jobs: int, limit: int = 64 * 1024) -> None:
        self.connection = connection
        self.told: list[Event] = []
        self.events = Events()
        self.events.subscribe(self.told.append)
        self.now = 100.0
        self.journal = Journal("io/0", limit, self.events, clock=lambda: self.now)
        self.host = register_host(connection, uuid4(), "here", 1, "test")
        self.worker = register_worker(connection, self.host, 1, "io", 0, 1) or 0
        enqueue_jobs(connection, NewJobs("app.noop", ["[]"] * jobs, [None] * jobs))
        self.attempts = self.claim(jobs)

    def claim(self, count: int, lane: int = 5) -> list[JobAttempt]:
        rows = claim_jobs(self.connection, self.worker, ("{default}", f"{{{lane}}}", "{0}"), count)
        attempts = [JobAttempt(r[0], r[3], r[4], r[5], r[7]) for r in rows or []]
        for attempt in attempts:
            attempt.journal = self.journal
            attempt.is_open = True
        return attempts

    def scribe(self, dsn: str) -> Scribe:
        """What stores the journal from within a job, of a worker with this database."""
        place: Any = SimpleNamespace(name="cpu/0", dsn=dsn)
        made = Scribe(place, self.journal, lambda: self.worker, self.events, lambda: self.now)
        self.journal.on_said = made.said
        return made

    def say(self, attempt: JobAttempt, text: str) -> None:
        self.journal.line(attempt, 1.9e9, 20, "shop", text)

    def flush(self) -> None:
        self.journal.flush(self.connection, self.worker)

    def lines(self, attempt: JobAttempt) -> list[LogLine]:
        return read_log(self.connection, LogFilter(attempt.id), limit=100_000)

    def texts(self, attempt: JobAttempt) -> list[str]:
        return [line.text for line in self.lines(attempt)]

    def progress(self, attempt: JobAttempt) -> float | None:
        found = fetch_progress(self.connection, [attempt.id]).get(attempt.id)
        return None if found is None else found.fraction


def test_the_first_line_is_due_at_once_and_later_ones_twice_a_second(
    connection: Connection,
) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    assert desk.journal.pause() is None

    desk.say(attempt, "first")
    assert desk.journal.pause() == 0.0
    desk.flush()
    desk.say(attempt, "second")
    assert desk.journal.pause() == 0.5
    desk.flush()
    assert desk.texts(attempt) == ["first"]

    desk.now += 0.5
    desk.flush()
    assert desk.texts(attempt) == ["first", "second"]


def test_what_an_ended_attempt_said_is_due_whenever_somebody_flushes(
    connection: Connection,
) -> None:
    desk = Desk(connection, 2)
    ended, other = desk.attempts
    desk.say(other, "first")
    desk.flush()

    desk.say(ended, "before the end")
    desk.say(other, "goes on")
    ended.is_open = False
    desk.flush()

    assert desk.texts(ended) == ["before the end"]
    assert desk.texts(other) == ["first"]


def test_an_ended_attempt_is_due_at_once_though_all_lines_of_it_are_stored(
    connection: Connection,
) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    desk.journal.progress(attempt, 0.5, "half")
    desk.flush()
    assert desk.journal.pause() is None

    attempt.is_open = False
    assert desk.journal.pause() == 0.0
    desk.flush()

    assert desk.journal.pause() is None
    assert desk.progress(attempt) == 0.5


def test_progress_is_stored_once_a_second_and_the_last_at_the_end(connection: Connection) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    stored = []

    for tenth in range(30):
        desk.now = 100 + tenth / 10
        desk.journal.progress(attempt, tenth / 100, "")
        desk.flush()
        stored.append(desk.progress(attempt))
    attempt.is_open = False
    desk.flush()

    assert sorted(set(stored), key=stored.index) == [0.0, 0.1, 0.2]
    assert desk.progress(attempt) == 0.29


def test_a_log_of_many_lines_goes_in_several_statements_before_the_end(
    connection: Connection,
) -> None:
    desk = Desk(connection, 1, limit=1024 * 1024)
    (attempt,) = desk.attempts
    for number in range(2500):
        desk.say(attempt, str(number))

    desk.flush()
    assert len(desk.lines(attempt)) == 1000
    attempt.is_open = False
    desk.flush()

    assert desk.texts(attempt) == [str(number) for number in range(2500)]


def test_one_that_logs_much_does_not_keep_the_others_from_being_read(
    connection: Connection,
) -> None:
    desk = Desk(connection, 2, limit=1024 * 1024)
    loud, quiet = desk.attempts
    for number in range(2500):
        desk.say(loud, str(number))
    desk.say(quiet, "hush")

    desk.flush()

    assert desk.texts(quiet) == ["hush"]


def test_lines_wait_for_the_database_and_are_stored_once(
    connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    desk.say(attempt, "a")
    desk.flush()
    desk.say(attempt, "b")
    desk.now += 1.0
    connection.close()
    with pytest.raises(psycopg.Error):
        desk.flush()

    desk.connection = connect_again()
    attempt.is_open = False
    desk.flush()

    assert desk.texts(attempt) == ["a", "b"]


def test_an_answer_that_got_lost_makes_no_line_come_twice(connection: Connection) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    desk.say(attempt, "a")
    store = desk.journal._store

    def store_and_lose_the_answer(*arguments: object) -> list[int]:
        store(*arguments)  # type: ignore[arg-type]
        raise psycopg.OperationalError("the connection is lost")

    desk.journal._store = store_and_lose_the_answer  # type: ignore[method-assign]
    with pytest.raises(psycopg.OperationalError):
        desk.flush()
    del desk.journal._store
    desk.say(attempt, "b")
    attempt.is_open = False
    desk.flush()

    assert desk.texts(attempt) == ["a", "b"]


def test_an_attempt_that_lost_its_job_is_not_heard_any_more(connection: Connection) -> None:
    desk = Desk(connection, 1)
    (stale,) = desk.attempts
    rescue_workers(connection, [desk.worker], "taken for dead", True)
    desk.worker = register_worker(connection, desk.host, 1, "io", 0, 1) or 0
    (fresh,) = desk.claim(1, lane=10)
    assert fresh.id == stale.id

    desk.say(stale, "from the grave")
    desk.say(fresh, "alive")
    desk.flush()
    stale_journal = stale.journal

    assert desk.texts(fresh) == ["alive"]
    assert stale_journal is None
    assert fresh.journal is desk.journal


def test_a_database_that_is_away_costs_no_more_memory_than_the_bound(
    connection: Connection,
) -> None:
    desk = Desk(connection, 200)
    for attempt in desk.attempts:
        for number in range(500):
            desk.say(attempt, f"{number:0400}")
    for attempt in desk.attempts:
        attempt.is_open = False

    assert desk.journal._bytes < MOST_BYTES + 1024
    desk.flush()

    first, last = desk.attempts[0], desk.attempts[-1]
    assert len(desk.lines(first)) > 90
    assert "left out" in desk.texts(last)[-1]
    assert desk.journal._logs == {}


def test_what_the_database_refuses_is_dropped_and_told(connection: Connection) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    desk.journal.line(attempt, 1.9e9, 20, "shop", "a NUL: \0")
    attempt.is_open = False

    desk.flush()

    (event,) = desk.told
    assert f"drops log lines of job {attempt.id}" in str(event)
    assert desk.journal._logs == {}


def test_a_scribe_stores_a_burst_at_once_and_then_twice_a_second(
    connection: Connection, dsn: str
) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    scribe = desk.scribe(dsn)

    for number in range(10):
        desk.say(attempt, str(number))
    assert len(desk.lines(attempt)) == BURST

    desk.now += 0.5
    desk.say(attempt, "10")
    assert len(desk.lines(attempt)) == 11
    desk.say(attempt, "11")
    assert len(desk.lines(attempt)) == 11
    scribe.give_back()


def test_a_scribe_whose_database_is_away_costs_the_job_one_try_in_a_while(
    connection: Connection,
) -> None:
    desk = Desk(connection, 1)
    (attempt,) = desk.attempts
    scribe = desk.scribe("host=127.0.0.1 port=1 dbname=nowhere")
    tries: list[float] = []
    write = scribe._write
    scribe._write = lambda: (tries.append(desk.now), write())  # type: ignore

    began = time.monotonic()
    for _ in range(100):
        desk.say(attempt, "line")
        desk.now += 1.0

    assert time.monotonic() - began < 5.0
    assert len(tries) == 100 // REST_SECONDS + 1
    attempt.is_open = False
    desk.flush()
    assert len(desk.lines(attempt)) == 100
