"""Jobs that need resources, on real workers: who runs with whom, and who comes after whom."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import combinations

import pytest

from tests.conftest import TestServer
from tests.process.daemon import Project, project_on
from tests.process.gates import CODE, EXCLUSIVE, SHARED, Gates
from tests.waiting import eventually

CONFIG = """
imports: [shop]
pools:
  io: {queues: [default], processes: 2, greenlets: 25}
  cpu: {queues: [cpu], processes: 3}
log: {level: debug}
"""
FIVE = {
    "T1": {"A": EXCLUSIVE, "B": SHARED},
    "T2": {"A": SHARED},
    "T3": {"A": SHARED},
    "T4": {"A": EXCLUSIVE},
    "T5": {"B": EXCLUSIVE},
}
AFTER_EACH_OTHER = {
    ("T1", "T2"),  # of A exclusive and shared
    ("T1", "T3"),
    ("T1", "T4"),  # of A exclusive both
    ("T1", "T5"),  # of B shared and exclusive
    ("T2", "T4"),  # of A shared and exclusive
    ("T3", "T4"),
}
"""All other pairs may run together: T2 and T3 share A, T5 has nothing in common with T2 to T4."""


@pytest.fixture(scope="module")
def running(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A daemon for all tests that let it live."""
    with project_on(embedded_server, tmp_path_factory.mktemp("gates"), CONFIG, CODE) as project:
        yield project
        assert project.daemons[0].stop() == 0, project.logs()


@pytest.fixture
def gates(running: Project) -> Iterator[Gates]:
    yield from opened(running)
    eventually(lambda: not {"running", "queued", "blocked"} & running.states().keys())


@pytest.fixture
def own_gates(project: Project) -> Iterator[Gates]:
    """Those of a project without a daemon."""
    project.write("taskd.yaml", CONFIG)
    yield from opened(project)


def opened(project: Project) -> Iterator[Gates]:
    gates = Gates(project)
    yield gates
    gates.close()


def moment(gates: Gates, job: str, what: str) -> int:
    """When a job began or ended, as a place in the order of all that was seen."""
    return gates.seen().index((job, what))


def is_before(gates: Gates, one: str, other: str) -> bool:
    return moment(gates, one, "ends") < moment(gates, other, "begins")


@pytest.mark.parametrize("queue", ["default", "cpu"])
def test_who_shares_overlaps_and_who_excludes_comes_in_order(gates: Gates, queue: str) -> None:
    for job, needs in FIVE.items():
        gates.enqueue(job, queue, **needs)
    gates.wait_for(running="T1", blocked="T2 T3 T4 T5")
    assert gates.held() == {"A": EXCLUSIVE, "B": SHARED}

    gates.open("T1")
    gates.wait_for(running="T2 T3 T5", blocked="T4")
    assert gates.held() == {"A": 2 * SHARED, "B": EXCLUSIVE}
    gates.open("T2")
    gates.wait_for(running="T3 T5", blocked="T4")
    gates.open("T3")
    gates.wait_for(running="T4 T5")
    assert gates.held() == {"A": EXCLUSIVE, "B": EXCLUSIVE}
    gates.open("T5")
    gates.wait_for(running="T4")
    gates.open("T4")
    gates.wait_for()

    assert gates.held() == {}
    for pair in combinations(FIVE, 2):
        assert is_before(gates, *pair) == (pair in AFTER_EACH_OTHER), (pair, gates.seen())


def test_the_end_of_one_that_has_nothing_in_common_lets_nobody_in(gates: Gates) -> None:
    for job, needs in FIVE.items():
        gates.enqueue(job, **needs)
    gates.open("T1")
    gates.wait_for(running="T2 T3 T5", blocked="T4")

    gates.open("T5")
    gates.wait_for(running="T2 T3", blocked="T4")
    gates.open("T3")
    gates.wait_for(running="T2", blocked="T4")
    gates.open("T2")
    gates.wait_for(running="T4")
    gates.open("T4")
    gates.wait_for()

    assert gates.held() == {}
    assert all(is_before(gates, *pair) for pair in AFTER_EACH_OTHER), gates.seen()


