"""The schedule to compare with: strict first come, first served, at no cost of its own."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Sequence


def fifo_turns(needs: Sequence[Collection[str]], slots: int) -> int:
    """How many turns these jobs take, if each takes one and all have arrived before the first.

    `needs` are the exclusive resources of each job, in the order of arrival; a job stands in the
    lines of all of its resources from the start and is available once it is the first in each. Up
    to `slots` jobs run at a time, those that were available first before the others. As all take
    equally long, they begin and end together, so the ends of turns are all the events there are.
    """
    lines: dict[str, deque[int]] = defaultdict(deque)
    for job, names in enumerate(needs):
        for name in names:
            lines[name].append(job)
    missing = [sum(lines[name][0] != job for name in names) for job, names in enumerate(needs)]
    available = deque(job for job, count in enumerate(missing) if count == 0)
    turns = 0
    while available:
        turns += 1
        running = [available.popleft() for _ in range(min(slots, len(available)))]
        available.extend(sorted(_end(running, needs, lines, missing)))
    return turns


def longest_chain(needs: Sequence[Collection[str]]) -> int:
    """How many of these jobs must at least run one after the other, with any number of slots."""
    return fifo_turns(needs, len(needs))


def _end(
    running: Sequence[int],
    needs: Sequence[Collection[str]],
    lines: dict[str, deque[int]],
    missing: list[int],
) -> list[int]:
    """Let the lines of these jobs move up; who is available now."""
    freed = []
    for name in (name for job in running for name in needs[job]):
        line = lines[name]
        line.popleft()
        if line:
            missing[line[0]] -= 1
            if missing[line[0]] == 0:
                freed.append(line[0])
    return freed
