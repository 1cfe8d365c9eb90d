"""Hosts that have nothing to do: they ask for little, and nobody takes them for dead."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.faults import sizes
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.report import Report
from tests.faults.stand import Stand
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not sizes.FLEET_SECONDS, reason="takes minutes: make faults"),
    pytest.mark.timeout(sizes.TIMEOUT),
]

OpenHosts = Callable[..., Stand]
MOST_STATEMENTS = 0.3
"""A second and host."""

MISSED_SECONDS = 10.0
"""An idle host beats each five seconds."""

CONFIG = """
imports: [tests.faults.work]
lease: {lease}s
pools: {{io: {{queues: [default], processes: {processes}, greenlets: 25}}}}
"""
_OURS = re.compile(r"^(?P<name>taskd[^\n]*?)LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)
_OLDEST_BEAT = """
SELECT extract(epoch FROM max(clock_timestamp() - beat_at))::float8
FROM taskd.host WHERE ended_at IS NULL
"""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server that tells who sends what."""
    with running_postgres(max_connections="900", log_line_prefix="%a ") as running:
        running.install_schema()
        yield running


@dataclass
class Seen:
    """What was seen of hosts that idle: statements of taskd, and how old a beat was, in seconds."""

    statements: int = 0
    oldest_beat: float = 0.0


def test_two_hundred_idle_workers_ask_for_as_little_as_few(
    server: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(server.dsn, hosts=1, lease=15, processes=sizes.FLEET_WORKERS, config=CONFIG)
    judge(server, stand, f"{sizes.FLEET_WORKERS} idle workers on a host", report)


def test_forty_idle_hosts_ask_for_as_little_as_one(
    server: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    stand = open_hosts(server.dsn, hosts=sizes.FLEET_HOSTS, lease=15, processes=1, config=CONFIG)
    judge(server, stand, f"{sizes.FLEET_HOSTS} idle hosts", report)


def test_a_fleet_that_grows_misses_no_beat(
    server: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    """Six hosts come up one after the other, each with an eighth of the workers."""
    few = sizes.FLEET_WORKERS // 8
    stand = open_hosts(server.dsn, hosts=6, lease=15, processes=few, config=CONFIG)
    for host in stand.hosts[1:]:
        host.stop()
    with watched(server) as seen:
        for host in stand.hosts[1:]:
            host.restore()
            eventually(lambda host=host: len(host.pids("worker")) == few, 120)  # type: ignore[misc]
    what = f"from {few} to {6 * few} workers"
    measured = f"oldest {seen.oldest_beat:.1f} s"
    report.add(what, "no beat missed", measured, seen.oldest_beat < MISSED_SECONDS)
    assert seen.oldest_beat < MISSED_SECONDS, stand.logs()


def judge(server: Postgres, stand: Stand, what: str, report: Report) -> None:
    """Leave the hosts alone for a while; nothing may come of it."""
    before = [host.tree() for host in stand.hosts]
    hosts = len(stand.hosts)
    with watched(server) as seen:
        threading.Event().wait(sizes.FLEET_SECONDS)
    rate = seen.statements / sizes.FLEET_SECONDS / hosts
    measured = f"{rate:.2f} a second and host, oldest beat {seen.oldest_beat:.1f} s"
    is_kept = rate <= MOST_STATEMENTS and seen.oldest_beat < MISSED_SECONDS
    report.add(what, "0.3 statements a second, no beat missed", measured, is_kept)
    assert [host.tree() for host in stand.hosts] == before, stand.logs()
    assert seen.oldest_beat < MISSED_SECONDS, stand.logs()
    assert rate <= MOST_STATEMENTS, _OURS.findall(server.log())[-200:]


@contextmanager
def watched(server: Postgres) -> Iterator[Seen]:
    """What is seen while the block runs."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            ((oldest,),) = server.query(_OLDEST_BEAT)
            seen.oldest_beat = max(seen.oldest_beat, oldest)

    server.set("log_statement", "all")
    begun = len(server.log())
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(60)
        seen.statements = len(_OURS.findall(server.log()[begun:]))
