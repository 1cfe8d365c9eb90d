"""Process workers: one job at a time, which the master can interrupt."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.board import WorkerState
from taskd.board.layout import FRESH, LOOK
from taskd.clock import monotonic_ns
from taskd.config.settings import PoolSettings
from taskd.store import jobs
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

APP = """
import os
import signal
import subprocess
import sys
import time

from taskd import task


def add(a, b):
    return a + b


def spin(path=None):
    if path is not None:
        open(path, "w").close()
    while True:
        pass


def nap(seconds):
    time.sleep(seconds)


@task(timeout=0.3)
def oversleep():
    time.sleep(60)


def leave():
    sys.exit(3)


class Leaving:
    def __repr__(self):
        raise SystemExit(3)


def leaving_local():
    local = Leaving()
    raise ValueError("boom")


def vanish():
    os._exit(0)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def close_everything():
    os.closerange(3, 1000)


def spin_deaf(path):
    close_everything()
    spin(path)


def own_handlers():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def read_stdin():
    return sys.stdin.read()


def start_child(path):
    with open(path, "w") as file:
        file.write(str(subprocess.Popen(["sleep", "600"]).pid))


def modules():
    return [name for name in ("gevent", "gevent.hub") if name in sys.modules]


def threads():
    return len(os.listdir("/proc/self/task"))
"""
CPU = PoolSettings(shutdown_timeout=5.0, kill_grace=1.0)


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A host with one process pool `cpu`, for all tests."""
    with lasting_stand(
        embedded_server, tmp_path_factory.mktemp("stand"), {"cpu": CPU}, APP
    ) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew()
    return shared_stand


def test_jobs_run_one_after_the_other(stand: Stand) -> None:
    stand.start("cpu")

    stand.enqueue_many("add", [(n, n) for n in range(20)])

    stand.wait_for_count("succeeded", 20)
    overlapping = stand.query(
        "SELECT count(*) FROM taskd.history a, taskd.history b "
        "WHERE a.id < b.id AND a.finished_at > b.finished_at"
    )
    assert overlapping == [(0,)]


def test_a_process_worker_never_sees_gevent(stand: Stand) -> None:
    stand.start("cpu")

    job = stand.enqueue("modules")

    assert stand.wait_for(job, "succeeded")[0] == "[]"


def test_a_worker_tells_what_it_held_before_its_first_job(stand: Stand) -> None:
    stand.start("cpu")

    eventually(lambda: stand.read().state is WorkerState.READY)

    assert stand.board.slot(0).words[FRESH] > 1_000_000


def test_the_board_tells_the_running_job_and_its_deadline(stand: Stand) -> None:
    stand.start("cpu")
    job = stand.enqueue("nap", 60, timeout=30.0)

    reading = eventually(lambda: (r := stand.read()).in_flight and r)

    assert reading is not None
    assert not isinstance(reading, int)
    assert reading.job == job
    assert stand.board.slot(0).seated() == [job]
    assert 0 < reading.deadline - monotonic_ns() < 30e9
    assert reading.deadline - reading.started == 30_000_000_000


def test_a_signal_of_the_master_ends_a_job_whose_time_is_over(stand: Stand) -> None:
    pid = stand.start("cpu")
    late = stand.enqueue("spin", timeout=0.3)
    eventually(lambda: 0 < stand.read().deadline < monotonic_ns())

    os.kill(pid, signal.SIGUSR1)

    assert "JobTimeout" in stand.wait_for(late, "failed")[1]
    stand.wait_for(stand.enqueue("add", 1, 1), "succeeded")


def test_a_signal_that_comes_before_the_deadline_does_nothing(stand: Stand) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue("nap", 0.5, timeout=30.0)
    eventually(lambda: stand.read().in_flight == 1)

    os.kill(pid, signal.SIGUSR1)

    stand.wait_for(job, "succeeded")


def test_a_running_job_is_cancelled_by_the_board_and_a_signal(stand: Stand, tmp_path: Path) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue("spin", str(tmp_path / "spins"))
    eventually((tmp_path / "spins").exists)
    jobs.cancel_jobs(stand.connection, [job])

    stand.board.slot(0).words[LOOK] = job
    os.kill(pid, signal.SIGUSR1)

    stand.wait_for(job, "cancelled")
    untaken = "SELECT count(*) FROM taskd.request WHERE taken_at IS NULL"
    eventually(lambda: stand.query(untaken) == [(0,)])


