"""The value that each option may have: whoever gives another gets an OptionInvalid."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from taskd.config.names import check_queue_name
from taskd.config.versions import check_version
from taskd.errors import MAX_PAUSE, OptionInvalid
from taskd.tasks.retry import Retry, check_retries, check_seconds

MAX_PRIORITY = 9
MAX_TIMEOUT = 365 * 86400.0

Fate = Literal["requeue", "fail"]
"""What becomes of a job that did not get to its end, through no fault of its own."""


def read_queue(value: object) -> str:
    """The name of a queue."""
    if not isinstance(value, str):
        raise OptionInvalid("queue", value, "is no name for a queue: give a text")
    try:
        return check_queue_name(value)
    except ValueError as error:
        raise OptionInvalid("queue", value, str(error)) from None


def read_requires(value: object) -> str | None:
    """A version of the code, or None."""
    try:
        return None if value is None else check_version(value)
    except ValueError as error:
        raise OptionInvalid("requires", value, str(error)) from None


def read_priority(value: object) -> int:
    """0 to MAX_PRIORITY."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionInvalid("priority", value, f"is not a whole number from 0 to {MAX_PRIORITY}")
    if not 0 <= value <= MAX_PRIORITY:
        raise OptionInvalid(
            "priority", value, f"is not between 0 and {MAX_PRIORITY} (9 starts first)"
        )
    return int(value)


def read_timeout(value: object) -> float | None:
    """Seconds, or None for no limit."""
    if value is None:
        return None
    seconds = check_seconds("timeout", value)
    if not 0 < seconds <= MAX_TIMEOUT:
        raise OptionInvalid(
            "timeout", value, f"is not above 0 and up to {MAX_TIMEOUT:.0f}: give seconds, or None"
        )
    return seconds


def read_retry(value: object) -> Retry | None:
    """What follows a failed attempt; a number is short for Retry(max=number)."""
    if value is None or isinstance(value, Retry):
        return value
    return Retry(max=check_retries("retry", value))


def read_fate(option: str, value: object) -> Fate:
    """What becomes of such a job."""
    if value not in ("requeue", "fail"):
        raise OptionInvalid(option, value, 'is neither "requeue" nor "fail"')
    return value


def read_retries(value: object) -> int:
    """How many retries one job has."""
    if isinstance(value, Retry):
        raise OptionInvalid(
            "retry", value, "is for @task: one job can only have another number of retries"
        )
    return check_retries("retry", value)


def read_moment(option: str, value: object) -> datetime:
    """A time that knows its zone."""
    if not isinstance(value, datetime):
        raise OptionInvalid(option, value, "is not a datetime")
    if value.utcoffset() is None:
        raise OptionInvalid(option, value, "has no time zone: say datetime.now(UTC) + …")
    if value.timestamp() > time.time() + MAX_PAUSE:
        raise OptionInvalid(option, value, "is more than a hundred years away")
    return value


def read_seconds(option: str, value: object) -> float | None:
    """Seconds above 0, or None."""
    if value is None:
        return None
    seconds = check_seconds(option, value)
    if seconds == 0:
        raise OptionInvalid(option, value, "leaves no time to begin: give seconds above 0, or None")
    return seconds


def read_parents(value: object) -> tuple[int, ...]:
    """The ids of jobs, each once."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionInvalid("after", value, "is not a list of jobs: say after=[job]")
    return tuple(dict.fromkeys(_parent(one) for one in value))


def _parent(value: object) -> int:
    job_id = getattr(value, "id", value)
    if isinstance(job_id, bool) or not isinstance(job_id, int) or job_id < 1:
        raise OptionInvalid("after", value, "is no job: give what an enqueue returned, or its id")
    return job_id


def read_runs_if_failed(value: object) -> bool:
    """Whether a job runs although one that it comes after did not succeed."""
    if value not in ("cancel", "run"):
        raise OptionInvalid("on_parent_failure", value, 'is not "cancel" or "run"')
    return value == "run"
