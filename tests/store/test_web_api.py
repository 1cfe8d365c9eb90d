"""The JSON API on a real database."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from taskd.clock import monotonic
from taskd.errors import DatabaseUnavailable, StatementTimedOut
from taskd.store import hosts, jobs, queues, schedules
from taskd.store.connect import Connection
from taskd.store.limits import Limit, declare_limits
from taskd.store.rows import JobEnd
from taskd.store.statistics import Backlog, fetch_backlog, roll_up
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from taskd.web import answers
from taskd.web import source as source_module
from taskd.web.parameters import Span
from taskd.web.source import TIMES_ASKED_ALIKE, Kept, KeptByKey, Source
from tests.store.asking import API, Site, site
from tests.store.graph_makers import add_exclusive
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.store.test_stalls import let_time_pass
from tests.store.test_statistics import succeed
from tests.store.timetables import declare, nightly, settle
from tests.waiting import eventually

pytestmark = pytest.mark.one_server
TOKEN = "0123456789abcdef"


@pytest.fixture
def web(dsn: str) -> Iterator[Site]:
    with site(dsn) as found:
        yield found
        assert [str(event) for event in found.told] == []


def end_jobs(connection: Connection) -> tuple[int, int]:
    """One job has succeeded and one failed; their ids."""
    worker = add_worker(connection)
    add_jobs(connection, 2)
    good, bad = claim(connection, worker)
    succeed(connection, worker, [good])
    jobs.complete_jobs(
        connection, worker, [JobEnd(bad[0], fence_of(bad), 0.5, "f", None, "KeyError: 'x'", "tb")]
    )
    return good[0], bad[0]


def test_queues_are_told_with_what_waits_in_them(web: Site, connection: Connection) -> None:
    add_jobs(connection, 2, queue="mail")
    add_jobs(connection, 1, queue="sync@v2", delay=600)
    queues.pause_queue(connection, "mail")

    mail, sync = web.api("/queues")

    assert (mail["queue"], mail["queued"], mail["runnable"], mail["paused"]) == ("mail", 2, 0, True)
    assert (sync["queue"], sync["requires"], sync["scheduled"]) == ("sync", "v2", 1)


def test_jobs_come_in_pages_newest_first(web: Site, connection: Connection) -> None:
    ids = add_jobs(connection, 5)
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 2}

    while True:
        page = web.api("/jobs", **query)
        seen += [job["id"] for job in page["jobs"]]
        if page["next_before"] is None:
            break
        query["before"] = page["next_before"]

    assert seen == ids[::-1]


def test_jobs_are_found_by_each_filter(web: Site, connection: Connection) -> None:
    good, bad = end_jobs(connection)
    (mail,) = add_jobs(connection, 1, queue="mail")

    def found(**query: Any) -> list[int]:
        return [job["id"] for job in web.api("/jobs", **query)["jobs"]]

    assert found(state="failed") == [bad]
    assert found(queue="mail") == [mail]
    assert found(state="succeeded", task="shop.sync") == [good]
    assert found(task="shop.other") == []
    assert found(error="KeyError") == [bad]
    assert found(args="[1]") == [bad]
    assert found(older_than="1h") == []
    assert found(since="1h") == [mail, bad, good]
    assert found(until="2030-01-31T08:00+01:00", finished_since="1h") == [bad, good]
    assert found(finished_until="1h") == []


def test_one_job_is_told_with_its_attempts(web: Site, connection: Connection) -> None:
    _, bad = end_jobs(connection)

    found = web.api(f"/jobs/{bad}")

    assert (found["state"], found["error"], found["args"]) == ("failed", "KeyError: 'x'", [1])
    assert found["attempts"] == []
    assert found["created_at"].startswith("20")


def test_what_is_not_there_is_told_as_such(web: Site) -> None:
    for path in (f"{API}/jobs/4711", f"{API}/nothing", "/nothing"):
        answer = web.ask(path)
        assert answer.status == 404
        assert "error" in answer.json
    assert web.ask(f"{API}/jobs", method="POST").status == 405


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/jobs", {"limit": "many"}, "limit: 'many' is no whole number"),
        ("/jobs", {"limit": "0"}, "limit: '0' is not between 1 and 1000"),
        ("/jobs", {"state": "lost"}, "state: 'lost' is none of scheduled,"),
        ("/jobs", {"sort": "id"}, "there is no parameter 'sort' here: there are state, queue,"),
        ("/jobs", {"queue": "a\0b"}, "holds characters that no text in the database can have"),
        ("/jobs", {"queue": b"\xff"}, "the query is no UTF-8"),
        ("/jobs", {"args": "{}"}, "args: '{}' is no JSON array"),
        ("/jobs", {"args": "[1e999]"}, "args: '[1e999]' holds a number that is too large: 1e999"),
        ("/jobs", {"args": "[" * 1000 + "]" * 1000}, "is no JSON array"),
        ("/jobs", {"since": "soon"}, "since: 'soon' is no moment: write how long ago, such as 1h"),
        ("/jobs", {"since": "1h", "until": "2h"}, "until is before since"),
        ("/jobs/x", {}, "id: 'x' is no whole number"),
        ("/stats", {"last": "91d"}, "last: '91d' is not between"),
        ("/queues", {"x": "1"}, "there is no parameter 'x' here: there are none"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(
    web: Site, path: str, query: dict[str, str | bytes], words: str
) -> None:
    answer = web.ask(API + path, **query)

    assert answer.status == 400
    assert words in answer.json["error"]


def test_failures_workers_pools_and_tasks_are_told(web: Site, connection: Connection) -> None:
    _, bad = end_jobs(connection)
    (host, *_) = hosts.list_hosts(connection)
    hosts.publish_tasks(connection, host.id, "io", [describe("shop.sync", add_jobs, DEFAULTS)])

    (group,) = web.api("/failures")["groups"]
    (told,) = web.api("/workers")
    (pool,) = web.api("/pools")
    (task,) = web.api("/tasks")

    assert (group["cause"], group["sample_job"]) == ("KeyError: '…'", bad)
    assert (told["name"], told["silent"], told["processes"]) == ("here", False, [])
    assert (pool["name"], pool["workers"], pool["slots"]) == ("io", 1, 1)
    assert (task["name"], task["pools"]) == ("shop.sync", ["io"])
    assert connection.execute("SELECT kind FROM taskd.request").fetchall() == [("report",)]


def test_stats_and_their_curves_hold_what_has_just_ended(web: Site, connection: Connection) -> None:
    end_jobs(connection)

    (row,) = web.api("/stats", by="task", last="6h")["rows"]
    curves = web.api("/stats/curves", last="15m")

    assert (row["name"], row["succeeded"], row["failed"]) == ("shop.sync", 1, 1)
    assert curves["step"] == 60
    assert sum(point["succeeded"] for point in curves["points"]) == 1


@pytest.mark.parametrize(
    ("last", "step"), [("1h", 60), ("90m", 600), ("12h", 3600), ("3d", 4 * 3600), ("10d", 86400)]
)
def test_a_step_of_a_curve_is_no_finer_than_what_is_kept_of_that_time(
    web: Site, last: str, step: float
) -> None:
    assert web.api("/stats/curves", last=last)["step"] == step


def test_resources_and_schedules_are_lists(web: Site) -> None:
    assert web.api("/resources") == {"resources": [], "next": None}
    assert web.api("/schedules") == []


def test_a_queue_in_which_nothing_begins_is_told_with_why_and_what_to_do(
    web: Site, connection: Connection
) -> None:
    assert web.api("/stalls") == {"stalls": []}

    add_worker(connection, queues=["default", "sync"])
    add_jobs(connection, 2, queue="sync")
    let_time_pass(connection)

    def told() -> Any:
        return web.api("/stalls")["stalls"]

    (stall,) = eventually(told)
    assert (stall["queue"], stall["jobs"], stall["free_slots"]) == ("sync", 2, 1)
    assert stall["text"].startswith("queue sync: 2 jobs could run, 1 slot is free, nothing started")
    assert stall["text"].endswith(stall["because"])
    assert stall["remedy"].startswith("look into the daemons' logs")


def test_a_schedule_is_told_with_its_next_three_slots_unless_it_is_paused(
    web: Site, connection: Connection
) -> None:
    declare(connection, nightly(), nightly("once", spec={"every": 3600.0}))
    settle(connection)
    schedules.pause_schedule(connection, "once")

    going, paused = web.api("/schedules")

    slots = [datetime.fromisoformat(slot) for slot in going["next_slots"]]
    assert going["next_slots"][0] == going["next_at"]
    assert [later - slots[0] for later in slots] == [timedelta(hours=n) for n in range(3)]
    assert (paused["name"], paused["next_slots"]) == ("once", [])


def test_resources_come_in_pages_those_waited_for_first(web: Site, connection: Connection) -> None:
    worker = add_worker(connection)
    for name in ("b", "d", "a", "c", "e"):
        add_exclusive(connection, name)
    claim(connection, worker)
    for name in ("d", "c", "d", "c"):
        add_exclusive(connection, name)
    declare_limits(connection, add_host(connection), {"@queue sync": Limit(5, None, None)})
    pages = [web.api("/resources", limit=2)]

    while (after := pages[-1]["next"]) is not None:
        pages.append(web.api("/resources", limit=2, after=after))

    seen = [(row["name"], row["waiting"]) for page in pages for row in page["resources"]]
    assert seen == [("c", 2), ("d", 2), ("@queue sync", 0), ("a", 0), ("b", 0), ("e", 0)]
    assert [len(page["resources"]) for page in pages] == [2, 2, 2]
    assert web.api("/resources", limit=6)["next"] is None
    assert web.ask(f"{API}/resources", after="c").status == 400


def test_failures_come_in_pages_the_most_frequent_first(web: Site, connection: Connection) -> None:
    worker = add_worker(connection)
    for text, count in (("A", 1), ("B", 3), ("C", 1), ("D", 2)):
        add_jobs(connection, count)
        ends = [
            JobEnd(row[0], fence_of(row), 0.5, "f", None, f"{text}: x", "tb")
            for row in claim(connection, worker)
        ]
        jobs.complete_jobs(connection, worker, ends)
    pages = [web.api("/failures", limit=1)]

    while (after := pages[-1]["next"]) is not None:
        pages.append(web.api("/failures", limit=1, after=after))

    causes = [(one["cause"][0], one["count"]) for page in pages for one in page["groups"]]
    assert causes == [("B", 3), ("D", 2), ("C", 1), ("A", 1)]
    assert {page["looked_at"] for page in pages} == {7}
    assert {page["truncated"] for page in pages} == {False}
    beyond = web.api("/failures", after="1.1")
    assert (beyond["groups"], beyond["looked_at"], beyond["next"]) == ([], 7, None)


def test_it_is_told_that_not_all_failures_were_looked_at(
    web: Site, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(connection)
    monkeypatch.setattr(answers, "MOST_LOOKED_AT", 1)

    assert web.api("/failures")["truncated"]


def test_nothing_is_told_without_the_token_but_that_the_server_is_well(dsn: str) -> None:
    with site(dsn, TOKEN) as web:
        for path in (f"{API}/queues", f"{API}/openapi.json", "/metrics"):
            refused = web.ask(path)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert web.ask(path, headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert web.ask("/healthz").json == {"status": "ok"}
        assert web.ask("/readyz").json == {"status": "ready"}


def test_the_description_says_whether_a_token_is_wanted(dsn: str) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with site(dsn) as free, site(dsn, TOKEN) as closed:
        open_one = free.api("/openapi.json")
        closed_one = closed.ask(f"{API}/openapi.json", headers=bearer).json

    assert open_one["security"] == []
    assert closed_one["security"] == [{"token": []}, {"session": []}]
    refusals = [set(each["paths"]["/jobs"]["get"]["responses"]) for each in (open_one, closed_one)]
    assert refusals == [{"200", "400", "403", "503"}, {"200", "400", "401", "503"}]


@pytest.mark.parametrize("text", ["15m", "900", "900.5", "0.25h", "15 m", "60000ms"])
def test_the_description_allows_each_duration_that_is_read(text: str) -> None:
    assert Span(60, 900.5).read(text)
    assert re.search(Span(60, 900.5).schema()["pattern"], text)


def test_those_who_wait_for_what_fails_do_not_try_it_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_asked: set[int] = set()
    tries: list[int] = []

    def noted_clock() -> float:
        now = monotonic()
        have_asked.add(threading.get_ident())
        return now

    def make() -> int:
        tries.append(1)
        eventually(lambda: len(have_asked) == 3)
        raise DatabaseUnavailable("gone")

    def ask(_: int) -> str:
        with pytest.raises(DatabaseUnavailable) as refused:
            kept.get()
        return str(refused.value)

    kept = Kept(make)
    monkeypatch.setattr(source_module, "monotonic", noted_clock)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(3))) == ["gone"] * 3
    assert len(tries) == 1


@pytest.mark.parametrize("path", ["/stats", "/stats/curves"])
def test_what_all_ask_alike_is_answered_once(
    web: Site, connection: Connection, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(source_module, "KEPT_SECONDS", 600)
    first = web.api(path, last="15m")
    end_jobs(connection)
    roll_up(connection)

    other = web.api(path, last="16m")

    assert web.api(path, last="15m") == first
    counted = other.get("points") or other["rows"]
    assert sum(each["succeeded"] for each in counted) == 1


def test_of_those_who_ask_alike_one_asks_and_another_question_has_its_own_answer() -> None:
    kept: KeptByKey[str, str] = KeptByKey(TIMES_ASKED_ALIKE)
    is_asked, may_answer = threading.Event(), threading.Event()
    made: list[str] = []

    def make(answer: str) -> str:
        made.append(answer)
        is_asked.set()
        assert may_answer.wait(10)
        return answer

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(kept.get, "all", lambda: make("first"))
        assert is_asked.wait(10)
        second = pool.submit(kept.get, "all", lambda: make("second"))
        assert kept.get("mail", lambda: "other") == "other"
        may_answer.set()
        assert (first.result(10), second.result(10)) == ("first", "first")
    assert made == ["first"]


def test_answers_are_kept_by_no_cache(web: Site) -> None:
    assert web.ask(f"{API}/queues").headers["cache-control"] == "no-store"


def test_without_the_database_it_lives_but_is_not_ready(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "WAIT_SECONDS", 0.2)
    nowhere = psycopg.conninfo.make_conninfo(dsn, port="1", password="hush-hush")
    with site(nowhere) as web:
        assert web.ask("/healthz").status == 200
        answer = web.ask("/readyz")
        assert answer.status == 503
        assert answer.json == {"error": "the database is not ready"}
        assert web.ask(f"{API}/queues").status == 503
        assert b"hush-hush" not in web.ask(f"{API}/jobs").body


def test_a_database_without_the_schema_is_not_ready(empty_dsn: str) -> None:
    with site(empty_dsn) as web:
        assert web.ask("/readyz").status == 503


def test_a_probe_of_a_locked_schema_leaves_no_statement_that_waits(
    dsn: str, connect_again: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "STATEMENT_SECONDS", 0.2)
    looking = connect_again()

    def waiting() -> int:
        row = looking.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    with site(dsn) as web, connect_again().transaction() as locking:
        locking.connection.execute("LOCK TABLE taskd.schema_version")
        assert web.ask("/readyz").status == 503
        eventually(lambda: waiting() == 0, seconds=5)


def test_a_statement_that_takes_too_long_is_cut_off(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "STATEMENT_SECONDS", 0.05)
    source = Source(dsn)
    try:
        with pytest.raises(StatementTimedOut), source.reading() as connection:
            connection.execute("SELECT pg_sleep(5)")
    finally:
        source.close()


def test_what_waits_is_counted_once_for_queues_and_stalls(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(asking: Connection) -> list[Backlog]:
        counted.append(asking.info.backend_pid)
        return fetch_backlog(asking)

    monkeypatch.setattr(source_module, "KEPT_SECONDS", 60.0)
    monkeypatch.setattr(source_module, "CONNECTIONS", 1)
    monkeypatch.setattr("taskd.store.statistics.fetch_backlog", count)
    add_jobs(connection, 3)
    let_time_pass(connection)
    source = Source(dsn)
    try:
        (stall,) = source.stalls()
        assert [one.queued for one in source.figures().backlog] == [stall.jobs] == [3]
    finally:
        source.close()
    assert len(counted) == 1


def test_what_answers_is_in_no_position_to_write(dsn: str) -> None:
    source = Source(dsn)
    try:
        with (
            pytest.raises(DatabaseUnavailable, match="read-only transaction"),
            source.reading() as connection,
        ):
            add_host(connection)
    finally:
        source.close()
