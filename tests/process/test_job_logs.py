"""What jobs say in real workers: it lands on them, can be read while they run, and harms nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.clock import monotonic_ns
from taskd.config.sections import LogLevel, LogSettings
from taskd.config.settings import PoolSettings
from taskd.store.log_rows import LogFilter
from taskd.store.logs import fetch_progress, read_log
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

pytestmark = pytest.mark.one_server

APP = """
import logging
import os
import threading
import time
from pathlib import Path

from taskd import current_job, task

log = logging.getLogger("app")


def say_and_wait(path):
    log.info("begun")
    current_job().progress(0.5, "half way")
    while not os.path.exists(path):
        time.sleep(0.01)
    log.info("over")


def mingle(rounds):
    me = current_job().id
    for number in range(rounds):
        log.info("%d of job %d", number, me)
        time.sleep(0.002 * (me % 3))


def say_three():
    for number in range(3):
        log.info("line %d", number)


def ask_others():
    import gevent

    answers = []

    def say(who):
        log.info("%s of job %d", who, current_job().id)

    gevent.spawn(lambda: gevent.spawn(say, "a greenlet").join()).join()
    thread = threading.Thread(target=say, args=("a thread",))
    thread.start()
    thread.join()


def say_in_thread():
    thread = threading.Thread(target=log.info, args=("from a thread",))
    thread.start()
    thread.join()


def fork():
    log.info("before")
    child = os.fork()
    if child == 0:
        log.info("from the child")
        current_job().progress(0.9)
        os._exit(0)
    os.waitpid(child, 0)
    log.info("after")


def say_without_end(path):
    Path(path).touch()
    number = 0
    while True:
        number += 1
        log.info("line %d", number)
        current_job().progress(0.5, str(number))


def flood(lines):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    for number in range(20_000):
        log.info("warming up: %d", number)
    before = resident()
    began = time.monotonic()
    for number in range(lines):
        log.info("line %d: %s", number, "x" * 50)
    return [resident() - before, time.monotonic() - began]


def cut_connections(dsn):
    import psycopg

    log.info("before")
    with psycopg.connect(dsn, autocommit=True) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'taskd %%/%%'"
        )
    for number in range(10):
        log.info("after %d", number)


def end_itself(wait):
    log.info("before")
    with current_job().transaction():
        log.info("in the transaction")
    for number in range(600):
        log.info("after %d", number)
    current_job().progress(1.0, "all")
    time.sleep(wait)


def tell(job):
    log.error("the handler saw: %s", job.error)
    time.sleep(0.05)
    log.error("and is done")


@task(on_failure=tell)
def fail_and_tell():
    log.info("begun")
    raise ValueError("boom")


def bad_progress():
    current_job().progress(1.5)
"""
POOLS = {
    "io": PoolSettings(greenlets=25, shutdown_timeout=5.0, kill_grace=1.0),
    "cpu": PoolSettings(shutdown_timeout=5.0, kill_grace=1.0),
}
QUIET = LogSettings(level=LogLevel.ERROR)


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A host with a greenlet pool `io` and a process pool `cpu`, for all tests."""
    folder = tmp_path_factory.mktemp("stand")
    with lasting_stand(embedded_server, folder, POOLS, APP, log=QUIET) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew()
    return shared_stand


both_kinds = pytest.mark.parametrize("pool", ["io", "cpu"])


def texts(stand: Stand, job: int) -> list[str]:
    return [line.text for line in read_log(stand.connection, LogFilter(job))]


def progress(stand: Stand, job: int) -> tuple[float, str] | None:
    found = fetch_progress(stand.connection, [job]).get(job)
    return None if found is None else (found.fraction, found.message)


@both_kinds
def test_log_and_progress_are_read_while_the_job_runs(
    stand: Stand, tmp_path: Path, pool: str
) -> None:
    stand.start(pool)
    job = stand.enqueue("say_and_wait", str(tmp_path / "go"))

    eventually(lambda: texts(stand, job) == ["begun"], 5.0)
    eventually(lambda: progress(stand, job) == (0.5, "half way"), 5.0)
    assert stand.state(job) == "running"

    (tmp_path / "go").touch()
    stand.wait_for(job, "succeeded")
    assert texts(stand, job) == ["begun", "over"]
    assert progress(stand, job) == (0.5, "half way")
    assert stand.query("SELECT count(*) FROM taskd.progress") == [(0,)]


def test_25_greenlets_that_log_at_the_same_time_each_reach_their_own_job(stand: Stand) -> None:
    stand.start("io")

    jobs = stand.enqueue_many("mingle", [(40,)] * 25)
    stand.wait_for_count("succeeded", 25)

    for job in jobs:
        assert texts(stand, job) == [f"{number} of job {job}" for number in range(40)]


