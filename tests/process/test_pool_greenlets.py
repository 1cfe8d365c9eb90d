"""Greenlet workers: what becomes of jobs in them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from taskd.board import WorkerState
from taskd.board.layout import LOOK, PREFETCHED
from taskd.config.settings import PoolSettings
from taskd.pool.appetite import MOST
from taskd.pool.claimer import MOST_UNREPORTED
from taskd.store import jobs
from taskd.store.graph import enqueue_graph
from taskd.store.rows import NewGraph, NewJob
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.store.graph_makers import EXCLUSIVE
from tests.waiting import eventually

APP = """
import os
import sys
import time

import gevent

from taskd import current_job, task


def noop(*args):
    pass


def add(a, b):
    return a + b


def close(fd):
    os.close(fd)


def nap(seconds):
    time.sleep(seconds)


@task(timeout=0.2)
def oversleep():
    time.sleep(60)


@task(timeout=0.2)
def tidy_up(path):
    try:
        time.sleep(60)
    finally:
        open(path, "w").close()


def clean_up(folder):
    try:
        time.sleep(60)
    finally:
        open(folder + "/cleaning", "w").close()
        while not os.path.exists(folder + "/go"):
            time.sleep(0.01)
        open(folder + "/clean", "w").close()


def stubborn():
    try:
        time.sleep(60)
    except Exception:
        return "swallowed"


def spin(path):
    open(path, "w").close()
    while True:
        pass


def leave():
    sys.exit(3)


def leave_in_a_greenlet():
    gevent.spawn(sys.exit, 3).join()


def vanish():
    os._exit(0)


def not_json():
    return {1, 2}


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no")

    __repr__ = __str__


def raise_unprintable():
    raise Unprintable


class Leaving:
    def __repr__(self):
        raise SystemExit(3)


def leaving_local():
    local = Leaving()
    raise ValueError("boom")


def raise_nul():
    raise ValueError("a\\0b \\ud800")


def which():
    return current_job().id


def fork_one_that_ends_at_once():
    def await_its_end():
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)

    os.register_at_fork(after_in_parent=await_its_end)
    child = os.fork()
    if child == 0:
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def enqueue_more():
    from taskd import enqueue

    enqueue("app.noop")


def number():
    import random

    return random.random()
"""
IO = PoolSettings(greenlets=25, shutdown_timeout=5.0, kill_grace=1.0)


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A host with one greenlet pool `io`, for all tests."""
    folder = tmp_path_factory.mktemp("stand")
    with lasting_stand(embedded_server, folder, {"io": IO}, APP) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    shared_stand.renew()
    return shared_stand


