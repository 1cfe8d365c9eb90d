"""What can be said about a task and about one enqueue: the names, the checks, the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from taskd.config.names import check_queue_name
from taskd.errors import OptionInvalid
from taskd.store.rows import DEFAULT_PRIORITY, DEFAULT_QUEUE
from taskd.tasks.names import nearest_name
from taskd.tasks.retry import Retry, check_retries, check_seconds

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

MAX_PRIORITY = 9
MAX_TIMEOUT = 365 * 86400.0


class TaskOptions(TypedDict, total=False):
    """What `@task` takes; each may be left out."""

    name: str
    """Instead of the dotted path of the function."""
    queue: str
    """Where its jobs wait; "default" if left out."""
    priority: int
    """0 to 9; of a queue's jobs the higher ones start first; 5 if left out."""
    timeout: float | None
    """Seconds that an attempt may run; if left out, what the queue or the pool says."""
    retry: Retry | int | None
    """What follows a failed attempt; a number is short for Retry(max=number)."""


class JobOptions(TypedDict, total=False):
    """What `.options(…)` and `enqueue_many` take: for these jobs, instead of the task's own."""

    queue: str
    priority: int
    timeout: float | None
    retry: int
    """How many retries the job has; their pauses are those of the task."""
    delay: float
    """Start it no sooner than in so many seconds."""
    run_at: datetime
    """Start it no sooner than then; must know its time zone. Instead of delay."""
    connection: AnyConnection | None
    """Enqueue in the open transaction of this psycopg connection: jobs commit or vanish with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for each job of a task, unless its enqueue says otherwise."""

    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    timeout: float | None = None
    retry: Retry | None = None

    @property
    def retries(self) -> int:
        """How many retries a job has."""
        return 0 if self.retry is None else self.retry.max


DEFAULTS = Defaults()
"""Of a function without options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and when jobs wait, as the store is told."""

    queue: str
    priority: int
    timeout: float | None
    retries: int
    delay: float | None
    run_at: datetime | None


def read_defaults(options: Mapping[str, Any]) -> Defaults:
    """Check what `@task` was given, beside the name; raises OptionInvalid."""
    _check_known(options, TaskOptions)
    return Defaults(
        queue=_queue(options.get("queue", DEFAULT_QUEUE)),
        priority=_priority(options.get("priority", DEFAULT_PRIORITY)),
        timeout=_timeout(options.get("timeout")),
        retry=_retry(options.get("retry")),
    )


def defaults_offered(offer: Mapping[str, Any]) -> Defaults:
    """The options of a task as a daemon has published it; of its retries only their number."""
    retries = offer["retries"]
    return Defaults(
        queue=offer["queue"],
        priority=offer["priority"],
        timeout=offer["timeout"],
        retry=Retry(max=retries) if retries else None,
    )


def read_placement(defaults: Defaults, options: Mapping[str, Any]) -> Placement:
    """Check what an enqueue was given, beside the connection; raises OptionInvalid."""
    _check_known(options, JobOptions)
    delay, run_at = options.get("delay"), options.get("run_at")
    if delay is not None and run_at is not None:
        raise OptionInvalid("delay", delay, "and run_at exclude each other: give one of them")
    return Placement(
        queue=_queue(options["queue"]) if "queue" in options else defaults.queue,
        priority=_priority(options["priority"]) if "priority" in options else defaults.priority,
        timeout=_timeout(options["timeout"]) if "timeout" in options else defaults.timeout,
        retries=_retries(options["retry"]) if "retry" in options else defaults.retries,
        delay=None if delay is None else check_seconds("delay", delay),
        run_at=None if run_at is None else _moment(run_at),
    )


def _check_known(options: Mapping[str, Any], known: type) -> None:
    for option in options.keys() - known.__annotations__.keys():
        near = nearest_name(option, known.__annotations__)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(known.__annotations__)}"
        raise OptionInvalid(option, options[option], f"is no option: {hint}")


def _queue(value: object) -> str:
    if not isinstance(value, str):
        raise OptionInvalid("queue", value, "is no name for a queue: give a text")
    try:
        return check_queue_name(value)
    except ValueError as error:
        raise OptionInvalid("queue", value, str(error)) from None


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionInvalid("priority", value, f"is not a whole number from 0 to {MAX_PRIORITY}")
    if not 0 <= value <= MAX_PRIORITY:
        raise OptionInvalid(
            "priority", value, f"is not between 0 and {MAX_PRIORITY} (9 starts first)"
        )
    return int(value)


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    seconds = check_seconds("timeout", value)
    if not 0 < seconds <= MAX_TIMEOUT:
        raise OptionInvalid(
            "timeout", value, f"is not above 0 and up to {MAX_TIMEOUT:.0f}: give seconds, or None"
        )
    return seconds


def _retry(value: object) -> Retry | None:
    if value is None or isinstance(value, Retry):
        return value
    return Retry(max=check_retries("retry", value))


def _retries(value: object) -> int:
    if isinstance(value, Retry):
        raise OptionInvalid(
            "retry", value, "is for @task: one job can only have another number of retries"
        )
    return check_retries("retry", value)


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise OptionInvalid("run_at", value, "is not a datetime")
    if value.utcoffset() is None:
        raise OptionInvalid("run_at", value, "has no time zone: say datetime.now(UTC) + …")
    return value
