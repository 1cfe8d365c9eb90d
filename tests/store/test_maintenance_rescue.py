from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskd.board.layout import WORKER
from taskd.errors import DatabaseUnavailable
from taskd.maintenance import rescue as rescue_module
from taskd.maintenance.rescue import DeadHost, DeadIncarnation, DeadWorker, Rescue
from taskd.store import hosts, jobs, look
from taskd.store.connect import Connection
from taskd.store.rows import State
from tests.crew import Crew
from tests.store.keepers import Clock, MakeLink, crew, cut, make_link
from tests.store.makers import add_host, add_jobs, add_worker, claim, ids_of, lanes, places
from tests.waiting import eventually

__all__ = ["crew", "make_link"]


class Bench:
    """A rescue whose steps the test takes itself, and what it told."""

    def __init__(self, crew: Crew, make_link: MakeLink, connection: Connection) -> None:
        self.crew, self.connection = crew, connection
        self.rescued: list[UUID] = []
        self.looks: list[bool] = []
        crew.board.host = add_host(connection)
        self.rescue = Rescue(crew.host, make_link(), self.rescued.append, self.looks.append)

    def work(self, pid: int = 1) -> tuple[int, int]:
        """A worker of this host with one job: their ids."""
        worker = add_worker(self.connection, self.crew.board.host, pid)
        add_jobs(self.connection)
        (job,) = ids_of(claim(self.connection, worker))
        return worker, job

    def loses(self, job: int) -> int:
        found = look.fetch_job(self.connection, job)
        assert found is not None
        return found.losses


@pytest.fixture
def bench(crew: Crew, make_link: MakeLink, connection: Connection) -> Bench:
    return Bench(crew, make_link, connection)


@pytest.fixture
def gone() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


@pytest.fixture
def living() -> Iterator[int]:
    """The pid of a process that lives."""
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


def died(worker: int = 0, pid: int = 1, charge: bool = True) -> DeadWorker:
    return DeadWorker(slot=0, pid=pid, worker=worker, reason="killed by signal 9", charge=charge)


def test_the_jobs_of_a_worker_that_died_go_back_charged(bench: Bench) -> None:
    worker, job = bench.work()

    bench.rescue.add(died(worker))
    bench.rescue.step()

    assert places(bench.connection, job) == ["queued"]
    assert bench.loses(job) == 1
    assert bench.rescue.is_done
    assert bench.looks == [False]
    assert bench.crew.stories() == [
        f"worker {worker} is gone (killed by signal 9): 1 job went back"
    ]


def test_an_end_that_was_ordered_charges_nobody(bench: Bench) -> None:
    worker, job = bench.work()

    bench.rescue.add(died(worker, charge=False))
    bench.rescue.step()

    assert bench.loses(job) == 0


def test_a_worker_that_had_not_told_its_id_is_found_by_its_pid(bench: Bench, gone: int) -> None:
    _, job = bench.work(pid=gone)

    bench.rescue.add(died(pid=gone))
    bench.rescue.step()

    assert places(bench.connection, job) == ["queued"]


def test_an_heir_of_the_pid_keeps_its_jobs(bench: Bench, living: int) -> None:
    _, old_job = bench.work(pid=living)
    heir, job = bench.work(pid=living)
    bench.crew.hire(0, worker=heir, pid=living)

    bench.rescue.add(died(pid=living))
    bench.rescue.step()

    assert places(bench.connection, old_job) == ["queued"]
    assert places(bench.connection, job) == ["running"]


def test_nobody_is_rescued_by_pid_while_an_heir_has_not_told_its_id(
    bench: Bench, living: int
) -> None:
    heir, job = bench.work(pid=living)
    slot = bench.crew.hire(0, worker=0, pid=living)

    bench.rescue.add(died(pid=living))
    wait = bench.rescue.step()
    unsettled = bench.rescue.is_done
    slot.words[WORKER] = heir
    bench.rescue.step()

    assert (wait, unsettled) == (0.05, False)
    assert bench.rescue.is_done
    assert places(bench.connection, job) == ["running"]


def test_a_death_before_registration_is_settled_at_once(bench: Bench, gone: int) -> None:
    bench.rescue.add(died(pid=gone))
    bench.rescue.step()

    assert bench.rescue.is_done


