"""The further answers: logs, reasons, results, the database, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from taskd.store import ends, jobs, logs, memory, queues
from taskd.store.connect import Connection
from taskd.store.log_rows import Line, News
from taskd.store.memory import MemoryReading
from taskd.store.rows import JobEnd
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of
from tests.store.serving import Served, served

pytestmark = pytest.mark.one_server


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn) as found:
        yield found


def test_a_log_is_read_on_from_where_it_was_left(web: Served, connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 1)
    (row,) = claim(connection, worker)
    job, fence = row[0], fence_of(row)

    def say(*texts: str, start: int) -> None:
        lines = [Line(start + n, 1_800_000_000.0, 20, "shop", text) for n, text in enumerate(texts)]
        logs.write_journal(connection, worker, [News(job, fence, 1, lines)])

    say("one", "two", start=1)
    first = web.get(f"/jobs/{job}/log", limit=1)
    second = web.get(f"/jobs/{job}/log", after=first["next_after"])
    nothing = web.get(f"/jobs/{job}/log", after=second["next_after"])
    say("three", start=3)
    third = web.get(f"/jobs/{job}/log", after=nothing["next_after"])

    assert [line["text"] for line in first["lines"]] == ["one"]
    assert (first["more"], second["more"], nothing["lines"]) == (True, False, [])
    assert [line["text"] for line in second["lines"] + third["lines"]] == ["two", "three"]
    assert third["is_final"] is False
    assert web.get(f"/jobs/{job}/log", level="error")["lines"] == []


def test_why_a_job_waits_is_told(web: Served, connection: Connection) -> None:
    (job,) = add_jobs(connection, 1)
    queues.pause_queue(connection, "default")

    reasons = web.get(f"/jobs/{job}/why")

    assert [reason["kind"] for reason in reasons] == ["paused", "no_worker"]


def test_a_result_is_told_and_whether_it_is_kept(web: Served, connection: Connection) -> None:
    worker = add_worker(connection)
    add_jobs(connection, 1)
    (row,) = claim(connection, worker)
    job = row[0]
    before = web.get(f"/jobs/{job}/result")

    jobs.complete_jobs(
        connection, worker, [JobEnd(job, fence_of(row), 0.1, "s", result='{"n": 1}')]
    )

    assert before == {"state": "running", "is_kept": False, "result": None}
    assert web.get(f"/jobs/{job}/result") == {
        "state": "succeeded",
        "is_kept": True,
        "result": {"n": 1},
    }


@pytest.mark.parametrize("what", ["log", "why", "result"])
def test_what_an_unknown_job_has_left_is_not_there(web: Served, what: str) -> None:
    assert web.ask(f"/jobs/4711/{what}").status == 404


def test_who_holds_the_cleanup_back_is_told_with_its_pid(
    web: Served, connection: Connection, connect_again: Callable[[], Connection]
) -> None:
    holder = connect_again()
    with holder.transaction():
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT 1")

        told = web.get("/database")

    oldest = told["transactions"][0]
    assert (oldest["pid"], oldest["state"]) == (holder.info.backend_pid, "idle in transaction")
    tables = {table["name"]: table for table in told["tables"]}
    assert tables["queued"]["bytes"] > 0
    assert any(table["partition_of"] == "history" for table in told["tables"])
    assert told["server"]["max_connections"] > told["server"]["connections"] > 0
    assert sum(each["connections"] for each in told["connections"]) > 0


def test_memory_is_told_with_the_workers_that_ended_and_why(
    web: Served, connection: psycopg.Connection[object]
) -> None:
    host = add_host(connection)
    worker = add_worker(connection, host)
    reading = MemoryReading(
        worker=worker,
        pid=1,
        role="worker",
        pool="io",
        slot=0,
        jobs=5,
        bytes=1000,
        children=0,
        low=900,
        high=1100,
        live=0,
    )
    memory.write_memory(connection, host, [reading])
    connection.execute("UPDATE taskd.worker SET ended_at = now() WHERE id = %s", (worker,))
    ends.note_end(connection, worker, "it has done 5 jobs")
    ends.note_end(connection, worker, "exited with status 0")

    told = web.get("/memory", pool="io")

    assert [(point["bytes"], point["worker"]) for point in told["points"]] == [(1000, worker)]
    assert [(end["worker"], end["reason"]) for end in told["ends"]] == [
        (worker, "it has done 5 jobs")
    ]
    nothing = {"points": [], "since": None, "truncated": False, "ends": []}
    assert web.get("/memory", worker=worker + 1) == nothing


def test_memory_that_is_cut_says_so_and_since_when_it_is_told(
    web: Served, connection: psycopg.Connection[object]
) -> None:
    sizes = {"bytes": 1000, "children": 0, "low": 900, "high": 1100, "live": 0}
    host = add_host(connection)
    for _ in range(3):
        reading = MemoryReading(worker=1, pid=1, role="worker", pool="io", slot=0, jobs=5, **sizes)
        memory.write_memory(connection, host, [reading])

    all_of_it, some = web.get("/memory", limit=3), web.get("/memory", limit=2)

    assert (all_of_it["truncated"], some["truncated"]) == (False, True)
    assert some["points"] == all_of_it["points"][1:]
    assert [one["since"] for one in (all_of_it, some)] == [
        one["points"][0]["at"] for one in (all_of_it, some)
    ]
