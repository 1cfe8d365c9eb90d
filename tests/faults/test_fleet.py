"""Hosts that have nothing to do: they ask for little, and nobody takes them for dead."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

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

GROWN_HOSTS = 6

MISSED_SECONDS = 10.0
"""An idle host beats each five seconds."""

CONFIG = """
imports: [tests.faults.work]
lease: {lease}s
pools: {{io: {{queues: [default], processes: {processes}, greenlets: 25}}}}
"""
_LOGGED = "%n %u: %a "
_OURS = re.compile(
    r"^(?P<at>[\d.]+) (?P<user>\w+): (?P<client>taskd[^\n]*?) LOG:  (?:statement|execute [^:]*): ",
    re.MULTILINE,
)
_BEATS = """
SELECT id, beat, extract(epoch FROM clock_timestamp() - beat_at)::float8
FROM taskd.host WHERE ended_at IS NULL
"""
IDLE_SECONDS = 5.0
LATE_SHARE = 0.02
"""A beat comes so much later than its time is, for it takes a little."""


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server that tells who sends what."""
    with running_postgres(max_connections="900", log_line_prefix=_LOGGED) as running:
        running.install_schema()
        yield running


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement of taskd: when, in seconds since 1970, as which user, and from which part."""

    at: float
    user: str
    client: str


@dataclass
class Seen:
    """What was seen of hosts that idle.

    Statements of taskd, how old a beat was, in seconds, and for each host its first beat, when it
    was first seen, in seconds, and its last beat; `over` is when all that ended.
    """

    sent: list[Sent] = field(default_factory=list)
    oldest_beat: float = 0.0
    first: dict[int, tuple[int, float]] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    over: float = 0.0

    def look(self, server: Postgres) -> None:
        """Look at each host that has not ended; a new one counts from now on."""
        for host, beat, age in server.query(_BEATS):
            self.first.setdefault(host, (beat, time.monotonic()))
            self.last[host] = beat
            self.oldest_beat = max(self.oldest_beat, age)

    @property
    def beats(self) -> dict[int, int]:
        """How many each host has counted since it was seen first."""
        return {host: self.last[host] - beat for host, (beat, _) in self.first.items()}

    @property
    def due(self) -> dict[int, int]:
        """How many there must be of each, until the end."""
        most = IDLE_SECONDS * (1 + LATE_SHARE)
        return {host: int((self.over - since) / most) for host, (_, since) in self.first.items()}

    @property
    def misses_none(self) -> bool:
        """Whether every beat of each host came, and in time."""
        beats = self.beats
        is_complete = all(beats[host] >= due for host, due in self.due.items())
        return self.oldest_beat < MISSED_SECONDS and is_complete

    def __str__(self) -> str:
        beats, due = sum(self.beats.values()), sum(self.due.values())
        return f"oldest beat {self.oldest_beat:.1f} s, {beats} beats of {due} due"


@dataclass(frozen=True, slots=True)
class Ramp:
    """What hosts sent that came up one after the other.

    `turns` is when each did, in seconds since 1970, and the end; the first was there before. A host
    starts until the next one comes up, and idles from then on.
    """

    turns: list[float]
    sent: list[list[float]]
    """For each host, when it sent something."""

    @property
    def idle_rate(self) -> float:
        """Statements a second and host of those that idle."""
        return self._rate([self.turns[0], *self.turns[2:]])

    @property
    def whole_rate(self) -> float:
        """The same of all hosts, with their starts."""
        return self._rate(self.turns[:-1])

    @property
    def starts(self) -> list[int]:
        """How much each host sent until the next one came up, but the first host."""
        spans = pairwise(self.turns[1:])
        return [_count(sent, *span) for span, sent in zip(spans, self.sent[1:], strict=True)]

    def _rate(self, since: list[float]) -> float:
        end = self.turns[-1]
        count = sum(_count(sent, at, end) for at, sent in zip(since, self.sent, strict=True))
        return count / sum(end - at for at in since)

    def __str__(self) -> str:
        seconds = self.turns[2] - self.turns[1]
        return (
            f"{self.idle_rate:.2f} a second and idle host, up to {max(self.starts)} of one that "
            f"starts, in {seconds:.0f} s, {self.whole_rate:.2f} a second and host of all"
        )


def _count(sent: list[float], begin: float, end: float) -> int:
    return sum(begin <= at < end for at in sent)


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


def test_a_fleet_that_grows_asks_for_little_and_misses_no_beat(
    server: Postgres, open_hosts: OpenHosts, report: Report
) -> None:
    """Six hosts come up one after the other, each with an eighth of the workers: from 25 to 150."""
    few = sizes.FLEET_WORKERS // 8
    users = [f"host_{number}" for number in range(GROWN_HOSTS)]
    for user in users:  # by which the statements of one are told from those of others
        server.execute(f"CREATE ROLE {user} LOGIN SUPERUSER")
    variables = [{"TASKD_DATABASE": f"{server.dsn} user={user}"} for user in users]
    stand = open_hosts(
        server.dsn, hosts=GROWN_HOSTS, lease=15, processes=few, config=CONFIG, variables=variables
    )
    for host in stand.hosts[1:]:
        host.stop()

    with watched(server) as seen:
        turns = grow(stand, few)

    ramp = Ramp(turns, [[one.at for one in seen.sent if one.user == user] for user in users])
    what = f"from {few} to {GROWN_HOSTS * few} workers in {turns[-1] - turns[0]:.0f} s"
    promise = f"{MOST_STATEMENTS} statements a second of idle hosts, no beat missed"
    is_kept = ramp.idle_rate <= MOST_STATEMENTS and seen.misses_none
    report.add(what, promise, f"{ramp}, {seen}", is_kept)
    assert len(seen.first) == GROWN_HOSTS, stand.logs()
    assert seen.misses_none, stand.logs()
    assert ramp.idle_rate <= MOST_STATEMENTS, Counter((one.user, one.client) for one in seen.sent)


def grow(stand: Stand, workers: int) -> list[float]:
    """Let the hosts that are down come up at even distances; when each did, and the end."""
    turns = [time.time()]
    pause = sizes.FLEET_SECONDS / len(stand.hosts)
    for number, host in enumerate(stand.hosts[1:], 1):
        wait_until(turns[0] + number * pause)
        turns.append(time.time())
        host.restore()
        eventually(lambda host=host: len(host.pids("worker")) == workers, 120)  # type: ignore[misc]
    wait_until(turns[0] + sizes.FLEET_SECONDS)
    return [*turns, time.time()]


def wait_until(at: float) -> None:
    threading.Event().wait(max(0.0, at - time.time()))


def judge(server: Postgres, stand: Stand, what: str, report: Report) -> None:
    """Leave the hosts alone for a while; nothing may come of it."""
    before = [host.tree() for host in stand.hosts]
    hosts = len(stand.hosts)
    with watched(server) as seen:
        threading.Event().wait(sizes.FLEET_SECONDS)
    rate = len(seen.sent) / sizes.FLEET_SECONDS / hosts
    measured = f"{rate:.2f} a second and host, {seen}"
    is_kept = rate <= MOST_STATEMENTS and seen.misses_none
    report.add(what, "0.3 statements a second, no beat missed", measured, is_kept)
    assert [host.tree() for host in stand.hosts] == before, stand.logs()
    assert seen.misses_none, stand.logs()
    assert rate <= MOST_STATEMENTS, Counter(one.client for one in seen.sent)


@contextmanager
def watched(server: Postgres) -> Iterator[Seen]:
    """What is seen while the block runs."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.wait(1.0):
            seen.look(server)

    server.set("log_statement", "all")
    begun = len(server.log())
    seen.look(server)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(60)
        seen.look(server)
        seen.over = time.monotonic()
        seen.sent = [
            Sent(float(one["at"]), one["user"], one["client"])
            for one in _OURS.finditer(server.log()[begun:])
        ]