def test_a_job_runs_and_its_result_is_stored(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("add", 2, 3)

    assert stand.wait_for(job, "succeeded")[0] == "5"


def test_25_greenlets_of_one_worker_sleep_at_once(stand: Stand) -> None:
    stand.start("io")

    began = time.monotonic()
    stand.enqueue_many("nap", [(1.0,)] * 25)
    stand.wait_for_count("succeeded", 25)

    assert time.monotonic() - began < 5.0


def test_more_jobs_than_slots_all_run(stand: Stand) -> None:
    stand.start("io")

    stand.enqueue_many("noop", [(n,) for n in range(3000)])

    stand.wait_for_count("succeeded", 3000)
    assert stand.read().succeeded == 3000
    assert stand.read().in_flight == 0


def test_jobs_of_more_bytes_than_one_claim_takes_all_run(stand: Stand) -> None:
    stand.start("io")

    stand.enqueue_many("noop", [("x" * (1 << 20),)] * 40)

    stand.wait_for_count("succeeded", 40)


def test_the_board_says_which_jobs_have_begun_and_not_ended(stand: Stand) -> None:
    stand.start("io")
    stand.enqueue_many("noop", [(n,) for n in range(1000)])
    stand.wait_for_count("succeeded", 1000)
    ended = stand.board.slot(0).seated()
    jobs = stand.enqueue_many("nap", [(60.0,)] * 60)
    eventually(lambda: stand.read().in_flight == 25)

    assert ended == []
    assert sorted(stand.board.slot(0).seated()) == jobs[:25]


def test_two_workers_share_a_backlog_and_no_job_runs_twice(stand: Stand) -> None:
    stand.start("io", 0)
    stand.start("io", 1)

    stand.enqueue_many("noop", [(n,) for n in range(5000)])

    stand.wait_for_count("succeeded", 5000)
    assert stand.read(0).succeeded + stand.read(1).succeeded == 5000
    assert stand.query("SELECT count(*) FROM taskd.history") == [(5000,)]


def test_a_job_over_its_time_fails_while_its_neighbours_go_on(stand: Stand) -> None:
    stand.start("io")

    late, neighbour = stand.enqueue("oversleep"), stand.enqueue("nap", 1.0)

    assert "JobTimeout" in stand.wait_for(late, "failed")[1]
    stand.wait_for(neighbour, "succeeded")


def test_a_jobs_own_timeout_goes_before_its_tasks(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("nap", 60, timeout=0.2)

    assert "JobTimeout" in stand.wait_for(job, "failed")[1]


def test_a_timed_out_job_may_clean_up(stand: Stand, tmp_path: Path) -> None:
    stand.start("io")

    job = stand.enqueue("tidy_up", str(tmp_path / "tidy"))

    stand.wait_for(job, "failed")
    assert (tmp_path / "tidy").exists()


def test_except_exception_does_not_swallow_a_timeout(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("stubborn", timeout=0.2)

    stand.wait_for(job, "failed")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("leave", "sys.exit(3)"),
        ("not_json", "set"),
        ("raise_unprintable", "Unprintable"),
        ("raise_nul", "ValueError: a\\x00b"),
        ("leaving_local", "ValueError: boom"),
        ("missing", "app has no missing"),
    ],
)
def test_a_bad_job_fails_alone_and_says_why(stand: Stand, task: str, said: str) -> None:
    stand.start("io")

    bad, good = stand.enqueue(task), stand.enqueue("add", 1, 1)

    assert said in stand.wait_for(bad, "failed")[1]
    stand.wait_for(good, "succeeded")
    assert stand.read().failed == 1


def test_sys_exit_in_a_greenlet_of_a_job_ends_that_greenlet_only(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("leave_in_a_greenlet")

    stand.wait_for(job, "succeeded")
    assert stand.read().state is WorkerState.READY


def test_a_job_knows_itself(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("which")

    assert stand.wait_for(job, "succeeded")[0] == str(job)


def test_the_end_of_a_child_is_heard_even_if_it_comes_before_its_fork_returns(
    stand: Stand,
) -> None:
    stand.start("io")

    job = stand.enqueue("fork_one_that_ends_at_once")

    assert stand.wait_for(job, "succeeded")[0] == "3"


def test_a_job_may_enqueue_another(stand: Stand) -> None:
    stand.start("io")

    stand.enqueue("enqueue_more")
    eventually(lambda: stand.query("SELECT count(*) FROM taskd.job") == [(2,)])
    stand.wake()

    stand.wait_for_count("succeeded", 2)


def test_workers_of_one_forkserver_draw_different_random_numbers(stand: Stand) -> None:
    drawn = []
    for slot in (0, 1):
        pid = stand.start("io", slot)
        drawn.append(stand.wait_for(stand.enqueue("number"), "succeeded")[0])
        os.kill(pid, signal.SIGTERM)
        stand.wait_for_end(pid)

    assert drawn[0] != drawn[1]


def test_a_drain_finishes_running_jobs_and_gives_back_the_others(stand: Stand) -> None:
    pid = stand.start("io")
    stand.enqueue_many("nap", [(0.1,)] * 100)
    stand.wait_for_count("succeeded", 25)  # by now more are claimed than run
    stand.enqueue_many("nap", [(1.0,)] * 60)
    eventually(lambda: stand.read().in_flight == 25)

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    states = dict(stand.query("SELECT state, count(*) FROM taskd.job GROUP BY 1"))
    assert states.keys() == {"succeeded", "queued"}
    assert stand.query("SELECT count(*) FROM taskd.job WHERE state = 'queued' AND attempt > 0") == [
        (0,)
    ]


def test_a_second_term_interrupts_what_runs_and_gives_it_back_uncharged(stand: Stand) -> None:
    pid = stand.start("io")
    job = stand.enqueue("nap", 60)
    eventually(lambda: stand.read().in_flight == 1)

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.read().state is WorkerState.DRAINING)
    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.query("SELECT lane, attempt, losses FROM taskd.queued WHERE id = %s", job) == [
        (10, 0, 0)
    ]
    assert stand.query("SELECT outcome FROM taskd.attempt WHERE job = %s", job) == [("i",)]


def test_jobs_that_are_cancelled_before_they_begin_are_not_ready_any_more(stand: Stand) -> None:
    words = stand.board.slot(0).words
    stand.start("io")
    stand.enqueue_many("nap", [(0.1,)] * 100)
    stand.wait_for_count("succeeded", 25)  # by now more are claimed than run
    ids = stand.enqueue_many("nap", [(1.0,)] * 60)
    eventually(lambda: stand.read().in_flight == 25 and words[PREFETCHED] > 0)

    jobs.cancel_jobs(stand.connection, ids)
    words[LOOK] = ids[-1]
    stand.wake()

    stand.wait_for_count("cancelled", 60)
    stand.wait_for_count("succeeded", 100)
    assert words[PREFETCHED] == 0


def test_the_first_term_lets_jobs_finish_also_if_the_worker_drains_already(stand: Stand) -> None:
    pid = stand.start("io")
    job = stand.enqueue("nap", 3.0)
    stand.enqueue("close", stand.wakeups.fds[0])
    eventually(lambda: stand.read().state is WorkerState.DRAINING)

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "succeeded"


def test_an_interrupted_job_is_not_struck_again_while_it_cleans_up(
    stand: Stand, tmp_path: Path
) -> None:
    pid = stand.start("io")
    job = stand.enqueue("clean_up", str(tmp_path))
    eventually(lambda: stand.read().in_flight == 1)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.read().state is WorkerState.DRAINING)
    os.kill(pid, signal.SIGTERM)
    eventually((tmp_path / "cleaning").exists)

    os.kill(pid, signal.SIGTERM)
    stand.order_cancel(0, job)
    eventually(lambda: stand.read().told == job)
    (tmp_path / "go").touch()

    assert stand.wait_for_end(pid) == 0
    assert (tmp_path / "clean").exists()
    assert stand.state(job) == "cancelled"


def test_int_and_hup_are_ignored(stand: Stand) -> None:
    pid = stand.start("io")

    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGHUP)

    stand.wait_for(stand.enqueue("add", 1, 2), "succeeded")