def test_an_outage_delays_a_rescue_and_loses_none(
    bench: Bench, connect_again: Callable[[], Connection]
) -> None:
    worker, job = bench.work()
    blocker = connect_again()
    blocker.execute("BEGIN")
    blocker.execute("SELECT FROM taskd.worker WHERE id = %s FOR KEY SHARE", (worker,))
    bench.rescue.add(died(worker))

    with ThreadPoolExecutor() as threads:
        step = threads.submit(bench.rescue.step)
        eventually(lambda: waits_for_a_lock(bench.connection))
        cut(bench.connection, "taskd test 0")
        failure = step.exception(10)
    held = places(bench.connection, job)
    blocker.execute("COMMIT")
    bench.rescue.step()

    assert isinstance(failure, DatabaseUnavailable)
    assert held == ["running"]
    assert places(bench.connection, job) == ["queued"]


def test_rescuing_twice_takes_nothing_from_the_next_worker(bench: Bench) -> None:
    worker, job = bench.work()
    bench.rescue.add(died(worker))
    bench.rescue.step()
    next_worker = add_worker(bench.connection, bench.crew.board.host)
    rows = jobs.claim_jobs(bench.connection, next_worker, lanes(), 10)
    assert rows is not None
    assert ids_of(rows) == [job]

    bench.rescue.add(died(worker))
    bench.rescue.step()

    assert places(bench.connection, job) == ["running"]
    assert bench.loses(job) == 1


def test_a_claim_that_the_dead_had_under_way_is_rescued_too(
    bench: Bench, connect_again: Callable[[], Connection]
) -> None:
    worker = add_worker(bench.connection, bench.crew.board.host)
    (job,) = add_jobs(bench.connection)
    backend = connect_again()
    backend.execute("BEGIN")
    claim(backend, worker)

    bench.rescue.add(died(worker))
    with ThreadPoolExecutor() as threads:
        step = threads.submit(bench.rescue.step)
        eventually(lambda: waits_for_a_lock(bench.connection))
        backend.execute("COMMIT")
        step.result(10)

    assert places(bench.connection, job) == ["queued"]


def waits_for_a_lock(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return row is not None and row[0] == 1


def test_a_host_whose_beat_stands_still_is_ended_with_its_workers(bench: Bench) -> None:
    other = add_host(bench.connection)
    worker = add_worker(bench.connection, other)
    (job,) = add_jobs(bench.connection)
    claim(bench.connection, worker)

    bench.rescue.add(DeadHost(other, 0))
    bench.rescue.step()

    assert places(bench.connection, job) == ["queued"]
    assert other not in [row.id for row in hosts.list_hosts(bench.connection)]
    assert f"host {other} is dead" in bench.crew.stories()[0]


def test_a_host_that_beat_again_before_the_verdict_lives(bench: Bench) -> None:
    other = add_host(bench.connection)
    hosts.beat_host(bench.connection, other, None)

    bench.rescue.add(DeadHost(other, 0))
    bench.rescue.step()

    assert other in [row.id for row in hosts.list_hosts(bench.connection)]
    assert bench.crew.told == []


def test_the_jobs_of_a_dead_incarnation_go_back_at_once(bench: Bench) -> None:
    incarnation = uuid4()
    other = hosts.register_host(bench.connection, incarnation, "here", 1, "0")
    worker = add_worker(bench.connection, other)
    (job,) = add_jobs(bench.connection)
    claim(bench.connection, worker)

    bench.rescue.add(DeadIncarnation(incarnation))
    bench.rescue.step()

    assert places(bench.connection, job) == ["queued"]
    assert (bench.rescued, bench.looks) == ([incarnation], [True])


def test_an_incarnation_that_never_reached_the_database_is_told_as_rescued(bench: Bench) -> None:
    incarnation = uuid4()

    bench.rescue.add(DeadIncarnation(incarnation))
    bench.rescue.step()

    assert bench.rescued == [incarnation]


def test_a_job_whose_workers_are_lost_again_and_again_fails_as_poisoned(bench: Bench) -> None:
    (job,) = add_jobs(bench.connection)
    for _ in range(hosts.MAX_LOSSES):
        worker = add_worker(bench.connection, bench.crew.board.host)
        claim(bench.connection, worker)
        bench.rescue.add(died(worker))
        bench.rescue.step()

    found = look.fetch_job(bench.connection, job)

    assert found is not None
    assert found.state is State.FAILED
    assert "poisoned" in (found.error or "")
    assert "1 job failed for it" in bench.crew.stories()[-1]


def test_a_worker_that_died_with_one_job_running_was_crashed_by_it(bench: Bench) -> None:
    worker, job = bench.work()
    (other,) = add_jobs(bench.connection)
    claim(bench.connection, worker)

    bench.rescue.add(replace(died(worker), begun=(job,)))
    bench.rescue.step()

    crashed, spared = (look.fetch_job(bench.connection, one) for one in (job, other))
    assert crashed is not None
    assert spared is not None
    assert (crashed.crashes, crashed.losses) == (1, 0)
    assert (spared.crashes, spared.losses) == (0, 0)


@pytest.mark.parametrize("is_known", [True, False])
def test_of_several_nobody_is_to_blame(bench: Bench, is_known: bool) -> None:
    worker, job = bench.work()
    (other,) = add_jobs(bench.connection)
    claim(bench.connection, worker)

    begun = (job, other) if is_known else None
    bench.rescue.add(replace(died(worker), begun=begun))
    bench.rescue.step()

    assert [bench.loses(one) for one in (job, other)] == [1, 1]


def test_what_no_job_of_its_own_did_is_not_blamed_on_the_one_that_ran(bench: Bench) -> None:
    worker, job = bench.work()

    bench.rescue.add(replace(died(worker), begun=(job,), why="hog"))
    bench.rescue.step()

    assert bench.loses(job) == 1


class Sweeps:
    """Turns the clock from sweep to sweep."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.clock = Clock(10**9)
        monkeypatch.setattr(rescue_module, "monotonic", self.clock)

    def sweep(self) -> float:
        """Sweep once; the seconds until the next one."""
        wait = self.bench.rescue.step()
        self.clock.now += wait
        return wait


@pytest.fixture
def sweeps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    return Sweeps(bench, monkeypatch)


def test_two_sweeps_rescue_a_worker_of_whose_death_nobody_told(sweeps: Sweeps, gone: int) -> None:
    bench = sweeps.bench
    _, job = bench.work(pid=gone)

    first = sweeps.sweep()
    after_first = places(bench.connection, job)
    sweeps.sweep()

    assert (first, after_first) == (5.0, ["running"])
    assert places(bench.connection, job) == ["queued"]


def test_sweeps_spare_workers_whose_processes_live(sweeps: Sweeps) -> None:
    bench = sweeps.bench
    _, job = bench.work(pid=os.getpid())

    waits = [sweeps.sweep() for _ in range(3)]

    assert waits == [60.0] * 3
    assert places(bench.connection, job) == ["running"]


def test_a_sweep_asks_nothing_as_long_as_the_same_workers_live(sweeps: Sweeps, gone: int) -> None:
    bench = sweeps.bench
    bench.work(pid=os.getpid())
    bench.crew.hire(0)
    sweeps.sweep()

    bench.work(pid=gone)  # nobody could have registered, as the board has not changed
    same = sweeps.sweep()
    bench.crew.hire(1)
    other = sweeps.sweep()

    assert (same, other) == (60.0, 5.0)


def test_sweeps_rescue_a_worker_whose_pid_belongs_to_another_now(sweeps: Sweeps) -> None:
    bench = sweeps.bench
    _, job = bench.work(pid=os.getpid())
    heir = add_worker(bench.connection, bench.crew.board.host, os.getpid())
    bench.crew.hire(0, worker=heir)

    sweeps.sweep()
    sweeps.sweep()

    assert places(bench.connection, job) == ["queued"]


def read(message: dict[str, Any]) -> DeadWorker:
    return DeadWorker.from_message(message)


def test_a_death_is_read_as_the_master_tells_it() -> None:
    message = {"op": "died", "slot": 3, "pid": 9, "worker": None, "reason": "x", "charge": False}

    assert read(message) == DeadWorker(slot=3, pid=9, worker=0, reason="x", charge=False)
