"""Orders by the command line: they can do what a page can, and stand in the audit log."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskd.cli.memory import WIDTH, curve
from taskd.cli.noting import whoever
from taskd.store import bulk, hosts, memory
from taskd.store.audit import list_audit
from taskd.store.connect import Connection
from taskd.store.memory import MemoryReading
from taskd.tasks.options import DEFAULTS
from taskd.tasks.publish import describe
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_host, add_jobs, add_worker
from tests.store.serving import served
from tests.store.test_web_orders import fail_jobs
from tests.store.timetables import declare, end, nightly, settle

pytestmark = pytest.mark.one_server

CAUSE = "KeyError: '…'"


def noted(connection: Connection) -> list[tuple[str, dict[str, Any], int]]:
    """The orders in the log, the oldest first."""
    entries = list_audit(connection, None, 100)[::-1]
    assert {(entry.role, entry.address) for entry in entries} <= {("cli", whoever())}
    return [(entry.action, entry.parameters, entry.count) for entry in entries]


def ordered(dsn: str, *words: str) -> None:
    said = run_taskd("--database", dsn, *words)
    assert said.exit_code == 0, said.output


def test_orders_to_jobs_are_noted(dsn: str, connection: Connection) -> None:
    ids = add_jobs(connection, 3)
    add_jobs(connection, 2, queue="mail")

    ordered(dsn, "jobs", "move", str(ids[0]), "--to", "slow")
    ordered(dsn, "jobs", "move", "--queue", "mail", "--to", "slow")
    ordered(dsn, "jobs", "cancel", str(ids[1]))
    ordered(dsn, "jobs", "cancel", "--queue", "slow", "--args", "[0]")
    ordered(dsn, "jobs", "purge", "--older-than", "0s", "--queue", "slow")

    assert noted(connection) == [
        ("jobs.move", {"ids": [ids[0]], "to": "slow"}, 1),
        ("jobs.move", {"filter": {"queue": "mail"}, "to": "slow"}, 2),
        ("jobs.cancel", {"ids": [ids[1]]}, 1),
        ("jobs.cancel", {"filter": {"args": [0], "queue": "slow"}}, 2),
        ("jobs.purge.begin", {"older_than": 0.0, "queue": "slow"}, 0),
        ("jobs.purge", {"older_than": 0.0, "queue": "slow"}, 2),
    ]


def test_a_purge_that_breaks_off_is_noted_as_begun(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: Connection, *_: object) -> Iterator[tuple[float, int]]:
        yield 0.5, 7
        connection.close()
        raise psycopg.OperationalError("the network is away")

    monkeypatch.setattr(bulk, "purge_jobs", broken)

    said = run_taskd("--database", dsn, "jobs", "purge", "--older-than", "1h")

    assert said.exit_code != 0
    assert "the network is away" in said.stderr
    assert noted(connection) == [("jobs.purge.begin", {"older_than": 3600.0}, 0)]


def test_requeues_are_noted(dsn: str, connection: Connection) -> None:
    ids = fail_jobs(connection, 3)

    ordered(dsn, "jobs", "requeue", str(ids[0]))
    ordered(dsn, "jobs", "requeue", "--state", "failed")
    ordered(dsn, "jobs", "requeue", "--state", "failed", "--dry-run")

    assert noted(connection) == [
        ("jobs.requeue", {"ids": [ids[0]]}, 1),
        ("jobs.requeue", {"filter": {"state": "failed"}}, 2),
    ]


def test_what_is_only_tried_is_not_noted(dsn: str, connection: Connection) -> None:
    fail_jobs(connection, 1)
    (job,) = add_jobs(connection, 1)

    ordered(dsn, "jobs", "move", str(job), "--to", "slow", "--dry-run")
    ordered(dsn, "jobs", "cancel", "--queue", "default", "--dry-run")
    told = taskd_json(
        "--database", dsn, "jobs", "purge", "--older-than", "0s", "--dry-run", "--json"
    )

    assert told == {"would_purge": 1}
    assert noted(connection) == []


def test_orders_to_queues_schedules_workers_and_leaks_are_noted(
    dsn: str, connection: Connection
) -> None:
    host = declare(connection, nightly())
    settle(connection)
    worker = add_worker(connection, host)
    hosts.publish_tasks(connection, host, "io", [describe("shop.sync", add_jobs, DEFAULTS)])

    ordered(dsn, "queues", "pause", "mail")
    ordered(dsn, "queues", "resume", "mail")
    ordered(dsn, "schedules", "run", "nightly")
    ordered(dsn, "schedules", "pause", "nightly")
    ordered(dsn, "schedules", "resume", "nightly")
    ordered(dsn, "workers", "drain", str(worker))
    ordered(dsn, "workers", "stop", str(worker))
    ordered(dsn, "leaks", "hunt", "--task", "shop.sync")

    assert noted(connection) == [
        ("queues.pause", {"queue": "mail"}, 1),
        ("queues.resume", {"queue": "mail"}, 1),
        ("schedules.run", {"name": "nightly"}, 1),
        ("schedules.pause", {"name": "nightly"}, 1),
        ("schedules.resume", {"name": "nightly"}, 1),
        ("workers.drain", {"id": worker}, 1),
        ("workers.stop", {"id": worker}, 1),
        ("leaks.hunt", {"task": "shop.sync"}, 1),
    ]


def test_what_is_refused_is_not_noted(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = add_worker(connection, declare(connection, nightly()))
    settle(connection)
    ordered(dsn, "schedules", "run", "nightly")
    monkeypatch.setattr("taskd.cli.draining.stop_workers", lambda *_: [])

    for words in (
        ("schedules", "run", "nightly"),
        ("workers", "stop", str(worker)),
        ("leaks", "hunt", "--task", "shop.unknown"),
    ):
        assert run_taskd("--database", dsn, *words).exit_code == 1

    assert noted(connection) == [("schedules.run", {"name": "nightly"}, 1)]


def test_the_user_is_who_runs_the_command_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")
    name = pwd.getpwuid(os.getuid()).pw_name

    assert whoever() == f"{name}@{socket.gethostname()}"

    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)

    assert whoever() == f"3999999999@{socket.gethostname()}"


def test_failures_are_acknowledged_muted_and_noted(dsn: str, connection: Connection) -> None:
    fail_jobs(connection, 1)

    ordered(dsn, "jobs", "acknowledge", CAUSE)
    ordered(dsn, "jobs", "note", CAUSE, "the shop knows")
    ordered(dsn, "jobs", "mute", CAUSE)
    (group,) = taskd_json("--database", dsn, "jobs", "failures", "--json")
    table = run_taskd("--database", dsn, "jobs", "failures").stdout
    ordered(dsn, "jobs", "mute", CAUSE, "--undo")
    ordered(dsn, "jobs", "note", CAUSE, "", "--task", "shop.other")
    (undone,) = taskd_json("--database", dsn, "jobs", "failures", "--json")

    assert (group["is_acknowledged"], group["muted"]) == (True, True)
    assert "acknowledged; muted; the shop knows" in table
    assert (undone["muted"], undone["note"]) == (False, "the shop knows")
    assert [action for action, _, _ in noted(connection)] == [
        "failures.acknowledge",
        "failures.note",
        "failures.mute",
        "failures.mute",
        "failures.note",
    ]


def test_the_log_is_shown_in_pages(dsn: str, connection: Connection) -> None:
    for name in ("a", "b", "c"):
        ordered(dsn, "queues", "pause", name)

    page = run_taskd("--database", dsn, "audit", "--limit", "2")
    first = taskd_json("--database", dsn, "audit", "--limit", "2", "--json")
    rest = taskd_json("--database", dsn, "audit", "--before", str(first[-1]["id"]), "--json")

    assert [each["parameters"]["queue"] for each in first + rest] == ["c", "b", "a"]
    assert whoever() in page.stdout
    assert f"--before {first[-1]['id']}" in page.stderr


def test_arguments_that_a_command_named_are_masked_on_the_page(
    dsn: str, connection: Connection
) -> None:
    ordered(dsn, "jobs", "cancel", "--args", "[7]")
    ordered(dsn, "jobs", "cancel", "--args", "[7]", "--task", "shop.other")

    with served(dsn, mask=("shop.sync",)) as web:
        other, anybody = [entry["parameters"]["filter"] for entry in web.get("/audit")["entries"]]

    assert (other["args"], anybody["args"]) == ([7], "***")


def test_memory_is_shown_as_curves_with_the_ends_of_workers(
    dsn: str, connection: Connection
) -> None:
    host = add_host(connection)
    worker, gone = add_worker(connection, host), add_worker(connection, host, pid=2)
    sizes = {"bytes": 3 << 20, "children": 0, "low": 1 << 20, "high": 4 << 20, "live": 0}
    reading = MemoryReading(worker=worker, pid=1, role="worker", pool="io", slot=0, jobs=1, **sizes)
    memory.write_memory(connection, host, [reading])
    hosts.rescue_workers(connection, [gone], "it was killed", False)

    told = taskd_json("--database", dsn, "memory", "--json")
    shown = run_taskd("--database", dsn, "memory").stdout

    assert [point["high"] for point in told["points"]] == [4 << 20]
    assert [end["worker"] for end in told["ends"]] == [gone]
    assert "io/0" in shown
    assert "4.19 MB" in shown
    assert "█" in shown
    assert "ended" in shown
    assert "No process" in run_taskd("--database", dsn, "memory", "--host", "x").stderr
    said = run_taskd("--database", dsn, "memory").stderr
    assert "looked at" not in said
    assert "There are readings from just now on." in said


def test_memory_of_a_host_is_found_though_it_has_ended_or_others_have_told_more(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskd.cli.memory.MOST_POINTS", 2)
    monkeypatch.setattr("taskd.cli.memory.MOST_ENDS", 1)
    monkeypatch.setattr("taskd.store.ends.MOST_ENDS", 1)
    sizes = {"bytes": 3 << 20, "children": 0, "low": 1 << 20, "high": 4 << 20, "live": 0}
    ids = [hosts.register_host(connection, uuid4(), name, 1, "0") for name in ("web1", "web2")]
    for host in ids:
        worker = add_worker(connection, host)
        reading = MemoryReading(
            worker=worker, pid=1, role="worker", pool="io", slot=0, jobs=1, **sizes
        )
        memory.write_memory(connection, host, [reading])
        hosts.rescue_workers(connection, [worker], "it was killed", False)
    end(connection, *ids)

    told = taskd_json("--database", dsn, "memory", "--host", "web1", "--json")
    shown = run_taskd("--database", dsn, "memory", "--host", "web1").stdout
    cut = taskd_json("--database", dsn, "memory", "--json")
    everything = run_taskd("--database", dsn, "memory").stderr

    assert [point["host"] for point in told["points"]] == [ids[0]]
    assert [one["host"] for one in told["ends"]] == [ids[0]]
    assert "io/0 on web1, pid" in shown
    assert "Only the youngest 2 readings are looked at: " in everything
    assert "There are readings from" not in everything
    assert [one["truncated"] for one in (told, cut)] == [False, True]
    assert [one["since"] == one["points"][0]["at"] for one in (told, cut)] == [True, True]
    assert "Only the youngest 1 ends are looked at: " in everything


def test_a_curve_is_as_high_as_the_most_of_each_share_of_the_time() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    since = now - timedelta(seconds=WIDTH)
    points = [(since + timedelta(seconds=second), high) for second, high in ((1, 8), (2, 4))]

    assert curve(points, since, now) == " █▅"
    assert curve([*points, (now, 0)], since, now) == " █" + "▅" * (WIDTH - 3) + "▁"
    assert curve([], since, now) == ""
