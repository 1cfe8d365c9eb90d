"""The network between a host and its database is cut, silenced and slowed; the ledger judges."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults import sizes, work
from tests.faults.host import Host
from tests.faults.ledger import QUICK
from tests.faults.netns import OURS, THEIRS, network_namespace
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.proxy import Proxy, open_proxy, seconds_until
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(sizes.TIMEOUT)

NOTICED_SECONDS = 15.0
OpenHosts = Callable[..., Stand]


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    """What lies between the hosts and the server."""
    with open_proxy(postgres.port) as opened:
        yield opened


def test_cuts_in_mid_message_latency_and_a_black_hole_lose_nothing(
    postgres: Postgres, proxy: Proxy, open_hosts: OpenHosts, seed: int, report: Report
) -> None:
    stand = open_hosts(proxy.dsn, ledger_dsn=postgres.dsn, lease=5.0)
    before = [host.tree() for host in stand.hosts]
    chance = random.Random(seed)

    with stand.load(80, seconds=0.1, kinds=QUICK):
        for _ in range(12):
            proxy.cut_in_mid_message(chance)
            time.sleep(chance.uniform(0.1, 0.6))
        proxy.latency = 0.2
        time.sleep(3.0)
        proxy.latency = 0.0
        known = [len(host.log()) for host in stand.hosts]
        proxy.is_black_hole = True
        begun = time.monotonic()
        noticed = seconds_until(
            lambda: all(map(has_noticed, stand.hosts, known)), 2 * NOTICED_SECONDS
        )
        time.sleep(max(0.0, begun + sizes.BLACK_HOLE_SECONDS - time.monotonic()))
        proxy.is_black_hole = False
    verdict = stand.settle(120)

    report.add_verdict("network cut and silent", verdict)
    report.add_times("black hole", "noticed in 15 s", [noticed], NOTICED_SECONDS)
    assert noticed <= NOTICED_SECONDS
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert verdict.unexplained == 0, stand.ledger.unexplained()
    assert [host.tree() for host in stand.hosts] == before


def has_noticed(host: Host, known: int) -> bool:
    """Whether a host has said since its log was so long that its database is away."""
    return "lost the database" in host.log()[known:]


def test_half_open_connections_are_noticed(
    postgres: Postgres, proxy: Proxy, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(proxy.dsn, ledger_dsn=postgres.dsn, hosts=1, processes=1, lease=5.0)
    chance = random.Random(1)

    for connection in ("taskd io/", "listen"):
        stand.ledger.enqueue(5, work.note, chance, seconds=0.0)
        stand.wait_until_quiet(30)
        wait_for_idle_beats(stand)
        assert proxy.silence(connection) > 0
        stand.ledger.enqueue(5, work.note, chance, seconds=0.0)
        seconds = seconds_until(lambda: stand.ledger.left() == 0, 60)
        report.add_times(f"half-open: {connection}", "noticed in 15 s", [seconds], NOTICED_SECONDS)

    verdict = stand.settle()
    assert (verdict.faults, verdict.rescued) == ({}, 0), stand.logs()
    assert report.broken == []


def wait_for_idle_beats(stand: Stand) -> None:
    """Wait until the host has said twice that it is idle, so that it relies on being told."""
    ((before,),) = stand.ledger.query("SELECT beat FROM taskd.host")
    idle = f"SELECT idle AND beat >= {before} + 2 FROM taskd.host"
    eventually(lambda: stand.ledger.query(idle) == [(True,)])


def test_a_host_whose_link_is_down_is_replaced_and_comes_back(
    open_hosts: OpenHosts, report: Report
) -> None:
    with network_namespace() as namespace, running_postgres(listen_addresses="*") as postgres:
        postgres.allow(THEIRS)
        postgres.install_schema()
        afar = f"host={OURS} port={postgres.port} user=taskd dbname=postgres"
        stand = open_hosts(afar, lease=3.0, prefixes=[namespace.prefix, ()])
        remote = stand.hosts[0]
        before = remote.tree()

        with stand.load(20, seconds=3.0, kinds=[work.note, work.book], batch=2):
            pids = remote.pids("worker")
            eventually(lambda: stand.ledger.running(pids) >= 5, 60)
            at = time.time()
            namespace.set_link("down")
            stand.strike("link down", pids, at)
            eventually(lambda: stand.resumed("link down"), 60)
            namespace.set_link("up")
            up = time.time()
            back = stand.back_at_work(remote, up)
        verdict = stand.settle(120)

        away = stand.resumed("link down")
        most = 3.0 + 5.0 * sizes.PATIENCE
        report.add_times("link down: its jobs", "in a lease (3 s) + 5 s", away, most)
        report.add_times("link up: first job", "noticed in 15 s", [back], 15 * sizes.PATIENCE)
        report.add_verdict("link down and up", verdict)
        assert verdict.faults == {}, stand.logs()
        assert verdict.unexplained == 0, stand.ledger.unexplained()
        assert remote.tree() == before
        assert report.broken == []
