"""The primary dies and the standby takes over, also one whose clock is wrong; so are hosts'."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import sizes
from tests.faults.clocks import Clock
from tests.faults.ledger import QUICK
from tests.faults.postgres import Postgres, make_postgres, make_standby, running_postgres
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

OpenHosts = Callable[..., Stand]
LEASE = 5.0
MINUTES = 60.0


def both(primary: Postgres, standby: Postgres) -> str:
    return (
        f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} user=taskd dbname=postgres "
        "target_session_attrs=read-write connect_timeout=3"
    )


def follow(primary: Postgres, standby: Postgres) -> None:
    """Start the standby; what the primary commits is there too from now on."""
    make_standby(primary, standby)
    standby.start()
    primary.set("synchronous_standby_names", "*")
    eventually(lambda: primary.query("SELECT sync_state FROM pg_stat_replication") == [("sync",)])


@pytest.mark.parametrize("ahead", [0.0, 5 * MINUTES])
def test_a_failover_loses_nothing_and_rescues_no_living_job(
    open_hosts: OpenHosts, seed: int, report: Report, ahead: float
) -> None:
    with running_postgres() as primary, make_postgres() as standby:
        primary.install_schema()
        if ahead:
            standby.variables = Clock(standby.folder / "clock", ahead).variables
        follow(primary, standby)
        assert abs(standby.clock() - time.time() - ahead) < 3
        stand = open_hosts(both(primary, standby), lease=LEASE)
        before = [host.tree() for host in stand.hosts]

        with stand.load(60, seconds=0.1, kinds=QUICK):
            time.sleep(2.0)
            primary.stop(signal.SIGKILL)
            time.sleep(1.0)
            standby.promote()
            promoted = time.time()
            first = eventually(lambda: stand.ledger.first_claim(promoted + ahead), 60)
            seconds = time.time() - promoted
            time.sleep(LEASE + 3.0)
        verdict = stand.settle()

        what = f"failover, clock {ahead / MINUTES:g} min ahead"
        report.add_times(what, "first claim 5 s after the promote", [seconds], 5 * sizes.PATIENCE)
        report.add_verdict(what, verdict, rescues=0)
        assert first
        assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
        assert [host.tree() for host in stand.hosts] == before
        assert report.broken == []


def test_clocks_of_hosts_that_are_off_and_step_back_rescue_nobody(
    dsn: str, open_hosts: OpenHosts, tmp_path: Path, report: Report
) -> None:
    slow, fast = Clock(tmp_path / "slow", -7 * MINUTES), Clock(tmp_path / "fast", 5 * MINUTES)
    stand = open_hosts(dsn, lease=2.0, variables=[slow.variables, fast.variables])

    with stand.load(60, seconds=0.1, kinds=QUICK):
        assert [round(host.clock() / MINUTES) for host in stand.hosts] == [-7, 5]
        time.sleep(2.0)
        fast.set(-60 * MINUTES)
        slow.set(24 * 60 * MINUTES)
        time.sleep(5.0)
    verdict = stand.settle()

    report.add_verdict("clocks off and stepping", verdict, rescues=0)
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