WATCH_ENDS = """
DROP TABLE IF EXISTS torn;
CREATE TABLE torn (job bigint);
CREATE OR REPLACE FUNCTION watch_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO torn
    SELECT NEW.id WHERE (SELECT count(*) FROM taskd.job_log l WHERE l.job = NEW.id) <> 3;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER watch_end
AFTER INSERT ON taskd.history FOR EACH ROW EXECUTE FUNCTION watch_end();
"""


@both_kinds
def test_a_log_is_whole_when_the_state_of_its_job_is_final(stand: Stand, pool: str) -> None:
    stand.connection.execute(WATCH_ENDS)
    stand.start(pool)

    jobs = stand.enqueue_many("say_three", [()] * 200)
    stand.wait_for_count("succeeded", 200)

    assert stand.query("SELECT count(*) FROM torn") == [(0,)]
    assert texts(stand, jobs[0]) == ["line 0", "line 1", "line 2"]


def test_greenlets_and_threads_of_a_job_in_a_greenlet_worker_belong_to_it(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("ask_others")

    stand.wait_for(job, "succeeded")
    assert texts(stand, job) == [f"a greenlet of job {job}", f"a thread of job {job}"]


def test_threads_of_a_job_in_a_process_worker_log_on_it(stand: Stand) -> None:
    stand.start("cpu")

    job = stand.enqueue("say_in_thread")

    stand.wait_for(job, "succeeded")
    assert texts(stand, job) == ["from a thread"]


@both_kinds
def test_a_child_that_a_job_forks_leaves_its_log_alone(stand: Stand, pool: str) -> None:
    stand.start(pool)

    job = stand.enqueue("fork")

    stand.wait_for(job, "succeeded")
    assert texts(stand, job) == ["before", "after"]
    assert progress(stand, job) is None


def test_a_timeout_strikes_in_the_midst_of_logging_and_the_worker_goes_on(
    stand: Stand, tmp_path: Path
) -> None:
    pid = stand.start("cpu")

    for number in range(10):
        path = tmp_path / str(number)
        job = stand.enqueue("say_without_end", str(path), timeout=0.05 + number / 100)
        eventually(path.exists)
        eventually(lambda: 0 < stand.read().deadline < monotonic_ns())
        os.kill(pid, signal.SIGUSR1)
        assert "JobTimeout" in stand.wait_for(job, "failed")[1]
        told = [t for t in texts(stand, job) if t.startswith("line")]
        assert len(set(told)) == len(told) > 0

    after = stand.enqueue("say_three")
    stand.wait_for(after, "succeeded")
    assert texts(stand, after) == ["line 0", "line 1", "line 2"]


@both_kinds
def test_a_job_that_logs_without_end_neither_waits_nor_grows(stand: Stand, pool: str) -> None:
    stand.start(pool)

    job = stand.enqueue("flood", 100_000)

    result, *_ = stand.wait_for(job, "succeeded", 60.0)
    grown, seconds = eval(result)
    assert grown < 2_000_000
    assert seconds < 30
    kept = texts(stand, job)
    assert kept[0] == "warming up: 0"
    assert kept[-1].startswith("line 99999: x")
    assert any("lines were left out" in text for text in kept)


@both_kinds
def test_lines_survive_a_connection_that_is_cut(stand: Stand, pool: str) -> None:
    stand.start(pool)

    job = stand.enqueue("cut_connections", stand.dsn)

    stand.wait_for(job, "succeeded")
    assert texts(stand, job) == ["before", *(f"after {number}" for number in range(10))]


@both_kinds
def test_what_a_job_says_that_ends_in_its_own_transaction_is_stored_before_its_worker_ends(
    stand: Stand, pool: str
) -> None:
    pid = stand.start(pool)
    job = stand.enqueue("end_itself", 0.2)
    stand.wait_for(job, "succeeded")

    os.kill(pid, signal.SIGTERM)
    stand.wait_for_end(pid)

    kept = texts(stand, job)
    assert kept[:3] == ["before", "in the transaction", "after 0"]
    assert kept[-1] == "after 599"
    assert progress(stand, job) == (1.0, "all")
    assert stand.query("SELECT count(*) FROM taskd.progress") == [(0,)]


@both_kinds
def test_what_a_failure_handler_logs_lands_on_its_job(stand: Stand, pool: str) -> None:
    stand.start(pool)

    job = stand.enqueue("fail_and_tell")

    stand.wait_for(job, "failed")
    assert texts(stand, job) == ["begun", "the handler saw: ValueError: boom", "and is done"]


def test_a_progress_that_is_no_share_fails_its_job_and_is_not_stored(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("bad_progress")

    assert "progress=1.5 is not between 0 and 1" in stand.wait_for(job, "failed")[1]
    assert progress(stand, job) is None
