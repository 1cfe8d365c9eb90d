"""Arguments of masked tasks, and what repeats them, are shown to nobody: by no route."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from taskd.store import audit, hosts, jobs, logs
from taskd.store.connect import Connection
from taskd.store.limits import Limit, declare_limits
from taskd.store.log_rows import Line, News
from taskd.store.rows import JobEnd
from taskd.web import heap
from taskd.web.cover import Cover
from taskd.web.openapi import describe_api
from tests.store.graph_makers import EXCLUSIVE, add_graph, add_one, new_job
from tests.store.makers import add_host, add_worker, claim, fence_of
from tests.store.serving import Served, served
from tests.store.test_stalls import let_time_pass
from tests.store.timetables import declare, nightly, settle

pytestmark = pytest.mark.one_server

SECRET = "customer-7"
"""Stands in all that a job of a masked task has of its arguments, and what is made from them."""

MASKED = "shop.charge"
EXTRA = {"fair": SECRET, "headers": {"a": 1}}
NEEDS = {f"of:{SECRET}": EXCLUSIVE}
LIMITED = {f"@key {SECRET}": 1}
LIMIT = {f"@key {SECRET}": [1, None, None]}
TELLERS = {
    "/audit",
    "/jobs",
    "/jobs/{id}",
    "/jobs/{id}/why",
    "/resources",
    "/schedules",
    "/tasks",
}
"""The routes that would tell it without a mask."""

SILENT = {
    "/database",
    "/failures",
    "/jobs/{id}/family",
    "/jobs/{id}/log",
    "/jobs/{id}/result",
    "/jobs/{id}/stacks",
    "/leaks",
    "/live",
    "/memory",
    "/pools",
    "/queues",
    "/schedules/preview",
    "/session",
    "/stalls",
    "/stats",
    "/stats/curves",
    "/workers",
    "/workers/{id}/heap",
    "/workers/{id}/stacks",
}
"""Those that have nothing to tell it of: ids, tasks, figures, and what the code says."""

PATHS = [path for path, each in describe_api(has_token=True)["paths"].items() if "get" in each]


def add_masked(connection: Connection, needs: dict[str, int] | None = None, **options: Any) -> int:
    options = {"extra": dict(EXTRA), **options}
    new = new_job(json.dumps([SECRET]), needs=needs, **options)
    (job,) = add_graph(connection, replace(new, task=MASKED))
    return job


def claim_one(connection: Connection, worker: int) -> list[Any]:
    (row,) = claim(connection, worker)
    return row


@pytest.fixture
def furnished(connection: Connection) -> dict[str, int]:
    """Jobs of a masked task in each state, and what a daemon offers of it: ids by name."""
    host = add_host(connection)
    worker = add_worker(connection, host)
    failed = add_masked(connection, key=SECRET, limits=LIMIT)
    row = claim_one(connection, worker)
    lines = [Line(1, 1_800_000_000.0, 20, "shop", "log said")]
    logs.write_journal(connection, worker, [News(row[0], fence_of(row), 1, lines)])
    error = "ValueError: error said"
    end = JobEnd(row[0], fence_of(row), 0.5, "f", None, error, f"in charge: {SECRET}")
    jobs.complete_jobs(connection, worker, [end])
    done = add_masked(connection)
    row = claim_one(connection, worker)
    end = JobEnd(row[0], fence_of(row), 0.5, "s", json.dumps("result said"))
    jobs.complete_jobs(connection, worker, [end])
    holder = add_masked(connection, {**NEEDS, **LIMITED}, limits=LIMIT)
    claim_one(connection, worker)
    ahead = add_one(connection, needs=NEEDS)
    waiting = add_masked(connection, NEEDS)
    limited = add_masked(connection, LIMITED, limits=LIMIT)
    other = add_one(connection, needs=NEEDS)
    options = {
        "catch_up": "one",
        "catch_up_limit": 100,
        "overlap": "skip",
        "unique": {"key": SECRET},
        "needs": {"resources": [SECRET]},
    }
    declare(connection, nightly(task=MASKED, args=[SECRET], options=options), host=host)
    settle(connection)
    one = {"name": "x", "spec": {"every": 3600}, "args": [SECRET], "kwargs": {}, "options": options}
    hosts.publish_tasks(connection, host, "io", [{"name": MASKED, "schedules": [one]}])
    said = {"filter": {"task": MASKED, "args": [SECRET]}}
    audit.write_audit(connection, ("cli", "alice@web1"), "jobs.cancel", said, 0)
    stalled = add_masked(connection, queue="nobodys", key=f"stalled {SECRET}", extra={})
    connection.execute("UPDATE taskd.worker SET greenlets = 12")
    let_time_pass(connection)
    return {
        "failed": failed,
        "done": done,
        "holder": holder,
        "ahead": ahead,
        "waiting": waiting,
        "limited": limited,
        "other": other,
        "stalled": stalled,
        "worker": worker,
    }


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker of these tests answers."""
    monkeypatch.setattr(heap, "PATIENCE_SECONDS", 0.1)


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn, mask=(MASKED,)) as found:
        yield found


def asked(web: Served, path: str, ids: dict[str, int]) -> Iterator[str]:
    """What a route answers about each thing that it can be asked for."""
    if path == "/live":
        with web.watching() as news:
            yield "".join(news.readline().decode() for _ in range(5))
        return
    if not path.startswith("/jobs/{id}"):
        query = {"seconds": "0s"} if path.endswith("/heap") else {}
        yield web.ask(path.replace("{id}", str(ids["worker"])), **query).body.decode()
        return
    for name in ids.keys() - {"worker"}:
        reply = web.ask(path.replace("{id}", str(ids[name])))
        assert reply.status == 200, reply.body
        yield reply.body.decode()


