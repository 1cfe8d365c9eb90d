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


_BEATS = """
SELECT id, beat, extract(epoch FROM clock_timestamp())::float8 FROM taskd.host
WHERE ended_at IS NULL
"""
IDLE_SECONDS = 5.0
LATE_SHARE = 0.02
"""A beat comes so much later than its time is, for it takes a little."""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server that tells who sends what."""
    with running_postgres(max_connections="900", log_line_prefix="%a ") as running:
        running.install_schema()
        yield running


@dataclass
class Seen:
    """What was seen of hosts that idle.

    Statements of taskd, how old a beat was, in seconds, how many beats the hosts counted that were
    there all the time, and how many there must be.
    """

    statements: int = 0
    oldest_beat: float = 0.0
    beats: int = 0
    due: int = 0

    @property
    def misses_none(self) -> bool:
        """Whether every beat came, and in time."""
        return self.oldest_beat < MISSED_SECONDS and self.beats >= self.due

    def __str__(self) -> str:
        return f"oldest beat {self.oldest_beat:.1f} s, {self.beats} beats of {self.due} due"


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
    """Six hosts come up one after the other, each with an eighth of the workers: from 25 to 150."""
    few = sizes.FLEET_WORKERS // 8
    stand = open_hosts(server.dsn, hosts=6, lease=15, processes=few, config=CONFIG)
    for host in stand.hosts[1:]:
        host.stop()
    with watched(server) as seen:
        for host in stand.hosts[1:]:
            host.restore()
            eventually(lambda host=host: len(host.pids("worker")) == few, 120)  # type: ignore[misc]
    what = f"from {few} to {6 * few} workers"
    report.add(what, "no beat missed", str(seen), seen.misses_none)
    assert seen.misses_none, stand.logs()


def judge(server: Postgres, stand: Stand, what: str, report: Report) -> None:
    """Leave the hosts alone for a while; nothing may come of it."""
    before = [host.tree() for host in stand.hosts]
    hosts = len(stand.hosts)
    with watched(server) as seen:
        threading.Event().wait(sizes.FLEET_SECONDS)
    rate = seen.statements / sizes.FLEET_SECONDS / hosts
    measured = f"{rate:.2f} a second and host, {seen}"
    is_kept = rate <= MOST_STATEMENTS and seen.misses_none
    report.add(what, "0.3 statements a second, no beat missed", measured, is_kept)
    assert [host.tree() for host in stand.hosts] == before, stand.logs()
    assert seen.misses_none, stand.logs()
    assert rate <= MOST_STATEMENTS, _OURS.findall(server.log())[-200:]


@contextmanager
def watched(server: Postgres) -> Iterator[Seen]:
    """What is seen while the block runs."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            ((oldest,),) = server.query(_OLDEST_BEAT)
            seen.oldest_beat = max(seen.oldest_beat, oldest)

    before = {host: (beat, at) for host, beat, at in server.query(_BEATS)}
    server.set("log_statement", "all")
    begun = len(server.log())
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(60)
        for host, beat, at in server.query(_BEATS):
            if host in before:
                first, since = before[host]
                seen.beats += beat - first
                seen.due += int((at - since) / (IDLE_SECONDS * (1 + LATE_SHARE)))
        seen.statements = len(_OURS.findall(server.log()[begun:]))
