"""taskd.testing as users have it: its fixtures in a test run of their own, on a real database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_server

CONFTEST = 'pytest_plugins = ["taskd.testing.fixtures"]\n'
SHOP = """
from taskd import current_job, task

@task(retry=1)
def fetch(url):
    if url == "flaky" and current_job().attempt == 1:
        raise ValueError("again")
    if url == "broken":
        raise ValueError("for good")
    return len(url)

@task(queue="other")
def total():
    return sum(current_job().parent_results())

@task(queue="other", requires="v2")
def where():
    return current_job().queue

noted = []

@task
def note(number):
    noted.append(number)

@task
def book(order):
    with current_job().transaction() as transaction:
        transaction.connection.execute("INSERT INTO bookings VALUES (%s)", [order])
"""
TESTS = """
import psycopg
import pytest
from taskd import JobFailed, chord, exclusive
from taskd.testing import drain
from shop import book, fetch, note, noted, total, where


def test_a_queue_is_drained(taskd_database):
    flow = chord([fetch.call("a"), fetch.call("flaky")], total.call()).enqueue()

    assert drain(["default"]) == (1, 0, 0, 1)
    assert flow.last.state == "blocked"
    assert drain(scheduled=True) == (2, 0, 0, 0)
    assert flow.result(timeout=0) == 6


def test_what_requires_a_version_is_drained_with_its_queue(taskd_database):
    job = where.enqueue()
    later = where.options(delay=60).enqueue()

    assert drain(["default"]) == (0, 0, 0, 0)
    assert drain(["other"], scheduled=True) == (2, 0, 0, 0)
    assert job.result(timeout=0) == later.result(timeout=0) == "other"


def test_who_needs_a_resource_and_who_needs_none_run_in_the_order_of_their_enqueue(taskd_database):
    for number in range(4):
        needs = [exclusive(f"desk {number}")] if number % 2 == 0 else []
        note.options(resources=needs).enqueue(number)
    drain()

    assert noted == [0, 1, 2, 3]


def test_the_database_is_empty_again(taskd_database):
    with psycopg.connect(taskd_database) as connection:
        assert connection.execute("SELECT count(*) FROM taskd.job").fetchone() == (0,)


def test_errors_are_raised_or_counted(taskd_database):
    fetch.options(retry=0).enqueue("broken")
    with pytest.raises(JobFailed, match="for good"):
        drain()
    fetch.options(retry=0).enqueue("broken")
    assert drain(raise_errors=False) == (0, 1, 0, 0)


def test_a_job_ends_in_its_own_transaction(taskd_database):
    with psycopg.connect(taskd_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE bookings (id bigint)")
        job = book.enqueue(7)
        assert drain() == (1, 0, 0, 0)
        assert connection.execute("SELECT id FROM bookings").fetchall() == [(7,)]
    assert job.state == "succeeded"


def test_jobs_in_memory(taskd_jobs):
    fetch.enqueue("a")
    taskd_jobs.assert_enqueued(fetch, "a")


def test_jobs_at_once(taskd_inline):
    assert fetch.enqueue("abc").result() == 3
"""


@pytest.mark.parametrize("source", ["given", "embedded"])
def test_users_tests_run_with_the_fixtures(dsn: str, tmp_path: Path, source: str) -> None:
    for name, text in {"conftest.py": CONFTEST, "shop.py": SHOP, "test_shop.py": TESTS}.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "TASKD_TEST_DATABASE": dsn}
    if source == "embedded":
        del environment["TASKD_TEST_DATABASE"]

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout
