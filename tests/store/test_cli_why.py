"""`taskd jobs why` and `taskd resources` on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.store.connect import Connection
from taskd.store.resources import list_line, list_resources
from taskd.store.waits import MOST_COUNTED
from tests.commands import run_taskd, taskd_json
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_graph,
    add_one,
    claim_one,
    new_job,
    set_capacity,
)
from tests.store.makers import add_jobs, add_worker, claim
from tests.store.test_plans import rows_read

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_reason_is_a_line(dsn: str, connection: Connection) -> None:
    worker = add_worker(connection)
    holder, first, job = (add_exclusive(connection, "repo:42") for _ in range(3))
    claim_one(connection, worker)

    people = run_taskd("--database", dsn, "jobs", "why", str(job))
    (reason,) = taskd_json("--database", dsn, "jobs", "why", str(job), "--json")

    assert people.exit_code == 0
    assert people.stdout.startswith(
        f"job {job}: waits for repo:42 (exclusive), held by job {holder}"
    )
    assert people.stdout.endswith(f"1 job is before it: {first}\n")
    assert (reason["kind"], reason["name"]) == ("resource", "repo:42")
    assert [held["id"] for held in reason["jobs"]] == [holder]
    assert (reason["before"], reason["before_count"]) == ([first], 1)


def test_a_job_that_does_not_wait_is_no_fault_but_an_unknown_one_is(
    dsn: str, connection: Connection
) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claim_one(connection, worker)

    running = run_taskd("--database", dsn, "jobs", "why", str(job))
    unknown = run_taskd("--database", dsn, "jobs", "why", str(job + 1000))

    assert running.exit_code == 0
    assert running.stdout.startswith(f"job {job}: does not wait: it runs in io/0 on here")
    assert unknown.exit_code == 1
    assert f"job {job + 1000} is unknown" in unknown.stderr


def test_resources_are_listed_with_holders_and_lines(dsn: str, connection: Connection) -> None:
    worker = add_worker(connection)
    set_capacity(connection, "@key stripe", 2)
    holder, first, second = (add_exclusive(connection, "repo:42") for _ in range(3))
    limited = [add_one(connection, needs={"@key stripe": 1}) for _ in range(2)]
    claim(connection, worker)

    table = run_taskd("--database", dsn, "resources").stdout
    repo, stripe = taskd_json("--database", dsn, "resources", "--json")

    assert (repo["name"], repo["holders"], repo["waiting"]) == ("repo:42", [holder], 2)
    assert repo["first"] == [first, second]
    assert repo["since"] is not None
    assert (stripe["used"], stripe["units"], stripe["holders"]) == (2, 2, limited)
    _, line, other = table.splitlines()
    assert line.split()[:3] == ["repo:42", "all", "-"]
    assert f"{first}, {second}" in line
    assert other.startswith("limit stripe")


def test_what_the_list_calls_a_resource_can_be_asked_for(dsn: str, connection: Connection) -> None:
    set_capacity(connection, "@queue mail", 1)
    add_jobs(connection, 2, queue="mail")
    add_exclusive(connection, "the repo")
    needs = {"@key api": 1}  # of a limit without numbers
    set_capacity(connection, "@key api", None)
    add_one(connection, needs=needs)

    table = run_taskd("--database", dsn, "resources").stdout
    by_title = run_taskd("--database", dsn, "resources", "limit of queue mail").stdout
    by_sentence = run_taskd("--database", dsn, "resources", "the limit of queue mail").stdout
    repo = run_taskd("--database", dsn, "resources", "the repo").stdout
    api = run_taskd("--database", dsn, "resources", "limit api").stdout

    rows = [line.strip() for line in table.splitlines()]
    assert any(row.startswith("limit of queue mail ") for row in rows)
    assert any(row.startswith("the repo ") for row in rows)
    assert by_title.startswith("resource:   limit of queue mail\n")
    assert by_sentence.startswith("resource:   limit of queue mail\n")
    assert repo.startswith("resource:   the repo\n")
    assert "(a place, queued" in api


def test_a_line_is_shown_in_order_page_by_page(dsn: str, connection: Connection) -> None:
    worker = add_worker(connection)
    holder, *line = (add_exclusive(connection, "repo:42") for _ in range(4))
    claim_one(connection, worker)

    first = run_taskd("--database", dsn, "resources", "repo:42", "--limit", "2")
    (rest,) = taskd_json(
        "--database", dsn, "resources", "repo:42", "--after", str(line[1]), "--json"
    )
    end = run_taskd("--database", dsn, "resources", "repo:42", "--after", str(line[2]))

    assert f"held by:    {holder} shop.sync (exclusive, running in io/0 on here" in first.stdout
    assert [int(row.split()[0]) for row in first.stdout.splitlines()[-2:]] == line[:2]
    assert f"--after {line[1]}" in first.stderr
    assert [entry["id"] for entry in rest["line"]] == line[2:]
    assert [held["id"] for held in rest["holders"]] == [holder]
    assert end.exit_code == 1


def test_neither_the_list_nor_a_page_reads_a_line_whole(connection: Connection) -> None:
    many = [new_job(needs={"hot": EXCLUSIVE})] * 500
    waiting = [job for _ in range(8) for job in add_graph(connection, *many)][1:]

    with connection.transaction():
        before = rows_read(connection, "line")
        (hot,) = list_resources(connection, None, 50, 3)
        read_by_list = rows_read(connection, "line") - before
        page = list_line(connection, "hot", None, 10)
        read_by_page = rows_read(connection, "line") - before - read_by_list

    assert (hot.waiting, hot.first) == (MOST_COUNTED, waiting[:3])
    assert [entry.id for entry in page] == waiting[:10]
    assert read_by_list < 2 * MOST_COUNTED + 100  # of the index, and of the table where it must
    assert read_by_page < 100


def test_a_limit_is_found_by_what_it_limits(dsn: str, connection: Connection) -> None:
    add_worker(connection)
    add_one(connection, needs={"@task shop.sync": 1})

    (shown,) = taskd_json("--database", dsn, "resources", "shop.sync", "--json")
    unknown = run_taskd("--database", dsn, "resources", "nothing")

    assert shown["name"] == "@task shop.sync"
    assert unknown.exit_code == 1
    assert "nobody holds nothing or waits for it" in unknown.stderr


def test_without_resources_the_list_says_so(dsn: str, connection: Connection) -> None:
    result = run_taskd("--database", dsn, "resources")

    assert result.exit_code == 0
    assert "No job holds a resource or waits for one." in result.stderr


def test_a_job_is_shown_with_what_it_waited_for(dsn: str, connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    connection.execute("UPDATE taskd.queued SET created_at = now() - interval '70 seconds'")
    claim_one(connection, worker)

    sheet = run_taskd("--database", dsn, "jobs", "show", str(job)).stdout
    shown = taskd_json("--database", dsn, "jobs", "show", str(job), "--json")

    assert "waited:     1 min 10 s for a worker\n" in sheet
    assert shown["waited_for_worker"] == pytest.approx(70, abs=5)
    assert shown["waited_for_resources"] is None