def test_a_killed_workers_jobs_stay_with_it_until_it_is_rescued(stand: Stand) -> None:
    pid = stand.start("io")
    job = stand.enqueue("nap", 60)
    eventually(lambda: stand.state(job) == "running")

    os.kill(pid, signal.SIGKILL)

    assert stand.wait_for_end(pid) == -signal.SIGKILL
    assert stand.state(job) == "running"


@pytest.fixture
def hog(stand: Stand, tmp_path: Path) -> tuple[int, int, int]:
    """A job that computes for ever and a neighbour that sleeps; (worker's pid, hog, neighbour)."""
    pid = stand.start("io")
    neighbour = stand.enqueue("nap", 0.5)
    eventually(lambda: stand.read().in_flight == 1)
    job = stand.enqueue("spin", str(tmp_path / "spins"), timeout=1.0)
    eventually((tmp_path / "spins").exists)
    return pid, job, neighbour


def test_a_hog_that_is_over_its_time_is_broken_and_others_go_on(
    stand: Stand, hog: tuple[int, int, int]
) -> None:
    pid, job, neighbour = hog

    def usr1_until_it_fails() -> bool:
        os.kill(pid, signal.SIGUSR1)
        return stand.state(job) == "failed"

    eventually(usr1_until_it_fails)
    assert "JobTimeout" in stand.wait_for(job, "failed")[1]
    stand.wait_for(neighbour, "succeeded")


def test_a_hog_that_is_cancelled_is_broken(stand: Stand, hog: tuple[int, int, int]) -> None:
    pid, job, neighbour = hog
    stand.order_cancel(0, job)

    os.kill(pid, signal.SIGUSR1)

    stand.wait_for(job, "cancelled")
    stand.wait_for(neighbour, "succeeded")


def test_a_hog_is_not_to_blame_when_another_job_is_cancelled(
    stand: Stand, hog: tuple[int, int, int]
) -> None:
    pid, job, neighbour = hog
    stand.order_cancel(0, neighbour)

    os.kill(pid, signal.SIGUSR1)

    assert stand.state(job) == "running"


def test_usr2_tells_where_every_job_stands_while_the_hub_is_blocked(
    stand: Stand, tmp_path: Path
) -> None:
    pid = stand.start("io")
    stand.enqueue("nap", 60)
    eventually(lambda: stand.read().in_flight == 1)
    stand.enqueue("spin", str(tmp_path / "spins"))
    eventually((tmp_path / "spins").exists)

    os.kill(pid, signal.SIGUSR2)

    eventually(lambda: "(app.nap), running for" in stand.said())
    assert "in spin" in stand.said()


def test_a_running_job_is_cancelled(stand: Stand) -> None:
    stand.start("io")
    job = stand.enqueue("nap", 60)
    eventually(lambda: stand.state(job) == "running")

    stand.order_cancel(0, job)

    stand.wait_for(job, "cancelled")
    assert stand.query("SELECT count(*) FROM taskd.request WHERE taken_at IS NULL") == [(0,)]


def test_a_worker_without_jobs_says_idle_and_calls_maintenance(stand: Stand) -> None:
    stand.start("io")

    assert stand.read().idle == 25
    assert os.eventfd_read(stand.kick_fd) == 1


