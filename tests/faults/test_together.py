"""Processes, server and network are struck at random, alone and together; the ledger judges."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from tests.faults import sizes
from tests.faults.plan import make_plan
from tests.faults.postgres import Postgres
from tests.faults.postgres_faults import postgres_faults
from tests.faults.process_faults import process_faults
from tests.faults.proxy import Proxy, open_proxy
from tests.faults.report import Report
from tests.faults.stand import Fault, Stand
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

LEASE = 3.0
SERVER_FAULTS = ("restart SIGINT", "restart SIGQUIT", "kill -9 backend", "pg_terminate_backend")


def cut(stand: Stand, chance: random.Random, *, proxy: Proxy) -> None:
    """Reset all connections."""
    eventually(proxy.living)  # after a restart there may be none
    proxy.cut()
    stand.strike("cut")


def cut_in_mid_message(stand: Stand, chance: random.Random, *, proxy: Proxy) -> None:
    """Cut each within its next answer."""
    eventually(proxy.living)
    proxy.cut_in_mid_message(chance)
    stand.strike("cut in mid-message")


def black_hole(stand: Stand, chance: random.Random, *, proxy: Proxy) -> None:
    """Let nothing through for a while, and tell nobody."""
    stand.strike("black hole")
    proxy.is_black_hole = True
    time.sleep(chance.uniform(0.2, 1.5))
    proxy.is_black_hole = False


def one_at_a_time(lock: threading.Lock, fault: Fault) -> Fault:
    """The server bears one of its own faults at a time: it cannot be stopped while it is."""

    def strike(stand: Stand, chance: random.Random) -> None:
        with lock:
            fault(stand, chance)

    return strike


def test_deaths_server_faults_and_cuts_together_lose_and_double_nothing(
    postgres: Postgres, open_hosts: Callable[..., Stand], seed: int, report: Report
) -> None:
    with open_proxy(postgres.port) as proxy:
        stand = open_hosts(proxy.dsn, ledger_dsn=postgres.dsn, lease=LEASE)
        server, lock = postgres_faults(postgres, seconds=1.0), threading.Lock()
        faults: dict[str, Fault] = {
            **process_faults(away=LEASE + 1.0),
            **{name: one_at_a_time(lock, server[name]) for name in SERVER_FAULTS},
            "cut": partial(cut, proxy=proxy),
            "cut in mid-message": partial(cut_in_mid_message, proxy=proxy),
            "black hole": partial(black_hole, proxy=proxy),
        }
        count = int(2 * sizes.MIXED_SECONDS)
        plan = make_plan(list(faults), count, sizes.MIXED_SECONDS, seed)

        with stand.load(jobs_a_second=80, seconds=0.3):
            stand.run(plan, faults)
            eventually(lambda: stand.ledger.query("SELECT 1"), 60)
        verdict = stand.settle(120)

        counts = Counter(one.fault for one in stand.struck)
        report.add_verdict(f"all together, {sum(counts.values())} strikes: {dict(counts)}", verdict)
        assert verdict.faults == {}, stand.logs()
        assert verdict.unexplained == 0, stand.ledger.unexplained()
        assert verdict.repeated > 0
        assert {*SERVER_FAULTS, "cut", "cut in mid-message", "black hole"} <= set(counts)
        assert len(counts) >= len(faults) - 4  # a victim may be down when its turn comes
