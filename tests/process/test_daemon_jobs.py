from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskd.store import look
from taskd.store.rows import JobRow
from tests.conftest import TestServer
from tests.process.conftest import SHOP
from tests.process.daemon import CONFIG, Project, project_on
from tests.waiting import eventually


def job(project: Project, job_id: int) -> JobRow:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        found = look.fetch_job(connection, job_id)
    assert found is not None
    return found


def wait_for(project: Project, job_id: int, state: str) -> JobRow:
    asked = "SELECT state FROM taskd.job WHERE id = %s"
    try:
        eventually(lambda: project.query(asked, job_id) == [(state,)])
    except AssertionError as error:
        raise AssertionError(f"{job(project, job_id)}\n{project.logs()}") from error
    return job(project, job_id)


@pytest.fixture(scope="module")
def shop(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project with one daemon for all tests that only look at their own jobs."""
    with project_on(embedded_server, tmp_path_factory.mktemp("shop"), CONFIG, SHOP) as project:
        yield project
        assert project.daemons[0].stop() == 0, project.logs()


def test_a_job_runs_and_its_result_is_kept(shop: Project) -> None:
    number = shop.enqueue("shop.add", 2, 3)

    assert wait_for(shop, number, "succeeded").result == 5


def test_an_undecorated_function_runs_by_its_path(shop: Project) -> None:
    number = shop.enqueue("shop.plain", "loud")

    assert wait_for(shop, number, "succeeded").result == "LOUD"


def attempts(project: Project, job_id: int) -> list[tuple[int, str, str | None]]:
    with psycopg.connect(project.dsn, autocommit=True) as connection:
        found = look.fetch_attempts(connection, job_id)
    assert all(one.started_at <= one.ended_at and one.worker for one in found)
    return [(one.number, one.outcome, one.error) for one in found]


def test_a_snooze_is_kept_as_an_attempt_and_not_counted_as_one(
    shop: Project, tmp_path: Path
) -> None:
    number = shop.enqueue("shop.snooze", str(tmp_path / "numbers"))

    awake = wait_for(shop, number, "succeeded")

    assert (awake.result, awake.attempt, awake.error) == ("awake", 1, None)
    assert attempts(shop, number) == [(1, "snoozed", None)] * 2
    assert (tmp_path / "numbers").read_text() == "1\n1\n1\n"


def test_a_job_that_cancels_itself_ends_with_its_reason_and_is_not_retried(shop: Project) -> None:
    number = shop.enqueue("shop.give_up", "sold out")

    ended = wait_for(shop, number, "cancelled")

    assert (ended.error, ended.result, ended.attempt) == ("sold out", None, 1)
    assert ended.started_at is not None
    assert attempts(shop, number) == []


def test_a_burst_ends_by_itself_when_its_queues_are_empty(project: Project) -> None:
    project.enqueue_many("shop.add", [(n, 1) for n in range(200)])

    status = project.start("--burst", ready=False).wait()

    assert status == 0, project.logs()
    assert project.states() == {"succeeded": 200}


def test_a_burst_in_which_a_job_failed_says_so_by_its_exit_status(project: Project) -> None:
    project.enqueue("shop.fail", "boom")

    assert project.start("--burst", ready=False).wait() == 1


def test_the_log_counts_failures_that_come_in_a_flood_and_at_debug_names_all_ends(
    project: Project,
) -> None:
    project.enqueue_many("shop.fail", [("boom",)] * 300)
    project.enqueue("shop.add", 1, 2)

    daemon = project.start("--burst", ready=False)
    daemon.wait()

    lines = daemon.log().splitlines()
    alone = [line for line in lines if re.search(r"job \d+ \(shop.fail\) failed: ", line)]
    counted = [int(n) for n in re.findall(r"(\d+) more jobs \(shop.fail\) failed", daemon.log())]
    assert len(alone) + sum(counted) == 300
    assert len(alone) + len(counted) < 50
    assert any("(shop.add, queue default), attempt 1: done after" in line for line in lines)


def test_a_burst_names_what_it_leaves(project: Project) -> None:
    project.query("INSERT INTO taskd.queue (name, paused) VALUES ('later', true) RETURNING name")
    project.enqueue_many("shop.add", [(1, 1)], queue="later")
    assert project.taskd("enqueue", "shop.add", "[1, 2]", "--delay", "3600").returncode == 0

    daemon = project.start("--burst", ready=False)

    assert daemon.wait() == 0, daemon.log()
    assert "later" in daemon.log()
    assert project.states() == {"queued": 1, "scheduled": 1}


@pytest.mark.parametrize(
    ("task", "arguments", "sentence"),
    [
        ("shop.fail", ("boom",), "ValueError: boom"),
        ("shop.nothing", (), "shop.nothing"),
        ("os.system", ("true",), "outside"),
        ("shop.os.system", ("true",), "outside"),
        ("shop.add", (1,), "missing a required argument: 'b'"),
        ("shop.leave", (0,), "sys.exit"),
        ("shop.raise_unprintable", (), "Unprintable"),
        ("shop.not_json", (), "set"),
        ("shop.slow", (), "0.2"),
    ],
)
def test_a_bad_job_fails_with_its_reason_and_no_other_is_touched(
    shop: Project, task: str, arguments: tuple[object, ...], sentence: str
) -> None:
    neighbours = shop.enqueue_many("shop.add", [(n, 1) for n in range(10)])
    number = shop.enqueue(task, *arguments)
    neighbours += shop.enqueue_many("shop.add", [(n, 1) for n in range(10)])

    failed = wait_for(shop, number, "failed")

    assert sentence in (failed.error or ""), failed.error
    asked = "SELECT DISTINCT state, attempt FROM taskd.job WHERE id = ANY (%s)"
    eventually(lambda: shop.query(asked, neighbours) == [("succeeded", 1)])


def test_twenty_five_greenlets_of_one_worker_sleep_at_once(project: Project) -> None:
    project.start("--processes", "1")

    project.enqueue_many("shop.nap", [(1.0,)] * 25)
    project.wait_for_states(succeeded=25)

    ((apart, workers),) = project.query(
        "SELECT extract(epoch FROM max(started_at) - min(started_at))::float8, "
        "count(DISTINCT worker) FROM taskd.history"
    )
    assert workers == 1
    assert apart < 0.9


def test_a_cpu_job_in_a_process_pool_does_not_delay_greenlets(project: Project) -> None:
    project.write(
        "taskd.yaml",
        """
        imports: [shop]
        pools:
          io: {queues: [default], processes: 1, greenlets: 25}
          cpu: {queues: [cpu], processes: 1}
        """,
    )
    project.start()
    project.enqueue_many("shop.burn", [(3.0,)], queue="cpu")
    project.wait_for_states(running=1)

    project.enqueue_many("shop.nap", [(0.5,)] * 25)
    project.wait_for_states(succeeded=25, running=1)

    project.wait_for_states(succeeded=26)
    pools = project.query(
        "SELECT w.pool, count(*) FROM taskd.history h "
        "JOIN taskd.worker w ON w.id = h.worker GROUP BY 1"
    )
    assert dict(pools) == {"io": 25, "cpu": 1}


def test_a_job_outside_of_the_imports_is_never_imported(shop: Project) -> None:
    shop.write("poison.py", "open('imported', 'w').close()\ndef run(): pass\n")

    number = shop.enqueue("poison.run")

    assert "imports" in (wait_for(shop, number, "failed").error or "")
    assert not (shop.folder / "imported").exists()


def test_the_cli_shows_what_happened(shop: Project) -> None:
    enqueued = shop.taskd("enqueue", "shop.add", "[2, 3]")
    assert enqueued.returncode == 0, enqueued.stderr
    number = enqueued.stdout.split()[-1]
    wait_for(shop, int(number), "succeeded")

    shown = shop.taskd("jobs", "show", number, "--json")

    fields = json.loads(shown.stdout)
    assert fields["result"] == 5
    assert fields["state"] == "succeeded"
    assert fields["worker"].startswith("io/")


def test_workers_lists_every_process_of_the_tree(shop: Project) -> None:
    roles = {"forkserver", "maintenance", "master", "worker"}
    eventually(lambda: {one["role"] for one in shop.daemons[0].tree()} == roles)

    tree = json.loads(shop.taskd("workers", "--json").stdout)

    assert {one["role"] for one in tree} == roles
    assert all(one["memory_bytes"] > 0 for one in tree)
    assert [one["in_flight"] for one in tree if one["role"] == "worker"] == [0, 0]