@pytest.mark.parametrize("queue", ["default", "cpu"])
def test_after_the_death_of_its_worker_the_holder_comes_back_before_all_who_wait(
    gates: Gates, queue: str
) -> None:
    gates.enqueue("holder", queue, A=EXCLUSIVE, B=SHARED)
    gates.enqueue("second", queue, A=EXCLUSIVE)
    gates.enqueue("third", queue, A=SHARED)
    gates.enqueue("beside", queue, B=SHARED)
    gates.wait_for(running="holder beside", blocked="second third")
    gates.open("beside")
    gates.wait_for(running="holder", blocked="second third")

    os.kill(gates.pids("holder")[0], signal.SIGKILL)
    eventually(lambda: len(gates.pids("holder")) == 2)
    gates.wait_for(running="holder", blocked="second third")

    assert gates.held() == {"A": EXCLUSIVE, "B": SHARED}
    for job, *behind in [("holder", "second", "third"), ("second", "third"), ("third",)]:
        gates.wait_for(running=job, blocked=" ".join(behind))
        gates.open(job)
    gates.wait_for()
    assert [job for job, what in gates.seen() if job != "beside"] == [
        *["holder", "holder", "holder"],  # begun, begun again, ended
        *["second", "second", "third", "third"],
    ]
    assert gates.held() == {}


def test_after_a_kill_of_the_master_the_next_daemon_goes_on_with_the_holder(
    project: Project, own_gates: Gates
) -> None:
    daemon = project.start()
    own_gates.enqueue("holder", A=EXCLUSIVE)
    own_gates.enqueue("second", A=EXCLUSIVE)
    own_gates.wait_for(running="holder", blocked="second")

    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    project.start()
    eventually(lambda: len(own_gates.pids("holder")) == 2)

    own_gates.wait_for(running="holder", blocked="second")
    assert own_gates.held() == {"A": EXCLUSIVE}
    own_gates.open("holder")
    own_gates.wait_for(running="second")
    own_gates.open("second")
    own_gates.wait_for()
    assert own_gates.held() == {}


def test_a_cancel_lets_the_line_move_on_wherever_the_job_stood(gates: Gates) -> None:
    gates.enqueue("reader", A=SHARED)
    gates.enqueue("first", A=EXCLUSIVE)
    gates.enqueue("late-reader", A=SHARED)
    gates.enqueue("second", A=EXCLUSIVE)
    gates.enqueue("middle", A=EXCLUSIVE)
    gates.enqueue("last", A=EXCLUSIVE)
    gates.wait_for(running="reader", blocked="first late-reader second middle last")

    assert gates.cancel("first") == "cancelled"  # the first in line: who shares goes on at once
    gone = "first"
    gates.wait_for(running="reader late-reader", blocked="second middle last", cancelled=gone)
    assert gates.cancel("middle") == "cancelled"  # a blocked one: nobody moves
    gone += " middle"
    gates.wait_for(running="reader late-reader", blocked="second last", cancelled=gone)
    assert gates.cancel("reader") == "cancelling"  # one of two holders: the next needs both gone
    gone += " reader"
    gates.wait_for(running="late-reader", blocked="second last", cancelled=gone)
    gates.open("late-reader")
    gates.wait_for(running="second", blocked="last", cancelled=gone)
    assert gates.cancel("second") == "cancelling"  # the holder
    gone += " second"
    gates.wait_for(running="last", cancelled=gone)
    gates.open("last")
    gates.wait_for(cancelled=gone)

    assert gates.held() == {}


def test_a_cancel_of_one_that_holds_a_part_gives_that_part_back(gates: Gates) -> None:
    gates.enqueue("holder", A=EXCLUSIVE)
    gates.enqueue("both", A=EXCLUSIVE, B=EXCLUSIVE)  # holds B, waits for A
    gates.enqueue("behind", B=EXCLUSIVE)
    gates.wait_for(running="holder", blocked="both behind")

    assert gates.cancel("both") == "cancelled"

    gates.wait_for(running="holder behind", cancelled="both")
    assert gates.held() == {"A": EXCLUSIVE, "B": EXCLUSIVE}


def test_who_has_waited_for_a_resource_does_not_wait_behind_all_that_came_meanwhile(
    project: Project, own_gates: Gates
) -> None:
    project.write(
        "taskd.yaml", CONFIG.replace("processes: 2, greenlets: 25", "processes: 1, greenlets: 1")
    )
    own_gates.enqueue("first", A=EXCLUSIVE)
    own_gates.enqueue("second", A=EXCLUSIVE)
    daemon = project.start()
    own_gates.wait_for(running="first", blocked="second")
    project.enqueue_many("shop.gated", [(f"plain {number}",) for number in range(200)])

    own_gates.open("first")
    own_gates.open("second")
    project.wait_for_states(succeeded=202)

    seen = [job for job, what in own_gates.seen() if what == "begins"]
    assert seen.index("second") < 100
    assert daemon.stop() == 0
