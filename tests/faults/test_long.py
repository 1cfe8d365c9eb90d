"""What takes too long for the suite: `make faults`."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.faults import sizes, work
from tests.faults.plan import make_plan
from tests.faults.postgres import Postgres
from tests.faults.process_faults import process_faults
from tests.faults.report import Report
from tests.faults.stand import Stand

pytestmark = [
    pytest.mark.skipif(not sizes.IS_LONG, reason="takes minutes: make faults"),
    pytest.mark.timeout(sizes.TIMEOUT),
]

OpenHosts = Callable[..., Stand]


def test_a_server_that_is_restarted_again_and_again_ends_no_process(
    postgres: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=sizes.LEASE)
    before = [host.tree() for host in stand.hosts]
    chance = random.Random(sizes.SEED)
    ways = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    with stand.load(100, seconds=0.02, kinds=[work.note, work.book]):
        for _ in range(sizes.RESTARTS):
            time.sleep(chance.uniform(0.2, 1.0))
            postgres.restart(chance.choice(ways))
        time.sleep(15.0)
        usual = 100.0
        after = stand.ledger.rate(time.time() - 5.0, 4.0)
    verdict = stand.settle(120)

    what = f"restarted {sizes.RESTARTS} times"
    report.add(what, "95 % of the rate", f"{after:.0f}/s of {usual:g}/s", after >= 0.95 * usual)
    report.add_verdict(what, verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert [host.tree() for host in stand.hosts] == before
    assert after >= 0.95 * usual


def test_many_jobs_under_random_deaths(dsn: str, open_hosts: OpenHosts, report: Report) -> None:
    stand = open_hosts(dsn, lease=sizes.LEASE)
    faults = process_faults(away=sizes.LEASE + 5)
    chance = random.Random(sizes.SEED)
    is_over = threading.Event()

    plan = make_plan(list(faults), count=7200, seconds=7200, seed=sizes.SEED)  # one a second

    thread = threading.Thread(target=stand.run, args=(plan, faults, is_over))
    thread.start()
    begun = time.monotonic()
    while len(stand.ledger.acknowledged) < sizes.JOBS:
        stand.ledger.enqueue(500, chance.choice([work.note, work.book, work.hold]), chance, 0.0)
        while stand.ledger.waiting() > 5000:
            time.sleep(0.2)
    is_over.set()
    thread.join()
    verdict = stand.settle(600)

    seconds = time.monotonic() - begun
    what = f"{len(stand.struck)} deaths and stops in {seconds:.0f} s"
    report.add_verdict(what, verdict)
    assert verdict.faults == {}, stand.logs()
    assert report.broken == []
