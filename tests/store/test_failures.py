"""Failed jobs by task and cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from taskd.store import jobs
from taskd.store.bulk import count_ended
from taskd.store.connect import Connection
from taskd.store.failures import FailureGroup, list_failures
from taskd.store.paging import newest_ids, page_of_ids
from taskd.store.rows import JobEnd, JobFilter, NewJobs, State
from tests.commands import run_taskd, taskd_json
from tests.store.makers import add_worker, claim, fence_of

HISTORY = """
INSERT INTO taskd.history
    (id, created_at, priority, attempt, max_attempts, state, queue, task, args, error)
SELECT n, now(), 5, 1, 1, CASE WHEN n %% 100 = 0 THEN 'f' ELSE 's' END, 'q', 'shop.sync', '[]',
       'ValueError: page ' || n
FROM generate_series(1, %s) n
"""
CAUSES = {
    "ValueError: no such page 17": "ValueError: no such page #",
    "KeyError: 'user-17'": "KeyError: '…'",
    'shop.Refused: by "x y"': "shop.Refused: by '…'",
    "OSError: `a 1` and 'b'": "OSError: '…' and '…'",
    "can't open the user's file": "can't open the user's file",
    "at 12:30, 1.5 of 1,000": "at #, # of #",
    "<Shop at 0x7f3a00>": "<Shop at #>",
    "E: 123e4567-e89b-12d3-a456-426614174000": "E: #",
    "E: commit 0123abcd45": "E: commit #",
    "E: defaced by a facade": "E: defaced by a facade",
    "http2.Error404: 404": "http2.Error404: #",
    "http2.Error404": "http2.Error404",
    "E: first 1\nsecond 2": "E: first #",
    "poisoned: killed by SIGSEGV": "poisoned: killed by SIGSEGV",
    "poisoned: killed by SIGSEGV; it last held 30 MB": "poisoned: killed by SIGSEGV",
    "poisoned: killed by SIGSEGV; it last held 1.53 GB": "poisoned: killed by SIGSEGV",
    'lost: its worker is gone (SIGKILL; it last held 9 B), on_lost="fail"': (
        "lost: its worker is gone (SIGKILL), on_lost='…'"
    ),
    "": "",
    None: "",
    "E: " + "x" * 9000: "E: " + "x" * 497,
}
AN_HOUR_AGO = "UPDATE taskd.history SET finished_at = now() - interval '1 hour' WHERE id = %s"


def fail(connection: Connection, *errors: str, task: str = "shop.sync", queue: str = "q") -> None:
    """Let one job fail with each of these errors."""
    new = NewJobs(task, ["[]"] * len(errors), [None] * len(errors), queue=queue)
    jobs.enqueue_jobs(connection, new)
    worker = add_worker(connection)
    rows = claim(connection, worker, len(errors), (queue, 5, 0))
    ends = [
        JobEnd(row[0], fence_of(row), 0.1, "f", None, error)
        for row, error in zip(rows, errors, strict=True)
    ]
    assert jobs.complete_jobs(connection, worker, ends) == []


def causes(groups: list[FailureGroup]) -> dict[str, int]:
    return {group.cause: group.count for group in groups}


@pytest.mark.one_server
def test_a_cause_is_an_error_without_what_is_its_own(connection: Connection) -> None:
    found = connection.execute(
        "SELECT e, taskd.cause_of_v1(e) FROM unnest(%s::text[]) e", (list(CAUSES),)
    ).fetchall()

    assert dict(found) == CAUSES


def test_failures_that_differ_in_ids_alone_are_one_group(connection: Connection) -> None:
    fail(connection, "KeyError: 'a1'", "KeyError: 'b2'", "ValueError: 3")
    fail(connection, "KeyError: 'a1'", task="shop.other")

    groups, looked_at = list_failures(connection, since=60)

    assert [(one.task, one.cause, one.count) for one in groups] == [
        ("shop.sync", "KeyError: '…'", 2),
        ("shop.other", "KeyError: '…'", 1),
        ("shop.sync", "ValueError: #", 1),
    ]
    assert looked_at == 4


def test_a_group_tells_its_first_and_last_time_and_its_youngest_job(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2")
    connection.execute(AN_HOUR_AGO, (1,))

    [group], _ = list_failures(connection, since=2 * 3600)

    assert group.sample_job == 2
    assert 3590 < (group.last_at - group.first_at).total_seconds() < 3700


def test_only_failures_inside_of_the_window_count(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2")
    connection.execute(AN_HOUR_AGO, (1,))

    assert causes(list_failures(connection, since=1800).groups) == {"E: #": 1}


def test_failures_are_narrowed_by_queue_task_and_limit(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2", queue="mail")
    fail(connection, "F: 1", task="shop.other")

    def narrowed(**filters: str | int) -> dict[str, int]:
        return causes(list_failures(connection, 60, **filters).groups)  # type: ignore[arg-type]

    assert narrowed(queue="mail") == {"E: #": 2}
    assert narrowed(task="shop.other") == {"F: #": 1}
    assert narrowed(limit=1) == {"E: #": 2}
    assert narrowed(queue="mail", task="shop.other") == {}


def test_what_was_requeued_counts_only_if_asked_for(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2")
    jobs.requeue_jobs(connection, [1])

    assert causes(list_failures(connection, 60).groups) == {"E: #": 1}
    assert causes(list_failures(connection, 60, requeued=True).groups) == {"E: #": 2}


def test_no_more_than_the_youngest_failures_are_looked_at(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2", "E: 3")

    groups, looked_at = list_failures(connection, since=60, most=2)

    assert causes(groups) == {"E: #": 2}
    assert looked_at == 2


def test_of_the_youngest_failures_those_that_were_requeued_are_looked_at_and_left_out(
    connection: Connection,
) -> None:
    fail(connection, "E: 1", "E: 2", "E: 3")
    jobs.requeue_jobs(connection, [3])

    some, looked_at = list_failures(connection, since=60, most=2)
    none = list_failures(connection, since=60, most=1)

    assert (causes(some), looked_at) == ({"E: #": 1}, 2)
    assert none == ([], 1)


@pytest.mark.parametrize("analyzed", [True, False])
def test_what_succeeded_is_not_read(connection: Connection, analyzed: bool) -> None:
    connection.execute(HISTORY, (20_000,))
    if analyzed:
        connection.execute("ANALYZE taskd.history")

    with connection.transaction():
        [group], _ = list_failures(connection, since=60)
        row = connection.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(inhrelid)) FROM pg_inherits "
            "WHERE inhparent = 'taskd.history'::regclass"
        ).fetchone()

    assert group.count == 200
    assert row == (0,)


def test_an_error_is_folded_when_its_job_fails_and_not_at_each_look(connection: Connection) -> None:
    connection.execute(HISTORY, (20_000,))
    connection.execute("SET track_functions = pl")

    with connection.transaction():
        [group], looked_at = list_failures(connection, since=60)
        row = connection.execute(
            "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'cause_of_v1'"
        ).fetchone()

    assert (group.count, looked_at) == (200, 200)
    assert row == (1,)


@pytest.mark.parametrize(
    "find",
    [
        lambda connection, wanted: page_of_ids(connection, wanted).ids,
        newest_ids,
        lambda connection, wanted: [100] * count_ended(connection, wanted),
    ],
    ids=["page", "list", "count"],
)
def test_no_error_is_folded_to_find_jobs_by_their_cause(
    connection: Connection, find: Callable[[Connection, JobFilter], list[int]]
) -> None:
    connection.execute(HISTORY, (20_000,))
    connection.execute("UPDATE taskd.history SET error = 'OSError: 7' WHERE id = 100")
    connection.execute("SET track_functions = pl")

    with connection.transaction():
        found = find(connection, JobFilter(limit=10, cause="OSError: #"))
        calls = connection.execute(
            "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'cause_of_v1'"
        ).fetchall()

    assert (found, calls) == ([100], [])


def test_jobs_with_a_cause_are_the_failed_ones(connection: Connection) -> None:
    connection.execute(HISTORY, (200,))
    connection.execute("UPDATE taskd.history SET state = 'c' WHERE id = 200")

    wanted = JobFilter(limit=10, cause="ValueError: page #")

    assert page_of_ids(connection, wanted).ids == [100]
    assert newest_ids(connection, wanted) == [100]
    assert count_ended(connection, wanted) == 1
    assert newest_ids(connection, replace(wanted, state=State.CANCELLED)) == []
    assert newest_ids(connection, replace(wanted, task="shop.other")) == []


@pytest.mark.parametrize("analyzed", [True, False])
def test_what_is_read_of_the_table_is_one_row_a_group(
    connection: Connection, analyzed: bool
) -> None:
    connection.execute(HISTORY, (20_000,))
    connection.execute("VACUUM ANALYZE taskd.history" if analyzed else "VACUUM taskd.history")

    with connection.transaction():
        list_failures(connection, since=60)
        row = connection.execute(
            "SELECT sum(pg_stat_get_xact_tuples_fetched(x.indexrelid)) FROM pg_inherits i "
            "JOIN pg_index x ON x.indrelid = i.inhrelid "
            "WHERE i.inhparent = 'taskd.history'::regclass"
        ).fetchone()

    assert row == (1,)


def test_groups_come_in_pages(connection: Connection) -> None:
    fail(connection, "E: 1", "E: 2", "F: 1", "F: 2", "G: 1")
    found: list[str] = []
    after = None

    while groups := list_failures(connection, 60, limit=1, after=after).groups:
        found += [group.cause for group in groups]
        after = groups[-1].count, groups[-1].sample_job

    assert found == ["F: #", "E: #", "G: #"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.one_server
@pytest.mark.usefixtures("folder")
def test_the_command_lists_groups_and_a_group_can_be_requeued(
    dsn: str, connection: Connection
) -> None:
    fail(connection, "KeyError: 'a1'", "KeyError: 'b2'", "ValueError: 3")

    listed = taskd_json("jobs", "failures", "--json", TASKD_DATABASE=dsn)
    shown = run_taskd("jobs", "failures", "--since", "1h", TASKD_DATABASE=dsn)
    requeued = taskd_json(
        "jobs", "requeue", "--state", "failed", "--task", listed[0]["task"],
        "--cause", listed[0]["cause"], "--json", TASKD_DATABASE=dsn,
    )  # fmt: skip

    assert [(group["count"], group["cause"]) for group in listed] == [
        (2, "KeyError: '…'"),
        (1, "ValueError: #"),
    ]
    said = {"acknowledged_at", "is_acknowledged", "muted", "note"}
    found = {"count", "task", "cause", "first_at", "last_at", "sample_job"}
    assert set(listed[0]) == found | said
    assert "KeyError: '…'" in shown.stdout.splitlines()[1]
    left = taskd_json("jobs", "failures", "--json", TASKD_DATABASE=dsn)
    ever = taskd_json("jobs", "failures", "--requeued", "--json", TASKD_DATABASE=dsn)
    assert requeued == {"requeued": 2}
    assert [group["count"] for group in left] == [1]
    assert ever == listed
    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (2,)


@pytest.mark.one_server
@pytest.mark.usefixtures("folder")
def test_a_window_of_nothing_is_wrong_usage(dsn: str) -> None:
    refused = run_taskd("jobs", "failures", "--since", "0", TASKD_DATABASE=dsn)

    assert refused.exit_code == 2
    assert "'0' is not between 1s and" in refused.stderr