def test_term_lets_the_job_finish_and_ends_the_worker(stand: Stand) -> None:
    pid = stand.start("cpu")
    job, waiting = stand.enqueue("nap", 0.5), stand.enqueue("add", 1, 1)
    eventually(lambda: stand.state(job) == "running")

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.read().state is WorkerState.EXITING
    assert stand.state(job) == "succeeded"
    assert stand.state(waiting) == "queued"


def test_term_ends_an_idle_worker_at_once(stand: Stand) -> None:
    pid = stand.start("cpu")

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid, seconds=2.0) == 0


@pytest.mark.parametrize("task", ["spin", "spin_deaf"])
def test_a_second_term_interrupts_the_job_which_goes_back_uncharged(
    stand: Stand, tmp_path: Path, task: str
) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue(task, str(tmp_path / "spins"))
    eventually((tmp_path / "spins").exists)

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.read().state is WorkerState.DRAINING)
    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.query("SELECT lane, attempt FROM taskd.queued WHERE id = %s", job) == [(10, 0)]


@pytest.mark.parametrize(
    ("task", "said"), [("leave", "sys.exit(3)"), ("leaving_local", "ValueError: boom")]
)
def test_sys_exit_fails_its_job_only(stand: Stand, task: str, said: str) -> None:
    stand.start("cpu")

    bad, good = stand.enqueue(task), stand.enqueue("add", 1, 1)

    assert said in stand.wait_for(bad, "failed")[1]
    stand.wait_for(good, "succeeded")


@pytest.mark.parametrize(("task", "status"), [("vanish", 0), ("crash", -signal.SIGSEGV)])
def test_a_job_that_takes_its_worker_down_says_no_goodbye(
    stand: Stand, task: str, status: int
) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue(task)

    assert stand.wait_for_end(pid) == status
    assert stand.read().state is WorkerState.READY
    assert stand.state(job) == "running"


def test_a_job_that_closes_every_descriptor_hurts_no_other(stand: Stand) -> None:
    pid = stand.start("cpu")
    bad, good = stand.enqueue("close_everything"), stand.enqueue("add", 1, 1)

    stand.wait_for(bad, "succeeded")
    assert stand.wait_for_end(pid) == 0  # it makes room for a worker that can be called
    stand.start("cpu", 1)

    stand.wait_for(good, "succeeded")


def test_signal_handlers_of_a_job_do_not_outlive_it(stand: Stand) -> None:
    pid = stand.start("cpu")
    stand.wait_for(stand.enqueue("own_handlers"), "succeeded")

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0


def test_a_job_finds_stdin_empty(stand: Stand) -> None:
    stand.start("cpu")

    assert stand.wait_for(stand.enqueue("read_stdin"), "succeeded")[0] == '""'


def test_what_a_job_starts_is_in_the_workers_process_group(stand: Stand, tmp_path: Path) -> None:
    pid = stand.start("cpu")

    stand.wait_for(stand.enqueue("start_child", str(tmp_path / "child")), "succeeded")
    child = int((tmp_path / "child").read_text())

    assert os.getpgid(child) == os.getpgid(pid) == pid
    stand.pids.add(child)  # a grandchild becomes ours when the worker is gone
    os.killpg(pid, signal.SIGKILL)


def test_usr2_tells_where_the_job_stands(stand: Stand, tmp_path: Path) -> None:
    pid = stand.start("cpu")
    stand.enqueue("spin", str(tmp_path / "spins"))
    eventually((tmp_path / "spins").exists)

    os.kill(pid, signal.SIGUSR2)

    eventually(lambda: "in spin" in stand.said())


def test_a_worker_goes_on_when_its_connection_is_cut(stand: Stand) -> None:
    stand.start("cpu")
    job = stand.enqueue("nap", 0.5)
    eventually(lambda: stand.state(job) == "running")

    stand.query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name LIKE 'taskd cpu/%%'"
    )

    stand.wait_for(job, "succeeded")
    stand.wait_for(stand.enqueue("add", 1, 1), "succeeded")


def test_an_idle_worker_has_one_thread(stand: Stand) -> None:
    stand.start("cpu")

    assert stand.wait_for(stand.enqueue("threads"), "succeeded")[0] == "1"
