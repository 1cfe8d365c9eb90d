"""What attempts use: the processor's time, and in process workers what they leave taken of memory.

In a greenlet worker the clock is read at each switch, and the time since the last one charged to
the attempt that has had the hub:

    job 1 begins … waits ─┬─ job 2 begins … waits ─┬─ job 1 goes on … ends        one thread
                 reading ─┘               reading ─┘         reading ─┘

That is the wall's clock, which costs 0.05 us; to read how long the thread has had a processor costs
0.8. So that is read every 5 ms at most, and corrects stretches that were longer: one that has
waited in C, or for a processor, is charged what it has used. Jobs that are over within a
millisecond cost nothing: they are charged the time they took. What a job spawns is charged to it;
threads are not seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, NamedTuple

from taskd.tasks.context import JobAttempt, running_attempt

if TYPE_CHECKING:
    from greenlet import greenlet

Trace = Callable[[str, "tuple[greenlet, greenlet]"], object]
SetTrace = Callable[["Trace | None"], "Trace | None"]


SYNC_SECONDS = 0.005
SHORT_SECONDS = 0.001
"""An attempt that succeeds so soon is charged the time it took; see roll_up_v1 and find_jobs."""


class Used(NamedTuple):
    """What an attempt has used; None: not known.

    memory: by how many bytes its process has grown, negative if it has become smaller.
    """

    cpu_micros: int | None = None
    memory: int | None = None


UNKNOWN = Used()


class SwitchedUsage:
    """The account of a greenlet worker; all of it happens in one thread."""

    __slots__ = ("_before", "_cpu", "_mark", "_short", "_sync_at")

    def __init__(self) -> None:
        self._before: Trace | None = None
        self._mark = perf_counter()
        self._cpu = thread_time()
        self._sync_at = self._mark + SYNC_SECONDS
        self._short = 0.0  # what was charged by the wall's clock since `_cpu` was read

    def start(self, set_trace: SetTrace) -> None:
        """Follow the switches from now on; whoever followed them before is called, too."""
        self._before = set_trace(self._switched)

    def of(self, attempt: JobAttempt, now: float) -> int:
        """The microseconds of an attempt that has had the hub until now, and has ended."""
        self._charge(attempt, now)
        return int(attempt.cpu * 1e6)

    def _switched(self, event: str, greenlets: tuple[greenlet, greenlet]) -> None:
        """Called by greenlet after each switch, in the one that goes on. Must not raise.

        Most switches are of the hub and of the worker itself, whom nobody charges.
        """
        context = greenlets[0].gr_context  # as it was left; None of one that has ended
        attempt = None if context is None else context.get(running_attempt)
        now = perf_counter()
        if attempt is None and now < self._sync_at:
            self._mark = now
        else:
            self._charge(attempt, now)
        if self._before is not None:
            self._before(event, greenlets)

    def _charge(self, attempt: JobAttempt | None, now: float) -> None:
        mark, self._mark = self._mark, now
        used = 0.0
        if attempt is not None:
            used = now - max(mark, attempt.started)  # before it others have been, and have ended
        if now >= self._sync_at:
            cpu = thread_time()
            used = min(used, max(cpu - self._cpu - self._short, 0.0))
            self._cpu, self._short, self._sync_at = cpu, 0.0, now + SYNC_SECONDS
        else:
            self._short += used
        if attempt is not None:
            attempt.cpu += used


class ProcessUsage:
    """The account of a worker that runs one job at a time; children count once they have ended.

    Nothing is known when the kernel does not tell: a job may have used up all descriptors.
    """

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None

    def begin(self) -> None:
        """An attempt begins."""
        self._before = _read()

    def end(self) -> Used:
        """What has been used since."""
        before, now = self._before, _read()
        if before is None or now is None:
            return UNKNOWN
        return Used(int((now[0] - before[0]) * 1e6), now[1] - before[1])


def _read() -> tuple[float, int] | None:
    """Seconds of the processor and bytes until now; None if that cannot be read."""
    try:
        return _cpu_seconds(), private_bytes()
    except (OSError, MemoryError):
        return None


def private_bytes() -> int:
    """What this process holds that is not shared with others, in bytes."""
    statm = os.open("/proc/self/statm", os.O_RDONLY)  # without a file object, and its memory
    try:
        _, resident, shared, *_ = os.read(statm, 200).split()
    finally:
        os.close(statm)
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds() -> float:
    ended = getrusage(RUSAGE_CHILDREN)
    return process_time() + ended.ru_utime + ended.ru_stime