def test_a_worker_claims_what_the_ends_of_its_own_jobs_let_in(stand: Stand) -> None:
    stand.start("io")
    needs = {"res": ("x",), "need": (EXCLUSIVE,)}
    jobs_of_x = [NewJob(task="app.noop", args="[]", **needs) for _ in range(5)]
    ids = enqueue_graph(stand.connection, NewGraph(tuple(jobs_of_x)))

    stand.wake()  # once, and nobody calls again

    for job in ids:
        stand.wait_for(job, "succeeded")


def test_a_worker_whose_host_was_declared_dead_registers_with_the_next(stand: Stand) -> None:
    from taskd.store import hosts

    stand.start("io")
    first = stand.read().worker
    hosts.rescue_host(stand.connection, stand.board.host, None, "test", charge=False)
    stand.enter_host()

    job = stand.enqueue("add", 1, 1)

    stand.wait_for(job, "succeeded")
    assert stand.read().worker != first


def test_an_outcome_of_a_job_that_was_given_back_is_dropped(stand: Stand) -> None:
    from taskd.store import hosts

    stand.start("io")
    job = stand.enqueue("nap", 0.5)
    eventually(lambda: stand.state(job) == "running")

    hosts.rescue_workers(stand.connection, [stand.read().worker], "test", charge=False)

    eventually(lambda: stand.read().succeeded == 1)
    assert stand.state(job) == "queued"
    stand.wake()
    stand.wait_for(job, "succeeded")  # once more, by the worker's next registration


def test_a_worker_goes_on_when_its_connections_are_cut(stand: Stand) -> None:
    stand.start("io")
    job = stand.enqueue("nap", 0.5)
    eventually(lambda: stand.state(job) == "running")

    stand.query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name LIKE 'taskd io/%%'"
    )

    stand.wait_for(job, "succeeded")
    stand.wait_for(stand.enqueue("add", 1, 1), "succeeded")


def test_a_worker_has_a_second_connection_only_while_its_jobs_are_tiny(stand: Stand) -> None:
    def connections() -> list[str]:
        found = stand.query(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE application_name LIKE 'taskd io/%%' AND datname = current_database() ORDER BY 1"
        )
        return [name for (name,) in found]

    stand.start("io")
    stand.enqueue_many("nap", [(0.1,)] * 100)
    stand.wait_for_count("succeeded", 100)
    slow = connections()
    stand.enqueue_many("noop", [(n,) for n in range(5000)])

    assert slow == ["taskd io/0"]
    eventually(lambda: connections() == ["taskd io/0", "taskd io/0 second"])
    stand.wait_for_count("succeeded", 5100)
    eventually(lambda: connections() == ["taskd io/0"])


def running(stand: Stand) -> int:
    """How many jobs workers have in hand, whether they have begun or ended."""
    return int(stand.query("SELECT count(*) FROM taskd.running")[0][0])


def test_a_worker_claims_no_more_while_too_many_ends_cannot_be_stored(stand: Stand) -> None:
    many, bound = 5 * MOST_UNREPORTED, MOST_UNREPORTED + 3 * MOST
    stand.start("io")
    stand.enqueue_many("noop", [()] * many)
    eventually(lambda: running(stand) > MOST)  # it is at full speed now

    with psycopg.connect(stand.dsn) as other:
        other.execute("LOCK TABLE taskd.history IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: running(stand) > MOST_UNREPORTED)
        most = max(running(stand) for _ in range(300))

    assert most <= bound
    stand.wait_for_count("succeeded", many)


def test_a_missing_partition_of_history_is_made_when_it_is_needed(stand: Stand) -> None:
    stand.start("io")
    for (part,) in stand.query(
        "SELECT relname FROM pg_class WHERE relname ~ '^(history|attempt)_[0-9]+$'"
    ):
        stand.connection.execute(f"DROP TABLE taskd.{part}".encode())

    jobs = [stand.enqueue("noop"), stand.enqueue("add", 1, 1), stand.enqueue("leave")]

    for job, state in zip(jobs, ["succeeded", "succeeded", "failed"], strict=True):
        stand.wait_for(job, state)


def test_an_orphan_drains_and_ends(stand: Stand) -> None:
    pid = stand.start("io")
    job = stand.enqueue("nap", 1.0)
    eventually(lambda: stand.state(job) == "running")

    stand.pretend_to_be_dead()

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "succeeded"


def test_jobs_that_wait_behind_slow_ones_are_given_to_idle_neighbours(stand: Stand) -> None:
    stand.start("io", 0)
    stand.enqueue_many("noop", [(n,) for n in range(2000)])
    stand.wait_for_count("succeeded", 2000)
    stand.enqueue_many("nap", [(10.0,)] * 60)
    eventually(lambda: stand.read().in_flight == 25)

    stand.order_worker(stand.forkserver("io"), 1)

    eventually(lambda: stand.read(0).in_flight + stand.read(1).in_flight == 50, seconds=8.0)
