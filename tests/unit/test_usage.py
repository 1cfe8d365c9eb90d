"""The account of a greenlet worker, with clocks that are turned by hand."""

from __future__ import annotations

from contextvars import copy_context
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

import pytest

from taskd.pool import usage
from taskd.pool.usage import SYNC_SECONDS, UNKNOWN, ProcessUsage, SwitchedUsage, private_bytes
from taskd.tasks.context import JobAttempt, running_attempt


class Clocks:
    """The wall's clock, and the time that the thread has had a processor."""

    def __init__(self) -> None:
        self.wall, self.cpu = 100.0, 5.0

    def work(self, seconds: float) -> float:
        self.wall += seconds
        self.cpu += seconds
        return self.wall

    def wait(self, seconds: float) -> float:
        self.wall += seconds
        return self.wall


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(usage, "perf_counter", lambda: clocks.wall)
    monkeypatch.setattr(usage, "thread_time", lambda: clocks.cpu)
    return clocks


def attempt(number: int, clocks: Clocks) -> JobAttempt:
    """An attempt that begins now."""
    made = JobAttempt(number, 1, 1, 1, "shop.sync")
    made.started = clocks.wall
    return made


class Left:
    """A greenlet that was left, with the context that it had."""

    def __init__(self, whose: JobAttempt | None) -> None:
        self.gr_context = copy_context()
        if whose is not None:
            self.gr_context.run(running_attempt.set, whose)


def leave(account: SwitchedUsage, whose: JobAttempt | None) -> None:
    account._switched("switch", (Left(whose), Left(None)))  # type: ignore[arg-type]  # no greenlets


def test_a_job_is_not_charged_what_others_use_while_it_waits(clocks: Clocks) -> None:
    account = SwitchedUsage()
    first = attempt(1, clocks)
    clocks.work(0.001)
    leave(account, first)
    second = attempt(2, clocks)
    clocks.work(0.020)
    leave(account, second)

    used = account.of(first, clocks.work(0.002))

    assert used == pytest.approx(3000, abs=2)
    assert second.cpu == pytest.approx(0.020)


def test_short_jobs_before_it_are_not_charged_to_a_job(clocks: Clocks) -> None:
    account = SwitchedUsage()
    clocks.work(0.003)  # jobs of which nothing is read
    job = attempt(1, clocks)

    used = account.of(job, clocks.work(0.002))

    assert used == pytest.approx(2000, abs=2)


def test_a_long_stretch_is_charged_only_what_it_had_a_processor_for(clocks: Clocks) -> None:
    account = SwitchedUsage()
    job = attempt(1, clocks)

    clocks.wait(0.5)
    used = account.of(job, clocks.work(0.1))

    assert used == pytest.approx(100_000, abs=2)


def test_what_was_charged_by_the_walls_clock_is_not_charged_twice(clocks: Clocks) -> None:
    account = SwitchedUsage()
    short = attempt(1, clocks)
    account.of(short, clocks.work(SYNC_SECONDS * 0.8))
    long = attempt(2, clocks)

    clocks.wait(1.0)
    used = account.of(long, clocks.work(0.1))

    assert used == pytest.approx(100_000, abs=2)


def test_whoever_followed_the_switches_before_is_still_called(clocks: Clocks) -> None:
    seen: list[str] = []
    account = SwitchedUsage()

    account.start(lambda trace: lambda event, args: seen.append(event))
    leave(account, None)

    assert seen == ["switch"]


def test_a_process_knows_what_it_holds() -> None:
    before = private_bytes()

    with mmap(-1, 30_000_000, flags=MAP_PRIVATE | MAP_ANONYMOUS) as kept:
        for page in range(0, len(kept), PAGESIZE):
            kept[page] = 1
        assert private_bytes() - before == pytest.approx(30_000_000, rel=0.2)


def test_a_job_that_leaves_no_descriptor_over_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise OSError(24, "Too many open files")

    account = ProcessUsage()
    account.begin()
    monkeypatch.setattr(usage, "private_bytes", refuse)

    assert account.end() == UNKNOWN
    account.begin()
    assert account.end() == UNKNOWN