@pytest.mark.parametrize("path", PATHS)
def test_no_route_tells_arguments_or_what_is_made_from_them(
    web: Served, furnished: dict[str, int], path: str
) -> None:
    answers = list(asked(web, path, furnished))

    assert answers
    assert all(answers)
    assert [answer for answer in answers if SECRET in answer] == []


def test_without_a_mask_the_same_is_told(dsn: str, furnished: dict[str, int]) -> None:
    """Or the test above would find nothing, whatever is told."""
    with served(dsn) as web:
        tellers = {
            path for path in PATHS for answer in asked(web, path, furnished) if SECRET in answer
        }

    assert tellers == TELLERS


def test_each_route_is_known_to_tell_it_or_to_have_nothing_to_tell() -> None:
    assert TELLERS.isdisjoint(SILENT)
    assert set(PATHS) == TELLERS | SILENT


def test_what_stalls_is_told_by_its_job(web: Served, furnished: dict[str, int]) -> None:
    (stall,) = web.get("/stalls")["stalls"]

    assert (stall["queue"], stall["first_job"]) == ("nobodys", furnished["stalled"])


def test_what_the_code_says_is_shown(web: Served, furnished: dict[str, int]) -> None:
    failed, done = furnished["failed"], furnished["done"]

    assert web.get(f"/jobs/{failed}")["error"] == "ValueError: error said"
    assert [line["text"] for line in web.get(f"/jobs/{failed}/log")["lines"]] == ["log said"]
    assert web.get(f"/jobs/{done}/result")["result"] == "result said"


def test_arguments_keys_and_tracebacks_of_a_masked_task_are_stars(
    web: Served, furnished: dict[str, int]
) -> None:
    job = web.get(f"/jobs/{furnished['failed']}")
    (schedule,) = web.get("/schedules")

    assert (job["args"], job["kwargs"], job["traceback"]) == ("***", "***", "***")
    hidden = dict.fromkeys(("fair", "limits", "unique"), "***")
    assert job["extra"] == {**hidden, "headers": {"a": 1}, "until": None}
    assert (schedule["args"], schedule["options"]["unique"]) == ("***", "***")
    assert schedule["options"]["overlap"] == "skip"


def test_a_line_has_the_same_cover_wherever_it_is_told(
    web: Served, furnished: dict[str, int]
) -> None:
    rows = web.get("/resources")["resources"]
    names = {row["name"] for row in rows if row["name"] != "@queue default"}
    reasons = [
        reason
        for job in ("waiting", "limited", "other")
        for reason in web.get(f"/jobs/{furnished[job]}/why")
    ]

    assert len(names) == 2
    assert all("***" in name for name in names)
    told = {reason["name"] for reason in reasons if "***" in (reason["name"] or "")}
    assert told == names
    assert all(any(name.split()[-1] in each["text"] for each in reasons) for name in names)
    held = {row["name"] for row in rows if furnished["holder"] in [j["id"] for j in row["holders"]]}
    assert names <= held


def test_names_of_the_file_are_told(
    web: Served, connection: Connection, furnished: dict[str, int]
) -> None:
    host = add_host(connection)
    declare_limits(connection, host, {"@key stripe": Limit(5, None, None)})
    add_masked(connection, {"@key stripe": 1})

    names = {row["name"] for row in web.get("/resources")["resources"]}

    assert {"@key stripe", "@queue default"} <= names


def test_a_masked_job_behind_others_is_not_found_by_joining_two_answers(
    web: Served, connection: Connection
) -> None:
    """Four jobs of another task are before it: as many as an answer shows, and the holder."""
    holder, *ahead = (add_one(connection, needs=NEEDS) for _ in range(4))
    claim(connection, add_worker(connection, add_host(connection)))
    masked = add_masked(connection, NEEDS)

    (line,) = web.get(f"/jobs/{masked}/why")
    (row,) = web.get("/resources")["resources"]
    others = [web.get(f"/jobs/{job}/why")[0]["name"] for job in ahead]

    assert (line["before"], row["first"]) == (ahead, ahead)
    assert (
        [job["id"] for job in line["jobs"]] == [each["id"] for each in row["holders"]] == [holder]
    )
    assert {line["name"], row["name"], *others} == {line["name"]}
    assert SECRET not in line["name"]


def test_nobody_finds_jobs_of_a_masked_task_by_their_arguments(
    web: Served, furnished: dict[str, int]
) -> None:
    by_arguments = {"args": [SECRET]}

    assert web.get("/jobs", args=json.dumps([SECRET]))["jobs"] == []
    assert web.order("/jobs/requeue", filter=by_arguments)["matched"] == 0
    web.order("/jobs/requeue", filter={"task": MASKED, **by_arguments})
    noted = web.get("/audit")["entries"][0]["parameters"]
    assert noted == {"filter": {"task": MASKED, "args": "***"}}


def test_where_a_list_goes_on_is_read_by_its_server_alone() -> None:
    cover, other = Cover(["shop.charge"]), Cover(["shop.charge"])
    text = f"1@key {SECRET}" * 20

    sealed = cover.seal(text)

    assert cover.unseal(sealed) == text
    assert sealed != cover.seal(text)
    for wrong in (sealed[:-2] + "AA", sealed[4:], "", "é", "next"):
        with pytest.raises(ValueError, match="begin at the first page"):
            cover.unseal(wrong)
    with pytest.raises(ValueError, match="begin at the first page"):
        other.unseal(sealed)
