"""Jobs that do what no job should: they fail or end, and their neighbours do not notice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import pytest

from taskd import enqueue_many
from tests.faults import bad_jobs as bad
from tests.faults import sizes, work
from tests.faults.host import CONFIG
from tests.faults.ledger import AnyTask
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

OpenHosts = Callable[..., Stand]
Calls = Sequence[tuple[AnyTask, tuple[Any, ...]]]

RUDE = CONFIG.replace("[tests.faults.work]", "[tests.faults.work, tests.faults.bad_jobs]")
STRICT = RUDE.replace("max_crashes: 1000", "max_crashes: 2").replace(
    "max_losses: 1000", "max_losses: 3"
)

HARMLESS: Calls = [
    (bad.change_directory, ()),
    (bad.install_handlers, ()),
    (bad.start_threads, ()),
    (bad.print_much, (sizes.OUTPUT_MEGABYTES,)),
    (bad.never_yield, (0.7,)),
    (bad.fork, ()),
]
FAILING: Calls = [(bad.recurse, ()), (bad.fail_at_length, (50,))]


def enqueue(stand: Stand, calls: Calls, queue: str = "default") -> dict[str, int]:
    """Enqueue one job of each; ids by the task's name."""
    with psycopg.connect(stand.ledger.dsn) as connection:
        return {
            task.__name__: enqueue_many(task, [args], queue=queue, connection=connection)[0].id
            for task, args in calls
        }


def ends(stand: Stand, ids: Mapping[str, int]) -> dict[str, tuple[str, str | None]]:
    """State and error of each."""
    found = stand.ledger.query(
        "SELECT id, state, error FROM taskd.job WHERE id = ANY (%s)", [[*ids.values()]]
    )
    by_id = {job: (state, error) for job, state, error in found}
    return {name: by_id[job] for name, job in ids.items()}


def last_words(stand: Stand, job: int) -> str:
    """Where the job stood when it ended; empty if that is not known."""
    ((traceback,),) = stand.ledger.query(
        "SELECT coalesce(traceback, '') FROM taskd.job WHERE id = %s", [job]
    )
    return str(traceback)


@pytest.mark.parametrize("queue", ["default", "cpu"])
def test_rude_jobs_end_and_their_neighbours_do_not_notice(
    dsn: str, open_hosts: OpenHosts, queue: str, report: Report
) -> None:
    stand = open_hosts(dsn, hosts=1, processes=1, config=RUDE)
    neighbour = work.compute if queue == "cpu" else work.note
    stand.ledger.enqueue(10, neighbour, random.Random(1), seconds=0.2)

    harmless = enqueue(stand, HARMLESS, queue)
    failing = enqueue(stand, FAILING, queue)
    stand.ledger.enqueue(10, neighbour, random.Random(1), seconds=0.2)
    verdict = stand.settle()

    report.add(f"rude jobs in {queue}", "no neighbour fails", str(verdict), not verdict.faults)
    assert (verdict.faults, verdict.executions) == ({}, 20), stand.logs()
    assert {state for state, _ in ends(stand, harmless).values()} == {"succeeded"}
    assert {state for state, _ in ends(stand, failing).values()} == {"failed"}
    assert stand.hosts[0].stop() == 0, stand.logs()


