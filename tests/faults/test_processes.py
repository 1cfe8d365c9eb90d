"""Processes of two hosts are killed, crashed and stopped at random; the ledger judges."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from math import inf

import pytest

from tests.faults import work
from tests.faults.host import Host
from tests.faults.plan import make_plan
from tests.faults.process_faults import process_faults
from tests.faults.report import Report
from tests.faults.sizes import LEASE, PATIENCE, STRIKE_SECONDS, STRIKES, TIMEOUT
from tests.faults.stand import Stand
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(TIMEOUT)


def test_random_deaths_of_all_kinds_of_processes_lose_and_double_nothing(
    dsn: str, open_hosts: Callable[..., Stand], seed: int, report: Report
) -> None:
    stand = open_hosts(dsn, lease=LEASE)
    faults = process_faults(away=LEASE + 2.0)
    plan = make_plan(list(faults), count=STRIKES, seconds=STRIKE_SECONDS, seed=seed)

    with stand.load(jobs_a_second=120, seconds=0.5):
        stand.run(plan, faults)
    verdict = stand.settle()

    what = f"processes die at random, {len(stand.struck)} times"
    report.add_verdict(what, verdict)
    report.add_times(f"{what}: jobs ran again", "recovery", stand.resumed(), inf)
    assert verdict.faults == {}, stand.logs()
    assert verdict.unexplained == 0, stand.ledger.unexplained()
    assert verdict.jobs > 500
    assert verdict.repeated > 0


BUSIEST = """
SELECT e.pid FROM ledger.effect e JOIN taskd.running r USING (id, fence)
WHERE e.at > now() - interval '0.3 s' GROUP BY e.pid ORDER BY count(*) DESC LIMIT 1
"""


def busiest(stand: Stand) -> tuple[int, Host]:
    """The worker in which most jobs have begun just now, and its host."""
    ((pid,),) = eventually(lambda: stand.ledger.query(BUSIEST))
    return pid, next(host for host in stand.hosts if pid in host.pids("worker"))


def kill_now(stand: Stand, fault: str, pids: list[int]) -> None:
    at = time.time()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    stand.strike(fault, pids, at)


def test_what_dies_comes_back_in_time(
    dsn: str, open_hosts: Callable[..., Stand], report: Report
) -> None:
    stand = open_hosts(dsn, lease=LEASE)
    first = stand.hosts[0]

    with stand.load(jobs_a_second=40, seconds=0.8, kinds=[work.note, work.book], batch=5):
        victim, _ = busiest(stand)
        kill_now(stand, "SIGKILL worker", [victim])
        time.sleep(1.5)
        os.kill(first.pids("master")[0], signal.SIGKILL)
        eventually(lambda: len(first.starts) == 2)
        master = stand.back_at_work(first, first.starts[-1])
        _, lost = busiest(stand)
        at = time.time()
        stand.strike("host lost", lost.lose(), at)
        time.sleep(LEASE + 3.0)
        lost.restore()
    verdict = stand.settle()

    worker, host = stand.resumed("SIGKILL worker"), stand.resumed("host lost")
    report.add_times("worker killed", "its jobs run again in 1 s", worker, 1 * PATIENCE)
    report.add_times("master killed", "3 s after the restart", [master], 3 * PATIENCE)
    report.add_times("host lost", f"in a lease ({LEASE:g} s) + 5 s", host, LEASE + 5 * PATIENCE)
    assert verdict.faults == {}, stand.logs()
    assert len(report.lines) == 3
    assert report.broken == []
