"""The pictures of `taskd top`, made of values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
import pytest

from taskd.cli.output import cells
from taskd.cli.top import short
from taskd.cli.top.frame import frame_lines, trouble_line
from taskd.cli.top.overview import Overview, QueueLine, WorkerLine
from taskd.store.failures import FailureGroup
from taskd.store.histogram import Histogram
from taskd.store.statistics import Backlog, Counts, PoolRow, Summary

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
LONG = "shop.tasks.catalogue.synchronise_everything_there_is"


def ended(name: str) -> Summary:
    times = Histogram({60: 90, 90: 10}, 120.0)
    counts = Counts(
        started=100, succeeded=97, failed=3, cancelled=0, retried=5, lost=1, returned=0,
        runs=times, waits=times, asks=Histogram(),
    )  # fmt: skip
    return Summary(name=name, counts=counts, seconds=300.0)


def waiting(name: str, queued: int, paused: bool = False) -> Backlog:
    return Backlog(
        queue=name, requires=None, paused=paused, offered=True, queued=queued, scheduled=0,
        blocked=0, running=3, runnable=0 if paused else queued, is_exact=queued < 20_000,
        queued_seconds=4000.0, overdue_seconds=None, blocked_seconds=None,
    )  # fmt: skip


def queue(name: str, queued: int = 0, paused: bool = False) -> QueueLine:
    return QueueLine(name=name, ended=ended(name), waiting=waiting(name, queued, paused))


def worker(number: int, held: int = 40 * 10**6) -> WorkerLine:
    return WorkerLine(
        host="a-host-with-a-long-name.example.org", name=f"io/{number}", state="busy", jobs=3,
        slots=25, bytes=held, peak=held, uptime=86400.0 * 3,
    )  # fmt: skip


def failure(cause: str) -> FailureGroup:
    return FailureGroup(
        task=LONG, cause=cause, count=12, first_at=NOW, last_at=NOW - timedelta(seconds=90),
        sample_job=123_456_789,
    )  # fmt: skip


VIEW = Overview(
    at=NOW,
    seconds=300.0,
    hosts=2,
    total=ended(""),
    queues=(queue("sync", 5_100_000), queue("mail", 12, paused=True)),
    pools=(PoolRow(name="io", workers=2, slots=50, running=6),),
    workers=(worker(0), worker(1)),
    failures=(failure("ConnectionError: the other side has gone away, port #, after # s"),),
)


def plain(view: Overview, width: int = 80, height: int | None = None) -> list[str]:
    return [click.unstyle(line) for line in frame_lines(view, width, height)]


def test_all_of_it_stands_in_80_columns() -> None:
    lines = plain(VIEW)

    assert max(map(cells, lines)) <= 80
    assert lines[0].endswith("2 hosts, 2 workers, 50 slots, 6 jobs in hand")
    assert lines[1] == "last 5m00s: 0.333 jobs/s, 3 failed, 5 retried, 1 lost"
    assert lines[2].startswith("p50 and p95: wait ")
    titles = [line.split() for line in lines if line.isupper() or "JOBS/S" in line]
    assert titles[0][:3] == ["QUEUE", "JOBS/S", "FAIL"]
    sync, mail = lines[5:7]
    assert sync.split()[-4:] == ["~5.1M", "~5.1M", "3", "1h06m"]
    assert mail.split()[-3] == "paused"


def test_workers_have_slots_and_memory_and_failures_their_cause() -> None:
    text = "\n".join(plain(VIEW, width=200))

    assert "io/1" in text
    assert " 40 MB" in text
    assert f"12  1m30s  {LONG}  ConnectionError: the other side has gone away" in text


@pytest.mark.parametrize("height", [24, 30, 60])
def test_a_terminal_is_never_overfull(height: int) -> None:
    many = replace(
        VIEW,
        queues=tuple(queue(f"q{n:02}", n) for n in range(40)),
        workers=tuple(worker(n, n << 20) for n in range(40)),
        failures=tuple(failure(f"E{n}") for n in range(40)),
    )

    lines = plain(many, height=height)

    assert len(lines) <= height
    assert any(line.startswith("q39 ") for line in lines)  # the fullest
    assert any(line.startswith("io/39 ") for line in lines)  # the largest
    names = [line.split()[0] for line in lines if line.startswith("q")]
    assert names == sorted(names)
    assert sum("… and" in line for line in lines) == 2


def test_few_queues_leave_their_place_to_workers() -> None:
    view = replace(VIEW, workers=tuple(worker(n) for n in range(40)), failures=())

    lines = plain(view, height=24)

    assert len(lines) <= 24
    assert sum(line.startswith("io/") for line in lines) >= 12


def test_an_empty_system_says_so() -> None:
    view = replace(
        VIEW, hosts=0, total=None, queues=(), pools=(), workers=(), failures=()
    )  # fmt: skip

    assert plain(view)[0].endswith("0 hosts, 0 workers, 0 slots, 0 jobs in hand")
    assert plain(view)[1:] == ["last 5m00s: nothing has ended"]


def test_trouble_is_one_line_of_the_terminals_width() -> None:
    line = click.unstyle(trouble_line("gone\naway " * 50, 80))

    assert line.startswith("as it was: gone away")
    assert cells(line) == 80


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.00004, "0.0ms"), (0.0123, "12.3ms"), (0.35, "350ms"), (2.06, "2.1s"), (45.2, "45s"),
     (59.7, "1m00s"), (200, "3m20s"), (7500, "2h05m"), (273_600, "3d04h"), (9e6, "104d")],
)  # fmt: skip
def test_a_duration_takes_six_cells_at_most(seconds: float, shown: str) -> None:
    assert short.duration(seconds) == shown
    assert len(shown) <= 6


@pytest.mark.parametrize(
    ("number", "shown"),
    [(99_999, "99999"), (100_000, "100k"), (5_120_000, "5.1M"), (999_999_999, "1.0G")],
)
def test_a_large_number_is_shortened(number: int, shown: str) -> None:
    assert short.count(number) == shown
