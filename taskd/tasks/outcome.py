"""How an attempt ended, as a value; and how an exception becomes one.

returned                              Done
raised, retries left                  Retried       JobTimeout: timed_out
raised, none left or not wanted       Failed
RetryLater, Snooze, Cancel            Retried or Failed, Snoozed, Cancelled
JobInterrupted, JobCancelled          Interrupted (Failed if its task says so), Cancelled
ended in its own transaction          Stored
sys.exit                              Failed, never retried
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from taskd.errors import (
    Cancel,
    Interrupt,
    JobCancelled,
    JobInterrupted,
    JobLost,
    JobTimeout,
    RetryLater,
    Snooze,
)
from taskd.tasks.context import JobAttempt
from taskd.tasks.failure import MAX_ERROR, error_text, storable, traceback_text
from taskd.tasks.retry import Retry


@dataclass(frozen=True, slots=True)
class Done:
    """The function returned; `result` is JSON text, None for None."""

    result: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed, and another follows after `delay` seconds."""

    delay: float
    error: str
    traceback: str | None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The job asked to run again after `delay` seconds, this attempt not counted."""

    delay: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job ends as cancelled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ends as failed; `exception` is what it raised, or what was wrong with it."""

    error: str
    traceback: str | None = None
    exception: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker ended the attempt for its own reasons: the job goes back, uncharged."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The job has ended itself in its own transaction; `error` is what its code raised after it."""

    error: str | None = None


Outcome = Done | Retried | Snoozed | Cancelled | Failed | Interrupted | Stored

DONE = Done()
"""The end of most jobs: nothing returned."""

# A job that was given attempts by its enqueue, though its task says nothing of retries.
_USUAL_PAUSES = Retry(max=0)
_MAX_CHAIN = 100


def outcome_of(
    error: BaseException,
    attempt: JobAttempt,
    retry: Retry | None = None,
    random: Callable[[], float] = lambda: 0.5,
    skip: int = 0,
) -> Outcome:
    """What becomes of an attempt that raised; never raises.

    `retry` is the task's, `random` gives numbers between 0 and 1, `skip` frames of the traceback
    are the worker's own.
    """
    if attempt.is_stored:
        return Stored(error_text(error))
    interrupt = _interrupt_behind(error)
    match interrupt or error:
        case JobInterrupted() | JobLost():
            return Interrupted()
        case JobCancelled() | Cancel() as cancelled:
            return Cancelled(storable(cancelled.reason, MAX_ERROR))
        case Snooze() as snooze:
            return Snoozed(snooze.seconds)
        case SystemExit():
            return Failed(_exit_sentence(error), traceback_text(error, skip), error)
        case ending:
            policy = retry or _USUAL_PAUSES
            return _failed_attempt(ending, attempt, policy, random, traceback_text(error, skip))


def interrupted_for_good(error: BaseException, traceback: str | None = None) -> Failed:
    """What becomes of an interrupted attempt whose task says on_interrupt="fail"."""
    return Failed(
        "interrupted: the worker stopped before the job was done, and its task says "
        'on_interrupt="fail"',
        traceback,
        error,
    )


def _failed_attempt(
    error: BaseException,
    attempt: JobAttempt,
    retry: Retry,
    random: Callable[[], float],
    traceback: str,
) -> Outcome:
    text = error_text(error)
    if isinstance(error, RetryLater):
        if attempt.number < attempt.max_attempts:
            return Retried(error.seconds, text, traceback)
        return Failed(f"{text} (no retries left: see @task(retry=…))", traceback, error)
    if attempt.number >= attempt.max_attempts or not retry.wants(error):
        return Failed(text, traceback, error)
    try:
        delay = retry.delay_before(attempt.number + 1, random())
    except BaseException as trouble:  # the backoff function is the user's
        reason = f"not retried: its backoff: {error_text(trouble)}"
        return Failed(f"{text} ({reason})", traceback, error)
    return Retried(delay, text, traceback, timed_out=isinstance(error, JobTimeout))


def _interrupt_behind(error: BaseException) -> Interrupt | None:
    """The worker's interrupt, also when the cleaning up after it raised something else."""
    link: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if link is None or isinstance(link, Interrupt):
            return link
        link = link.__cause__ or link.__context__
    return None


def _exit_sentence(error: BaseException) -> str:
    try:
        status = repr(getattr(error, "code", None))
    except BaseException as unprintable:
        status = f"({type(unprintable).__name__})"
    return storable(
        f"the task called sys.exit({status}): a task ends by returning, or fails by raising",
        MAX_ERROR,
    )
