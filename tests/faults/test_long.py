"""What takes too long for the suite: `make faults`."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import psycopg
import pytest

from tests.faults import sizes, work
from tests.faults.host import CONFIG
from tests.faults.plan import Strike, make_plan
from tests.faults.postgres import Postgres
from tests.faults.postgres_faults import outage
from tests.faults.process_faults import process_faults, stop
from tests.faults.report import Report
from tests.faults.stand import Fault, Stand

pytestmark = [
    pytest.mark.skipif(not sizes.IS_LONG, reason="takes minutes: make faults"),
    pytest.mark.timeout(sizes.TIMEOUT),
]

OpenHosts = Callable[..., Stand]

PATIENT_CONFIG = CONFIG.replace("greenlets: 10,", "greenlets: 10, hub_break: 120s,")


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


@pytest.mark.skipif(not sizes.BLOCKED_SECONDS, reason="an hour: make faults")
def test_nobody_who_lives_is_taken_for_dead(
    postgres: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(postgres.dsn, lease=sizes.LEASE, config=PATIENT_CONFIG)
    before = [host.tree() for host in stand.hosts]
    strikes: dict[str, Fault] = {
        f"SIGSTOP {role}": partial(stop, role=role, least=1.0, most=sizes.LEASE / 5)
        for role in ("worker", "forkserver", "maintenance", "master")
    }
    strikes["blocked hub"] = block_a_hub
    count = int(sizes.BLOCKED_SECONDS / 10)
    plan = make_plan(list(strikes), count, sizes.BLOCKED_SECONDS, sizes.SEED)

    kinds = [work.note, work.book, work.hold]
    with stand.load(20, seconds=0.2, kinds=kinds), struck(stand, plan, strikes) as over:
        time.sleep(sizes.BLOCKED_SECONDS / 2)
        outage(stand, random.Random(sizes.SEED), server=postgres, seconds=sizes.OUTAGE_SECONDS)
        over.wait(sizes.BLOCKED_SECONDS)
    verdict = stand.settle(300)

    what = f"{count} blocked hubs and stopped processes in {sizes.BLOCKED_SECONDS:.0f} s"
    report.add_verdict(what, verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert [host.tree() for host in stand.hosts] == before, stand.logs()


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
    """Let a worker's hub stand for a minute, for which its pool allows.

    While the server is away, nothing happens.
    """
    with suppress(psycopg.OperationalError):
        stand.ledger.enqueue(1, work.block, chance, seconds=60.0)


def test_many_jobs_under_random_deaths(dsn: str, open_hosts: OpenHosts, report: Report) -> None:
    stand = open_hosts(dsn, lease=sizes.LEASE, variables=[{"FAULTS_KEEPS_CONNECTION": "1"}])
    faults = process_faults(away=sizes.LEASE + 5)
    chance = random.Random(sizes.SEED)
    kinds = [work.note, work.book] * 4 + [work.hold]  # of the last few run at once
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
    assert verdict.faults == {}, stand.logs()
    assert report.broken == []