def test_deadly_jobs_of_a_process_pool_are_found_and_their_neighbours_run_on(
    dsn: str, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(dsn, hosts=1, processes=1, config=STRICT)
    stand.ledger.enqueue(12, work.compute, random.Random(1))

    deadly = enqueue(stand, [(bad.crash, ()), (bad.leave, (3,))], "cpu")
    naked = enqueue(stand, [(bad.close_descriptors, ())], "cpu")
    stand.ledger.enqueue(12, work.compute, random.Random(1))
    verdict = stand.settle(90)

    found = ends(stand, deadly)
    report.add("poison", "poisoned, no neighbour fails", f"{found}; {verdict}", not verdict.faults)
    assert verdict.faults == {}, stand.logs()
    assert all("poisoned" in str(error) for _, error in found.values()), found
    assert "SIGSEGV" in str(found["crash"]), found
    assert ends(stand, naked)["close_descriptors"][0] == "succeeded"


def test_poison_is_found_among_25_neighbours_of_a_greenlet_pool(
    dsn: str, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(dsn, hosts=1, config=STRICT.replace("max_crashes: 2", "max_crashes: 1"))
    stand.ledger.enqueue(12, work.note, random.Random(1), seconds=1.0)

    begun = time.monotonic()
    poison = enqueue(stand, [(bad.crash, ())])
    stand.ledger.enqueue(13, work.note, random.Random(1), seconds=1.0)
    verdict = stand.settle(90)

    found, seconds = ends(stand, poison), time.monotonic() - begun
    stood = last_words(stand, poison["crash"])
    what = f"{found}, {stood.splitlines()}, after {seconds:.1f} s; {verdict}"
    report.add("poison among 25", "poisoned, no neighbour fails", what, not verdict.faults)
    assert verdict.faults == {}, stand.logs()
    assert "poisoned" in str(found["crash"]), found
    assert "SIGSEGV; it last held " in str(found["crash"]), found
    assert "bad_jobs.py" in stood
    assert stood.rstrip().endswith("in crash")


def test_the_neighbours_of_a_job_that_its_worker_is_killed_for_are_charged_nothing(
    dsn: str, open_hosts: OpenHosts, report: Report
) -> None:
    config = STRICT.replace("max_crashes: 2", "max_crashes: 1").replace(
        "greenlets: 10,", "greenlets: 10, hub_break: 1s, kill_grace: 1s,"
    )
    stand = open_hosts(dsn, hosts=1, processes=1, config=config)
    stand.ledger.enqueue(6, work.note, random.Random(1), seconds=3.0)

    culprit = enqueue(stand, [(bad.hold_the_hub, ())])
    verdict = stand.settle(90)

    charged = dict(stand.ledger.query(CHARGES, [culprit["hold_the_hub"]]))
    found = ends(stand, culprit)
    what = f"{charged.get('g', 0)} given back, none charged; {found}"
    report.add("worker killed for a job", "its neighbours uncharged", what, set(charged) == {"g"})
    assert verdict.faults == {}, stand.logs()
    assert charged == {"g": 6}
    assert stand.ledger.query(
        "SELECT max(losses + crashes) FROM taskd.history WHERE state = 's'"
    ) == [(0,)]
    assert "its worker had to be killed" in str(found["hold_the_hub"])


CHARGES = "SELECT outcome::text, count(*) FROM taskd.attempt WHERE job <> %s GROUP BY 1"


def test_a_job_that_takes_its_whole_host_along_is_found(
    dsn: str, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(dsn, hosts=1, processes=1, config=STRICT)
    stand.ledger.enqueue(5, work.note, random.Random(1), seconds=1.0)

    killer = enqueue(stand, [(bad.kill_host, ())])
    stand.ledger.enqueue(20, work.note, random.Random(1), seconds=1.0)
    verdict = stand.settle(90)

    found = ends(stand, killer)
    starts = len(stand.hosts[0].starts)
    what = f"{starts} starts; {found}; {verdict}"
    report.add("whole cgroup killed", "poisoned", what, not verdict.faults)
    assert verdict.faults == {}, stand.logs()
    assert "poisoned" in str(found["kill_host"])
    assert starts == 4


def test_a_job_that_wants_all_memory_fails_and_its_neighbours_do_not(
    dsn: str, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(
        dsn, hosts=1, processes=1, config=STRICT, prefixes=[("prlimit", "--as=1500000000")]
    )
    stand.ledger.enqueue(5, work.note, random.Random(1), seconds=0.5)

    greedy = enqueue(stand, [(bad.exhaust_memory, ())])
    stand.ledger.enqueue(5, work.note, random.Random(1), seconds=0.5)
    verdict = stand.settle()

    found = ends(stand, greedy)
    report.add("memory exhausted", "no neighbour fails", f"{found}; {verdict}", not verdict.faults)
    assert verdict.faults == {}, stand.logs()
    assert found["exhaust_memory"][0] == "failed"


def test_a_worker_in_which_a_job_has_broken_python_makes_room_for_another(
    dsn: str, open_hosts: OpenHosts
) -> None:
    stand = open_hosts(dsn, hosts=1, processes=1, config=RUDE)
    for queue, neighbour in (("cpu", work.compute), ("default", work.hold)):
        patcher = enqueue(stand, [(bad.monkey_patch, ())], queue)
        eventually(lambda patcher=patcher: ends(stand, patcher)["monkey_patch"][0] == "succeeded")

        stand.ledger.enqueue(5, neighbour, random.Random(1), seconds=0.0)

    verdict = stand.settle()
    assert verdict.faults == {}, stand.logs()
