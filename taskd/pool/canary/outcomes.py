"""What an outcome holds until it is stored: no leak of its task."""

from __future__ import annotations

from sys import getsizeof

from taskd.pool.outbox import Outbox
from taskd.store.rows import JobEnd, JobRetry

_PLAIN_END = 2 * getsizeof(2**40) + getsizeof(0.1) + 3 * 8
"""What the outbox holds of a job that succeeded: two numbers, a time, three places in lists."""

_CPU = getsizeof(2**20)


def outcome_bytes(outbox: Outbox, fence: int) -> int:
    """What the outcome of the job that has just ended holds, until it is stored."""
    for waiting in (outbox.ends, outbox.retries):
        if waiting and waiting[-1].fence == fence:
            return _size(waiting[-1])
    return _PLAIN_END + (_CPU if fence in outbox.cpus else 0)


def _size(ending: JobEnd | JobRetry) -> int:
    return getsizeof(ending) + 8 + sum(getsizeof(value) for value in ending if value is not None)
