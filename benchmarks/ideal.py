"""The schedule to compare with: strict first come, first served, at no cost of its own."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Collection, Sequence

ROUNDING = 1e-9
"""Ends that sums of floats put so close together are one moment, seconds."""


def fifo_makespan(
    needs: Sequence[Collection[str]],
    slots: int,
    length: float = 1.0,
    arrivals: Sequence[float] | None = None,
) -> float:
    """The seconds from 0 to the last end, if each job takes `length` seconds.

    `needs` are the exclusive resources of each job, in the order of arrival; `arrivals` the moments
    of these, left out: all at 0. From then on a job stands in the lines of all of its resources,
    and it is available once it is the first in each. Up to `slots` jobs run at a time, those that
    were available first before the others, and of several at one moment the one that came first.

    Moments matter: where jobs arrive one after the other, their ends do not fall together, others
    are available first, and the same jobs take longer or shorter than if all had come at once.
    """
    lines: dict[str, deque[int]] = defaultdict(deque)
    missing: dict[int, int] = {}
    available: deque[int] = deque()
    events = [(moment, False, job) for job, moment in enumerate(arrivals or [0.0] * len(needs))]
    heapq.heapify(events)
    free, now = slots, 0.0
    while events:
        now = events[0][0]
        freed = []
        while events and events[0][0] <= now + ROUNDING:
            _, is_end, job = heapq.heappop(events)
            if is_end:
                free += 1
                freed += _leave(job, needs, lines, missing)
            else:
                freed += _join(job, needs, lines, missing)
        available.extend(sorted(freed))
        while available and free:
            free -= 1
            heapq.heappush(events, (now + length, True, available.popleft()))
    return now


def longest_chain(needs: Sequence[Collection[str]]) -> int:
    """How many of these jobs must at least run one after the other, with any number of slots."""
    return round(fifo_makespan(needs, len(needs)))


def _join(
    job: int,
    needs: Sequence[Collection[str]],
    lines: dict[str, deque[int]],
    missing: dict[int, int],
) -> list[int]:
    """Let a job stand in its lines; itself, if it is available at once."""
    for name in needs[job]:
        lines[name].append(job)
    missing[job] = sum(lines[name][0] != job for name in needs[job])
    return [] if missing[job] else [job]


def _leave(
    job: int,
    needs: Sequence[Collection[str]],
    lines: dict[str, deque[int]],
    missing: dict[int, int],
) -> list[int]:
    """Let the lines of a job move up; who is available now."""
    freed = []
    for name in needs[job]:
        line = lines[name]
        line.popleft()
        if line:
            missing[line[0]] -= 1
            if missing[line[0]] == 0:
                freed.append(line[0])
    return freed
