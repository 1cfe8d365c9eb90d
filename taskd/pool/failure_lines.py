"""Lines about failures that do not flood the log: a few at once, then one a second with a count.

Each task has a bucket of lines, filled by one a second. While it is empty, failures are counted,
and the next line tells of all of them and names the last:

    fails 500 times a second    5 lines of their own, then each second "500 more jobs …"
    fails every other second    a line each
"""

from __future__ import annotations

from dataclasses import dataclass

from taskd.clock import monotonic
from taskd.events import Events
from taskd.pool.job_events import AttemptFailed, JobFailed, MoreAttemptsFailed, MoreJobsFailed

AT_ONCE = 5
LINES_A_SECOND = 1.0

Failure = JobFailed | AttemptFailed


@dataclass(slots=True)
class _Bucket:
    lines: float
    filled_at: float
    left_out: int = 0
    last: Failure | None = None

    def take(self, now: float) -> bool:
        """Take out a line, if there is one."""
        self.lines = min(AT_ONCE, self.lines + (now - self.filled_at) * LINES_A_SECOND)
        self.filled_at = now
        if self.lines < 1:
            return False
        self.lines -= 1
        return True


class FailureLines:
    """Between the failures of one worker and its log; `settle` is to be called now and then."""

    __slots__ = ("_buckets", "_events")

    def __init__(self, events: Events) -> None:
        self._events = events
        self._buckets: dict[tuple[str, type[Failure]], _Bucket] = {}

    def tell(self, failure: Failure, now: float | None = None) -> None:
        """Write a failure into the log now, or count it."""
        now = monotonic() if now is None else now
        key = failure.task, type(failure)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(AT_ONCE, now)
        if not bucket.left_out and bucket.take(now):
            self._events.emit(failure)
        else:
            bucket.left_out += 1
            bucket.last = failure

    def settle(self, now: float | None = None, *, all_now: bool = False) -> None:
        """Tell of what was counted, as far as there are lines for it, or of all."""
        if not self._buckets:
            return
        now = monotonic() if now is None else now
        for key, bucket in list(self._buckets.items()):
            if bucket.last is not None and (bucket.take(now) or all_now):
                self._tell_left_out(bucket.left_out, bucket.last)
                bucket.left_out, bucket.last = 0, None
            elif now - bucket.filled_at > AT_ONCE / LINES_A_SECOND:
                del self._buckets[key]  # full again

    def _tell_left_out(self, count: int, last: Failure) -> None:
        if count == 1:
            self._events.emit(last)
        elif isinstance(last, JobFailed):
            self._events.emit(MoreJobsFailed(count, last.task, last.job, last.error))
        else:
            self._events.emit(MoreAttemptsFailed(count, last.task, last.job, last.error))
