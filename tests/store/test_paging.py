"""Lists of jobs, newest first, in all their states at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskd.store import bulk, jobs, look, paging
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobFilter, State
from tests.store.explained import explained
from tests.store.makers import add_jobs, add_worker, claim, fence_of
from tests.store.test_plans import FILL, rows_read

DAY = timedelta(days=1)


def one_of_each(connection: Connection) -> list[int]:
    """Jobs in all states but blocked, mixed; their ids."""
    worker = add_worker(connection)
    ids = add_jobs(connection, 12)
    for row in claim(connection, worker, 8):
        state = "sfcr"[row[0] % 4]
        if state != "r":
            jobs.complete_jobs(connection, worker, [JobEnd(row[0], fence_of(row), 0.1, state)])
    return ids + add_jobs(connection, 3, delay=600.0)


def pages(connection: Connection, **wanted: Any) -> list[list[int]]:
    """The ids of all pages."""
    found: list[list[int]] = []
    before: int | None = None
    while True:
        page, before = look.page_jobs(connection, JobFilter(before=before, **wanted))
        found.append([job.id for job in page])
        if before is None:
            return found


def test_a_list_has_jobs_of_all_states_in_the_order_of_their_ids(connection: Connection) -> None:
    ids = one_of_each(connection)

    found = look.list_jobs(connection, JobFilter(limit=100))

    assert [job.id for job in found] == ids[::-1]
    assert len({job.state for job in found}) == 6
    assert [job.id for job in look.list_jobs(connection, JobFilter(limit=4))] == ids[:-5:-1]


@pytest.mark.parametrize("state", [None, State.QUEUED, State.SUCCEEDED, State.RUNNING])
def test_the_pages_together_are_the_list(connection: Connection, state: State | None) -> None:
    one_of_each(connection)

    found = pages(connection, limit=2, state=state)

    whole = look.list_jobs(connection, JobFilter(limit=100, state=state))
    assert [each for page in found for each in page] == [job.id for job in whole]
    assert all(len(page) == 2 for page in found[:-1])


@pytest.mark.parametrize(
    ("most", "wanted"),
    [
        ("MOST_LOOKED_AT", {"queue": "mail"}),
        ("MOST_PARSED", {"queue": "mail", "args": [0]}),
    ],
)
def test_a_page_that_looks_no_further_says_where_to_go_on(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, most: str, wanted: dict[str, Any]
) -> None:
    monkeypatch.setattr(paging, most, 5)
    (old,) = add_jobs(connection, 1, queue="mail")
    add_jobs(connection, 12)
    (late,) = add_jobs(connection, 1, queue="mail", delay=600.0)

    found = pages(connection, limit=10, **wanted)

    assert [each for page in found for each in page] == [late, old]
    assert len(found) == 3


def test_a_list_since_a_moment_ends_where_nothing_is_so_young(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_LOOKED_AT", 5)
    add_jobs(connection, 30)
    connection.execute("UPDATE taskd.queued SET created_at = now() - interval '3 h'")
    young = add_jobs(connection, 3)

    found = pages(connection, limit=10, since=3600.0)

    assert [each for page in found for each in page] == young[::-1]
    assert len(found) == 2
    listed = look.list_jobs(connection, JobFilter(limit=10, since=3600.0))
    assert [job.id for job in listed] == young[::-1]


def test_a_long_transaction_whose_jobs_stand_before_younger_ones_ends_no_list(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_LOOKED_AT", 5)
    (young,) = add_jobs(connection, 1)
    late = add_jobs(connection, 10)
    connection.execute(
        "UPDATE taskd.queued SET created_at = now() - interval '30 min' WHERE id >= %s", (late[0],)
    )

    found = pages(connection, limit=10, since=600.0)

    assert [each for page in found for each in page] == [young]


@pytest.mark.parametrize(
    "look_up", [look.list_jobs, look.page_jobs, bulk.count_ended, bulk.requeue_matching]
)
def test_what_ended_in_a_time_is_read_from_its_days_alone(
    connection: Connection, look_up: Callable[[Connection, JobFilter], object]
) -> None:
    def days_read(**wanted: datetime) -> list[str]:
        with explained(connection) as scans:
            look_up(connection, JobFilter(state=State.FAILED, **wanted))
        tables = {scan.table for scan in scans}
        return sorted(each for each in tables if each.startswith("history_"))

    now = datetime.now(UTC)  # asked once: at midnight it stays the same day
    today, yesterday = (f"history_{at:%Y%m%d}" for at in (now, now - DAY))

    assert days_read()[0] < today
    assert days_read(since=now)[0] >= today
    assert days_read(finished_since=now)[0] >= today
    assert days_read(finished_until=now - DAY)[-1] == yesterday


@pytest.mark.parametrize(("since", "most"), [(None, 20), (datetime.now(UTC) + 2 * DAY, 0)])
def test_a_list_reads_no_more_than_it_shows_of_each_state(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    since: datetime | None,
    most: int,
) -> None:
    monkeypatch.setattr(paging, "MOST_LOOKED_AT", 50)
    connection.execute(FILL, (20_000,))
    connection.execute("ANALYZE taskd.queued")

    before = rows_read(connection, "queued")
    found = look.list_jobs(connection, JobFilter(limit=20, since=since))
    read = rows_read(connection, "queued") - before

    assert len(found) == most
    assert read < 200
