"""Orders to a running server, over HTTP, on a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from taskd.store import choice, hosts, jobs, look, paging, queues
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, State
from taskd.store.schedules import find_schedule
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from taskd.web import job_orders
from taskd.web.access import Access
from tests.commands import taskd_json
from tests.store.makers import add_host, add_jobs, add_worker, claim, fence_of, places
from tests.store.serving import OPERATORS, READERS, Served, served
from tests.store.test_statistics import succeed
from tests.store.timetables import declare, nightly, settle

pytestmark = pytest.mark.one_server


@pytest.fixture
def web(dsn: str) -> Iterator[Served]:
    with served(dsn) as found:
        yield found


def fail_jobs(connection: Connection, count: int, error: str = "KeyError: 'x'") -> list[int]:
    """So many jobs have failed; their ids."""
    worker = add_worker(connection)
    add_jobs(connection, count)
    rows = claim(connection, worker)
    ends = [JobEnd(row[0], fence_of(row), 0.5, "f", None, error, "tb") for row in rows]
    jobs.complete_jobs(connection, worker, ends)
    return [row[0] for row in rows]


def outcome(matched: int, done: int, *, is_preview: bool = False) -> dict[str, Any]:
    return {
        "matched": matched,
        "done": done,
        "is_preview": is_preview,
        "more": False,
        "next_before": None,
    }


def state(connection: Connection, job: int) -> State:
    found = look.fetch_job(connection, job)
    assert found is not None
    return found.state


def test_a_preview_tells_how_many_and_does_nothing(web: Served, connection: Connection) -> None:
    ids = add_jobs(connection, 3, queue="mail")
    add_jobs(connection, 2)

    told = web.order("/jobs/cancel", filter={"queue": "mail"}, preview=True)

    assert told == outcome(3, 0, is_preview=True)
    assert {state(connection, job) for job in ids} == {State.QUEUED}
    assert web.get("/audit")["entries"] == []


def test_jobs_are_cancelled_by_filter_and_by_id(web: Served, connection: Connection) -> None:
    mail = add_jobs(connection, 3, queue="mail")
    other, done = add_jobs(connection, 2)

    assert web.order("/jobs/cancel", filter={"queue": "mail"}) == outcome(3, 3)
    assert web.order("/jobs/cancel", ids=[other, 4711, mail[0]]) == outcome(1, 1)

    assert {state(connection, job) for job in (*mail, other)} == {State.CANCELLED}
    assert state(connection, done) is State.QUEUED


def test_a_job_that_runs_is_told_to_end(web: Served, connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection, 1)
    claim(connection, worker)

    assert web.order("/jobs/cancel", filter={"worker": worker}) == outcome(1, 1)

    assert state(connection, job) is State.CANCELLING


def test_failed_jobs_are_requeued_as_new_ones(web: Served, connection: Connection) -> None:
    failed = fail_jobs(connection, 3)

    told = web.order("/jobs/requeue", filter={"state": "failed", "cause": "KeyError: '…'"})

    assert told == outcome(3, 3)
    queued = web.get("/jobs", state="queued")["jobs"]
    assert sorted(job["args"] for job in queued) == [[0], [1], [2]]
    assert {state(connection, job) for job in failed} == {State.FAILED}


def test_what_was_requeued_is_left_out_by_a_filter_and_not_by_id(
    web: Served, connection: Connection
) -> None:
    (job,) = fail_jobs(connection, 1)
    failed = {"state": "failed"}

    assert web.order("/jobs/requeue", filter=failed)["done"] == 1
    assert web.order("/jobs/requeue", filter=failed)["matched"] == 0
    assert web.order("/failures/requeue", cause="KeyError: '…'")["matched"] == 0
    assert web.order("/jobs/requeue", ids=[job])["done"] == 1
    assert web.get(f"/jobs/{job}")["requeued_as"] == job + 2
    assert web.get("/failures")["groups"] == []


def test_waiting_jobs_are_moved(web: Served, connection: Connection) -> None:
    ids = add_jobs(connection, 2)

    assert web.order("/jobs/move", filter={"task": "shop.sync"}, to="slow") == outcome(2, 2)

    assert {job.queue for job in look.fetch_jobs(connection, ids)} == {"slow"}


def test_ended_jobs_are_deleted_with_what_they_left_and_others_are_not(
    web: Served, connection: Connection
) -> None:
    worker = add_worker(connection)
    gone, kept = add_jobs(connection, 2)
    succeed(connection, worker, claim(connection, worker, 1))

    assert web.order("/jobs/delete", ids=[gone, kept]) == outcome(1, 1)

    assert places(connection, gone) == []
    assert places(connection, kept) == ["queued"]


def test_what_is_more_than_one_order_takes_is_told_with_where_to_go_on(
    web: Served, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_orders, "MOST_JOBS", 2)
    ids = add_jobs(connection, 5)

    first = web.order("/jobs/move", filter={"queue": "default"}, to="slow")
    rest = web.order(
        "/jobs/move", filter={"queue": "default", "before": first["next_before"]}, to="slow"
    )

    assert first == outcome(2, 2) | {"more": True, "next_before": ids[3]}
    assert (rest["done"], rest["more"]) == (2, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/jobs/cancel", {"filter": {"queue": "old"}}),
        ("/jobs/move", {"filter": {"queue": "old"}, "to": "slow"}),
        ("/queues/old/purge", {}),
        ("/queues/old/move", {"to": "slow"}),
        ("/queues/old/purge", {"preview": True}),
        ("/jobs/requeue", {"filter": {"error": "Old"}}),
        ("/jobs/delete", {"filter": {"error": "Old"}}),
        ("/failures/requeue", {"cause": "OldError"}),
    ],
)
def test_whoever_repeats_an_order_from_where_it_looked_last_comes_to_the_end(
    web: Served,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: dict[str, Any],
) -> None:
    """Also if a look has found nothing in its time."""
    add_jobs(connection, 1, queue="old")
    fail_jobs(connection, 1, "OldError")
    fail_jobs(connection, 8, "KeyError: 'x'")
    add_jobs(connection, 8)
    monkeypatch.setattr(choice, "LOOK_SECONDS", -1.0)
    for bound in ("MOST_LOOKED_AT", "MOST_PARSED"):
        monkeypatch.setattr(paging, bound, 3)

    told = [web.order(path, **body)]
    while (before := told[-1]["next_before"]) is not None:
        assert told[-1]["more"]
        within = {"filter": {**body["filter"], "before": before}} if "filter" in body else {}
        told.append(web.order(path, **{**body, **(within or {"before": before})}))

    found = [answer["matched"] for answer in told]
    assert (found[0], sum(found)) == (0, 1)
    assert len(told) < 9
    assert not told[-1]["more"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/jobs/cancel", {}, "give either ids or a filter"),
        ("/jobs/cancel", {"ids": [1], "filter": {"queue": "a"}}, "give either ids or a filter"),
        ("/jobs/cancel", {"filter": {}}, "filter: says nothing: give at least one of state,"),
        ("/jobs/cancel", {"filter": {"queue": None}}, "filter: says nothing but `before`"),
        ("/jobs/cancel", {"filter": {"before": 5}}, "filter: says nothing but `before`"),
        ("/jobs/cancel", {"filter": {"colour": "red"}}, "filter: there is no 'colour' here"),
        ("/jobs/cancel", {"filter": {"state": "failed"}}, "'failed' jobs cannot be cancelled"),
        ("/jobs/cancel", {"filter": {"args": {}}}, "filter: args: is no JSON array"),
        ("/jobs/cancel", {"filter": {"task": "a\0"}}, "no text in the database can have"),
        ("/jobs/cancel", {"ids": [True]}, "ids: is no whole number"),
        ("/jobs/cancel", {"ids": []}, "ids: is no array of 1 to 10000 ids"),
        ("/jobs/cancel", {"ids": [1], "preview": 1}, "preview: is neither true nor false"),
        ("/jobs/move", {"ids": [1]}, "to is missing: The queue to wait in."),
        ("/jobs/move", {"ids": [1], "to": "a,b"}, "to: is no name for a queue: commas"),
        ("/jobs/move", {"ids": [1], "to": 5}, "to: is no string"),
        ("/queues/a@b/pause", {}, "@ parts a queue from a version"),
        ("/failures/note", {"cause": "x"}, "note is missing"),
        ("/jobs/cancel", [], "the body is no JSON object"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_done(
    web: Served, connection: Connection, path: str, body: Any, words: str
) -> None:
    add_jobs(connection, 1)

    reply = web.ask(path, body)

    assert reply.status == 400
    assert words in reply.json["error"]
    assert web.get("/jobs", state="queued")["jobs"]


def test_a_queue_is_paused_resumed_moved_and_purged(web: Served, connection: Connection) -> None:
    add_jobs(connection, 2, queue="a/b")
    (running,) = add_jobs(connection, 1, queue="a/b", priority=9)
    claim(connection, add_worker(connection), 1, ("a/b", 9, 0))

    assert web.order("/queues/a/b/pause") == {"changed": True}
    assert web.order("/queues/a/b/pause") == {"changed": False}
    assert web.order("/queues/a/b/resume") == {"changed": True}
    assert web.order("/queues/a/b/move", to="c", preview=True)["matched"] == 2
    assert web.order("/queues/a/b/move", to="c") == outcome(2, 2)
    assert web.order("/queues/c/purge") == outcome(2, 2)

    assert state(connection, running) is State.RUNNING
    assert queues.resume_queue(connection, "a/b") is False


def test_a_schedule_is_run_paused_and_resumed(web: Served, connection: Connection) -> None:
    declare(connection, nightly())
    settle(connection)

    job = web.order("/schedules/nightly/run")
    busy = web.refused("/schedules/nightly/run")
    paused = web.order("/schedules/nightly/pause")

    assert state(connection, job["job"]) is State.QUEUED
    assert busy == (409, f"job {job['job']} of nightly has not ended, and its overlap is skip")
    assert paused == {"changed": True}
    assert web.order("/schedules/nightly/resume") == {"changed": True}
    row = find_schedule(connection, "nightly")
    assert row is not None
    assert not row.paused
    assert web.refused("/schedules/nihgtly/run") == (
        404,
        "no schedule is named nihgtly: did you mean nightly?",
    )


def test_failures_are_requeued_acknowledged_muted_and_noted(
    web: Served, connection: Connection
) -> None:
    fail_jobs(connection, 2)
    cause = "KeyError: '…'"

    assert web.order("/failures/requeue", cause=cause, preview=True)["matched"] == 2
    assert web.order("/failures/requeue", cause=cause, task="shop.other")["done"] == 0
    assert web.order("/failures/requeue", cause=cause)["done"] == 2
    assert web.get("/failures")["groups"] == []
    fail_jobs(connection, 1)
    web.order("/failures/acknowledge", cause=cause, task="shop.sync")
    web.order("/failures/note", cause=cause, task="shop.sync", note="the shop knows")
    web.order("/failures/mute", cause=cause)

    (group,) = web.get("/failures")["groups"]
    assert (group["is_acknowledged"], group["muted"]) == (True, False)
    assert group["note"] == "the shop knows"
    web.order("/failures/mute", cause=cause, task="shop.sync")
    web.order("/failures/acknowledge", cause=cause, task="shop.sync", undo=True)
    (group,) = web.get("/failures")["groups"]
    assert (group["is_acknowledged"], group["muted"]) == (False, True)


def test_what_failed_after_it_was_acknowledged_is_not(web: Served, connection: Connection) -> None:
    fail_jobs(connection, 1)
    web.order("/failures/acknowledge", cause="KeyError: '…'")
    fail_jobs(connection, 1)

    (group,) = web.get("/failures")["groups"]

    assert group["acknowledged_at"] is not None
    assert not group["is_acknowledged"]


def test_every_order_is_noted_with_who_gave_it(web: Served, connection: Connection) -> None:
    ids = add_jobs(connection, 3)
    web.order("/queues/mail/pause")
    web.order("/jobs/cancel", filter={"task": "shop.sync"})
    web.order("/jobs/delete", ids=ids)
    web.refused("/schedules/nothing/run")

    deleted, cancelled, paused = web.get("/audit")["entries"]

    assert (paused["action"], paused["parameters"]) == ("queues.pause", {"queue": "mail"})
    assert (cancelled["action"], cancelled["count"]) == ("jobs.cancel", 3)
    assert cancelled["parameters"] == {"filter": {"task": "shop.sync"}}
    assert (deleted["role"], deleted["address"]) == ("operator", "127.0.0.1")
    assert deleted["parameters"] == {"ids": ids}
    page = web.get("/audit", limit=2)
    assert page["next_before"] == cancelled["id"]
    assert web.get("/audit", before=page["next_before"])["entries"] == [paused]


def test_a_long_list_of_ids_is_noted_by_its_beginning(web: Served) -> None:
    web.order("/jobs/cancel", ids=list(range(1, 10_001)))

    ((parameters),) = [entry["parameters"] for entry in web.get("/audit")["entries"]]

    assert (len(parameters["ids"]), parameters["ids_count"]) == (100, 10_000)


def test_an_order_that_fails_leaves_neither_a_change_nor_a_note(
    web: Served, connection: Connection
) -> None:
    connection.execute("ALTER TABLE taskd.audit_log RENAME TO lost")
    ids = add_jobs(connection, 1)

    assert web.ask("/jobs/cancel", {"ids": ids}).status == 500

    assert state(connection, ids[0]) is State.QUEUED
    web.told.clear()


def test_a_reader_sees_all_and_orders_nothing(web: Served, connection: Connection) -> None:
    ids = add_jobs(connection, 1)

    assert web.ask("/jobs", token=READERS).status == 200
    assert web.ask("/audit", token=READERS).status == 200
    refused = web.ask("/jobs/cancel", {"ids": ids}, token=READERS)

    assert refused.status == 403
    assert state(connection, ids[0]) is State.QUEUED
    assert web.ask("/jobs/cancel", {"ids": ids}, token=None).status == 401


def test_a_browser_shows_its_token_once(web: Served, connection: Connection) -> None:
    ids = add_jobs(connection, 1)
    page = {"Origin": f"http://127.0.0.1:{web.port}"}
    assert web.ask("/session", token=None).json == {
        "role": "none",
        "needs_token": True,
        "csrf": "",
    }

    begun = web.ask("/session", {"token": OPERATORS}, token=None, headers=page)
    page["Cookie"] = begun.headers["set-cookie"].partition(";")[0]
    page["X-Taskd-Csrf"] = begun.json["csrf"]

    assert web.ask("/session", token=None, headers=page).json == begun.json
    assert begun.json["role"] == "operator"
    assert web.ask("/jobs", token=None, headers=page).status == 200
    forged = {**page, "Origin": "http://evil.example"}
    assert web.ask("/jobs/cancel", {"ids": ids}, token=None, headers=forged).status == 403
    assert web.ask("/jobs/cancel", {"ids": ids}, token=None, headers=page).json == outcome(1, 1)
    ended = web.ask("/session", method="DELETE", token=None, headers=page)
    assert ended.json["role"] == "none"
    assert web.ask("/jobs", token=None, headers=page).status == 401


def test_without_a_token_a_page_of_this_machine_orders_with_its_proof(
    dsn: str, connection: Connection
) -> None:
    ids = add_jobs(connection, 1)
    with served(dsn, Access(None)) as web:
        told = web.ask("/session", token=None).json
        page = {"Origin": f"http://127.0.0.1:{web.port}", "X-Taskd-Csrf": told["csrf"]}

        assert (told["role"], told["needs_token"]) == ("operator", False)
        assert web.ask("/jobs/cancel", {"ids": ids}, token=None).status == 403
        assert web.ask("/jobs/cancel", {"ids": ids}, token=None, headers=page).status == 200


def test_signing_in_and_out_is_noted_with_whose_token_it_was(
    web: Served, connection: Connection
) -> None:
    page = {"Origin": f"http://127.0.0.1:{web.port}"}
    begun = web.ask("/session", {"token": READERS}, token=None, headers=page)
    page["Cookie"] = begun.headers["set-cookie"].partition(";")[0]
    page["X-Taskd-Csrf"] = begun.json["csrf"]
    web.ask("/session", method="DELETE", token=None, headers=page)
    web.ask("/session", {"token": "guessed-0123456789"}, token=None, headers=page)

    ended, first = web.get("/audit")["entries"]

    assert (first["action"], first["role"], first["address"]) == (
        "session.begin",
        "reader",
        "127.0.0.1",
    )
    assert (ended["action"], ended["role"]) == ("session.end", "reader")


def test_a_leak_is_hunted_where_its_task_is_offered(web: Served, connection: Connection) -> None:
    host = add_host(connection)
    add_worker(connection, host)
    hosts.publish_tasks(connection, host, "io", [describe("shop.sync", add_jobs, DEFAULTS)])

    hunted = web.order("/leaks/hunt", task="shop.sync")

    assert hunted == {"canaries": [{"pool": "io", "host": "here"}]}
    assert web.refused("/leaks/hunt", task="shop.other")[0] == 409
    (entry,) = web.get("/audit")["entries"]
    assert (entry["action"], entry["count"]) == ("leaks.hunt", 1)


def test_slots_are_previewed_by_name_expression_or_distance(
    web: Served, connection: Connection
) -> None:
    declare(connection, nightly())
    settle(connection)
    clock = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2030-03-30T12:00Z"}

    told = web.get("/schedules/preview", **clock, count=2)

    assert told["timezone"] == "Europe/Berlin"
    assert [slot["utc"] for slot in told["slots"]] == [
        "2030-03-31T01:00:00+00:00",
        "2030-04-01T00:30:00+00:00",
    ]
    assert told["slots"][0]["note"].endswith("the time itself is skipped that day")
    assert len(web.get("/schedules/preview", name="nightly")["slots"]) == 10
    assert len(web.get("/schedules/preview", every="1h", count=3)["slots"]) == 3
    assert web.ask("/schedules/preview", name="x").status == 404
    assert web.ask("/schedules/preview").status == 400
    assert web.ask("/schedules/preview", cron="x").status == 400
    assert web.ask("/schedules/preview", every="1h", after="9999-12-31T23:59Z").status == 400


@pytest.mark.parametrize(
    "spec", [{"moon": "full"}, {"cron": "0 3 * * *", "timezone": "Moon/Tranquility"}]
)
def test_a_schedule_of_a_newer_daemon_is_told_with_the_slot_that_is_stored(
    web: Served, connection: Connection, dsn: str, spec: dict[str, str]
) -> None:
    declare(connection, nightly(), nightly("other"))
    settle(connection)
    connection.execute(
        "UPDATE taskd.schedule_definition SET spec = %s WHERE name = 'other'", (json.dumps(spec),)
    )

    known, other = web.get("/schedules")
    listed = taskd_json("--database", dsn, "schedules", "--json")
    preview = web.ask("/schedules/preview", name="other")
    web.order("/schedules/other/pause")

    assert len(known["next_slots"]) == len(listed[0]["next_slots"]) == 3
    assert other["next_slots"] == listed[1]["next_slots"] == [other["next_at"]]
    assert preview.status == 400
    assert preview.json["error"].startswith("name: other is not known here: ")
    assert web.refused("/schedules/other/resume")[0] == 409
