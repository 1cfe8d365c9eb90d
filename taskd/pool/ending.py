"""From the outcome of an attempt to what the database is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from taskd.board.layout import FAILED, RETRIED, SUCCEEDED
from taskd.pool.claims import Row
from taskd.pool.job_events import AttemptEnded, AttemptFailed, JobFailed, RaisedAfterEnd
from taskd.pool.outbox import Outbox
from taskd.pool.usage import SHORT_SECONDS, UNKNOWN, Used
from taskd.store.rows import JobEnd, JobRetry
from taskd.tasks.failure import error_text, traceback_text
from taskd.tasks.outcome import (
    Cancelled,
    Done,
    Failed,
    Interrupted,
    Outcome,
    Retried,
    Snoozed,
    Stored,
)


def put(
    outbox: Outbox,
    words: memoryview,
    row: Row,
    seconds: float,
    outcome: Outcome,
    used: Used = UNKNOWN,
) -> None:
    """Put an outcome into the outbox, count it on the board, and tell of a failure.

    An interrupted job goes back at once and uncharged, before all others of its queue, and keeps
    the resources that it holds.
    """
    job, queue, fence, attempt, task = row[0], row[2], row[3], row[4], row[7]
    tell_ended(outbox, row, seconds, outcome)
    match outcome:
        case Done(result):
            if seconds < SHORT_SECONDS:
                used = used._replace(cpu_micros=None)  # it is charged the time it took
            outbox.ends.append(JobEnd(job, fence, seconds, "s", result, None, None, *used))
            words[SUCCEEDED] += 1
        case Failed(error, traceback):
            outbox.failures.tell(JobFailed(job, task, queue, attempt, error))
            outbox.ends.append(JobEnd(job, fence, seconds, "f", None, error, traceback, *used))
            words[FAILED] += 1
        case Cancelled(reason):
            outbox.ends.append(JobEnd(job, fence, seconds, "c", None, reason, None, *used))
            words[FAILED] += 1
        case Retried(delay, error, traceback, timed_out):
            failure = AttemptFailed(job, task, queue, attempt, row[5], delay, error)
            outbox.failures.tell(failure)
            kind = "t" if timed_out else "r"
            outbox.retries.append(
                JobRetry(
                    job, fence, seconds, kind, delay, error, traceback, lets_go(row[10]), *used
                )
            )
            words[RETRIED] += 1
        case Snoozed(delay):
            outbox.retries.append(
                JobRetry(job, fence, seconds, "z", delay, None, None, lets_go(row[10]), *used)
            )
            words[RETRIED] += 1
        case Interrupted():
            outbox.retries.append(JobRetry(job, fence, seconds, "i", 0.0, None, None, False, *used))
            words[RETRIED] += 1
        case Stored(raised):
            if raised is not None:
                outbox.tell(RaisedAfterEnd(job, task, queue, attempt, raised))
            words[SUCCEEDED] += 1
        case _:
            assert_never(outcome)


def tell_ended(outbox: Outbox, row: Row, seconds: float, outcome: Outcome) -> None:
    """Tell that an attempt is over, if anybody wants to read so much."""
    if outbox.tells_ends:
        how = type(outcome).__name__.lower()
        outbox.tell(AttemptEnded(row[0], row[7], row[2], row[4], seconds, how))


def refusal(extra: Mapping[str, Any] | None) -> Outcome | None:
    """How a claimed job ends that is not to begin at all; None: begin."""
    if extra and extra.get("is_late"):
        return Cancelled("expired: it was too late to begin")
    return None


def lets_go(extra: Mapping[str, Any] | None) -> bool:
    """Whether a job gives back what it holds until its next attempt."""
    return extra is not None and extra.get("on_retry") == "release"


def put_cancelled(outbox: Outbox, words: memoryview, row: Row) -> None:
    """Put the end of a job that was cancelled before it began into the outbox."""
    outbox.ends.append(JobEnd(row[0], row[3], None, "c", None, "cancelled"))
    words[FAILED] += 1


def escaped(fault: BaseException) -> Failed:
    """The outcome of a job of which something reached the worker itself."""
    return Failed(f"{error_text(fault)} (it reached the worker)", traceback_text(fault), fault)
