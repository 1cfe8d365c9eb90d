"""What takes minutes and hours in the long form: `make faults`."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from math import inf

import psycopg
import pytest

from tests.faults import sizes, work
from tests.faults.host import CONFIG
from tests.faults.ledger import QUICK
from tests.faults.plan import Strike, make_plan
from tests.faults.postgres import Postgres
from tests.faults.postgres_faults import outage, restart
from tests.faults.process_faults import process_faults, stop, stop_reading
from tests.faults.report import Report
from tests.faults.stand import Fault, Stand

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)
takes_minutes = pytest.mark.skipif(not sizes.IS_LONG, reason="takes minutes: make faults")

OpenHosts = Callable[..., Stand]

PATIENT_CONFIG = CONFIG.replace("greenlets: 10,", "greenlets: 10, hub_break: 120s,")


@takes_minutes
def test_a_server_that_is_restarted_again_and_again_ends_no_process(
    postgres: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=sizes.LEASE)
    before = [host.tree() for host in stand.hosts]
    chance = random.Random(sizes.SEED)
    ways = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

    with stand.load(100, seconds=0.02, kinds=[work.note, work.book]):
        time.sleep(12.0)
        usual = stand.ledger.rate(time.time() - 9.0, 8.0)
        for _ in range(sizes.RESTARTS):
            time.sleep(chance.uniform(0.2, 1.0))
            restart(stand, chance, server=postgres, number=chance.choice(ways))
        time.sleep(15.0)
        after = stand.ledger.rate(time.time() - 5.0, 4.0)
    verdict = stand.settle(120)

    what = f"restarted {sizes.RESTARTS} times"
    told = f"{after:.0f}/s of {usual:.0f}/s before"
    report.add(what, "95 % of the earlier rate", told, after >= 0.95 * usual)
    report.add_times(f"{what}: first job after it", "recovery", stand.first_ends(), inf)
    report.add_verdict(what, verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert [host.tree() for host in stand.hosts] == before
    assert after >= 0.95 * usual


def harmless(lease: float) -> dict[str, Fault]:
    """What lets nobody be taken for dead, and ends no process, by the design.

    It is maintenance that beats for its host, so everybody else may stand still for longer than the
    lease. Maintenance itself is replaced by its master after a third of a lease, 5 s at least.
    """
    longest = {"worker": 1.5, "forkserver": 1.5, "master": 1.5, "maintenance": 0.2}
    faults: dict[str, Fault] = {
        f"SIGSTOP {role}": partial(stop, role=role, least=0.1 * lease, most=leases * lease)
        for role, leases in longest.items()
    }
    faults["full pipe"] = partial(stop_reading, least=0.2 * lease, most=2.0 * lease)
    faults["blocked hub"] = block_a_hub
    return faults


def test_nobody_who_lives_is_taken_for_dead(
    postgres: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    lease, most = sizes.LEASE, sizes.BLOCKED_SECONDS
    stand = open_hosts(postgres.dsn, lease=lease, config=PATIENT_CONFIG, has_pipe=True)
    before = [host.tree() for host in stand.hosts]
    strikes = harmless(lease)
    plan = make_plan(list(strikes), int(most / sizes.STRIKE_PAUSE), most, sizes.SEED)

    kinds = [*QUICK, work.talk]
    with stand.load(20, seconds=0.2, kinds=kinds), struck(stand, plan, strikes) as over:
        time.sleep(most / 2)
        outage(stand, random.Random(sizes.SEED), server=postgres, seconds=sizes.OUTAGE_SECONDS)
        over.wait(most)
    verdict = stand.settle(300)

    counts = Counter(one.fault for one in stand.struck)
    what = f"{sum(counts.values())} blocks, stops and full pipes in {most:.0f} s: {dict(counts)}"
    report.add_verdict(what, verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert [host.tree() for host in stand.hosts] == before, stand.logs()
    assert set(counts) == {*strikes, "outage"}
    assert any("because nobody read them" in host.log() for host in stand.hosts)


@contextmanager
def struck(
    stand: Stand, plan: Sequence[Strike], faults: Mapping[str, Fault]
) -> Iterator[threading.Event]:
    """Strike as planned while the block runs; the event says that all have struck."""
    is_left, over = threading.Event(), threading.Event()

    def strike() -> None:
        try:
            stand.run(plan, faults, is_left)
        finally:
            over.set()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield over
    finally:
        is_left.set()
        thread.join()


def block_a_hub(stand: Stand, chance: random.Random) -> None:
    """Let a worker's hub stand still, for which its pool allows.

    While the server is away, nothing happens.
    """
    with suppress(psycopg.OperationalError):
        stand.ledger.enqueue(1, work.block, chance, seconds=sizes.HUB_SECONDS)
        stand.strike("blocked hub")


@takes_minutes
def test_many_jobs_under_random_deaths(dsn: str, open_hosts: OpenHosts, report: Report) -> None:
    stand = open_hosts(dsn, lease=sizes.LEASE, variables=[{"FAULTS_KEEPS_CONNECTION": "1"}])
    faults = process_faults(away=sizes.LEASE + 5)
    chance = random.Random(sizes.SEED)
    kinds = [work.note, work.book] * 4 + [work.hold, work.once, work.gather]  # few of these at once
    count = 7200
    plan = make_plan(list(faults), count, count * sizes.DEATH_PAUSE, sizes.SEED)
    begun = time.monotonic()
    with struck(stand, plan, faults):
        while len(stand.ledger.acknowledged) < sizes.JOBS:
            stand.ledger.enqueue(500, chance.choice(kinds), chance, 0.0)
            while stand.ledger.waiting() > 5000:
                time.sleep(0.2)
    verdict = stand.settle(600)

    seconds = time.monotonic() - begun
    what = f"{len(stand.struck)} deaths and stops in {seconds:.0f} s"
    report.add_verdict(what, verdict)
    report.add_times("jobs of what died ran again", "recovery", stand.resumed(), inf)
    assert verdict.faults == {}, stand.logs()
    assert report.broken == []
