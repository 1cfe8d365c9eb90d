"""What can be said about a task and about one enqueue: the names, the checks, the defaults."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from taskd.config.names import check_queue_name
from taskd.config.versions import check_version, written_part
from taskd.errors import MAX_PAUSE, OptionInvalid
from taskd.store.rows import DEFAULT_PRIORITY, DEFAULT_QUEUE
from taskd.tasks.hooks.failures import Handle, check_failure_handler
from taskd.tasks.names import nearest_name
from taskd.tasks.retry import Retry, check_retries, check_seconds
from taskd.tasks.unique import (
    OnConflict,
    UniqueKey,
    Uniqueness,
    read_uniqueness,
    uniqueness_offered,
)

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection
    from taskd.tasks.job import Job
    from taskd.tasks.schedule import Schedule

MAX_PRIORITY = 9
MAX_TIMEOUT = 365 * 86400.0

Fate = Literal["requeue", "fail"]
"""What becomes of a job that did not get to its end, through no fault of its own."""


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
    expires: float | None
    """Seconds after the enqueue when it is too late to begin; then a job is cancelled."""
    unique: UniqueKey | None
    """At most one job at a time: True by its arguments, or a key, or a function that makes one."""
    unique_until: Literal["started", "finished"] | float
    """When a job lets go of its key: when it has "started", "finished" (if left out), or seconds
    after its enqueue, whatever has become of it."""
    on_conflict: OnConflict
    """What a second enqueue does to the job that holds the key: "keep" it as it is, "replace" its
    arguments, or make it due "earlier"."""
    requires: str | None
    """The version of the code that its jobs need: workers whose code requires it nowhere, such as
    those of the last deploy, leave them alone."""
    on_failure: Handle | None
    """A function that is called with the FailedJob when one of its jobs has failed for good."""
    schedule: Schedule | Sequence[Schedule]
    """When it is enqueued by itself: a Cron, Every or At, or several of them."""
    on_interrupt: Fate
    """When the worker stops before the job is done: "requeue" if left out, or "fail"."""
    on_lost: Fate
    """When its worker dies under it: "requeue" if left out; "fail": never run it a second time."""


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
    expires: float | datetime | None
    """Cancel it if it has not begun in so many seconds, or by then."""
    unique: UniqueKey | None
    unique_until: Literal["started", "finished"] | float
    on_conflict: OnConflict
    after: Iterable[Job[Any] | int]
    """Start it no sooner than these jobs have ended."""
    on_parent_failure: Literal["cancel", "run"]
    """What becomes of it when one of those does not succeed: "cancel" (if left out) or "run"."""
    connection: AnyConnection | None
    """Enqueue in the open transaction of this psycopg connection: jobs commit or vanish with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds for each job of a task, unless its enqueue says otherwise."""

    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    timeout: float | None = None
    retry: Retry | None = None
    expires: float | None = None
    unique: Uniqueness | None = None
    requires: str | None = None
    on_failure: Handle | None = None
    schedules: tuple[Schedule, ...] = ()
    on_interrupt: Fate = "requeue"
    on_lost: Fate = "requeue"

    @property
    def retries(self) -> int:
        """How many retries a job has."""
        return 0 if self.retry is None else self.retry.max


DEFAULTS = Defaults()
"""Of a function without options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and when jobs wait, as the store is told.

    The queue is the part of it for the version of the code that they require.
    """

    queue: str
    priority: int
    timeout: float | None
    retries: int
    delay: float | None
    run_at: datetime | None
    unique: Uniqueness | None = None
    after: tuple[int, ...] = ()
    run_if_failed: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What goes into column extra of the job."""


def read_defaults(options: Mapping[str, Any]) -> Defaults:
    """Check what `@task` was given, beside the name; raises OptionInvalid."""
    _check_known(options, TaskOptions)
    return Defaults(
        queue=_queue(options.get("queue", DEFAULT_QUEUE)),
        priority=_priority(options.get("priority", DEFAULT_PRIORITY)),
        timeout=_timeout(options.get("timeout")),
        retry=_retry(options.get("retry")),
        expires=_positive_seconds("expires", options.get("expires")),
        unique=read_uniqueness(options),
        requires=_requires(options.get("requires")),
        on_failure=_failure_handler(options.get("on_failure")),
        schedules=_schedules(options["schedule"]) if "schedule" in options else (),
        on_interrupt=_fate("on_interrupt", options.get("on_interrupt", "requeue")),
        on_lost=_fate("on_lost", options.get("on_lost", "requeue")),
    )


def defaults_offered(offer: Mapping[str, Any]) -> Defaults:
    """The options of a task as a daemon has published it; of its retries only their number."""
    retries = offer["retries"]
    return Defaults(
        queue=offer["queue"],
        priority=offer["priority"],
        timeout=offer["timeout"],
        retry=Retry(max=retries) if retries else None,
        expires=offer.get("expires"),  # an older taskd does not say, nor the following
        unique=uniqueness_offered(offer.get("unique")),
        requires=offer.get("requires"),
        on_interrupt=offer.get("on_interrupt", "requeue"),
        on_lost=offer.get("on_lost", "requeue"),
    )


def read_placement(defaults: Defaults, options: Mapping[str, Any]) -> Placement:
    """Check what an enqueue was given, beside the connection; raises OptionInvalid."""
    _check_known(options, JobOptions)
    delay, run_at = options.get("delay"), options.get("run_at")
    if delay is not None and run_at is not None:
        raise OptionInvalid("delay", delay, "and run_at exclude each other: give one of them")
    queue = _queue(options["queue"]) if "queue" in options else defaults.queue
    return Placement(
        queue=written_part(queue, defaults.requires),
        priority=_priority(options["priority"]) if "priority" in options else defaults.priority,
        timeout=_timeout(options["timeout"]) if "timeout" in options else defaults.timeout,
        retries=_retries(options["retry"]) if "retry" in options else defaults.retries,
        delay=None if delay is None else check_seconds("delay", delay),
        run_at=None if run_at is None else _moment("run_at", run_at),
        unique=read_uniqueness(options, defaults.unique),
        after=_parents(options.get("after", ())),
        run_if_failed=_runs_if_failed(options.get("on_parent_failure", "cancel")),
        extra={**_expiry(options.get("expires", defaults.expires)), **_fates(defaults)},
    )


def _check_known(options: Mapping[str, Any], known: type) -> None:
    for option in options.keys() - known.__annotations__.keys():
        if option == "requires":
            raise OptionInvalid(
                option, options[option], "is for @task: what a job needs is said where its code is"
            )
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


def _requires(value: object) -> str | None:
    try:
        return None if value is None else check_version(value)
    except ValueError as error:
        raise OptionInvalid("requires", value, str(error)) from None


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


def _schedules(value: object) -> tuple[Schedule, ...]:
    from taskd.tasks.own_schedules import read_schedules  # only who has some pays for it

    return read_schedules(value)


def _fate(option: str, value: object) -> Fate:
    if value not in ("requeue", "fail"):
        raise OptionInvalid(option, value, 'is neither "requeue" nor "fail"')
    return value


def _fates(defaults: Defaults) -> dict[str, Any]:
    """What column extra says of them: only what is unusual."""
    fates = {"on_interrupt": defaults.on_interrupt, "on_lost": defaults.on_lost}
    return {name: fate for name, fate in fates.items() if fate == "fail"}


def _retries(value: object) -> int:
    if isinstance(value, Retry):
        raise OptionInvalid(
            "retry", value, "is for @task: one job can only have another number of retries"
        )
    return check_retries("retry", value)


def _failure_handler(value: object) -> Handle | None:
    return None if value is None else check_failure_handler(value)


def _moment(option: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise OptionInvalid(option, value, "is not a datetime")
    if value.utcoffset() is None:
        raise OptionInvalid(option, value, "has no time zone: say datetime.now(UTC) + …")
    if value.timestamp() > time.time() + MAX_PAUSE:
        raise OptionInvalid(option, value, "is more than a hundred years away")
    return value


def _positive_seconds(option: str, value: object) -> float | None:
    if value is None:
        return None
    seconds = check_seconds(option, value)
    if seconds == 0:
        raise OptionInvalid(option, value, "leaves no time to begin: give seconds above 0, or None")
    return seconds


def _expiry(value: object) -> dict[str, float]:
    """For column extra: when it is too late to begin; seconds from now are the store's to add."""
    if isinstance(value, datetime):
        return {"expires": _moment("expires", value).timestamp()}
    seconds = _positive_seconds("expires", value)
    return {} if seconds is None else {"expires_in": seconds}


def _parents(value: object) -> tuple[int, ...]:
    """The ids of jobs, each once."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionInvalid("after", value, "is not a list of jobs: say after=[job]")
    return tuple(dict.fromkeys(_parent(one) for one in value))


def _parent(value: object) -> int:
    job_id = getattr(value, "id", value)
    if isinstance(job_id, bool) or not isinstance(job_id, int) or job_id < 1:
        raise OptionInvalid("after", value, "is no job: give what an enqueue returned, or its id")
    return job_id


def _runs_if_failed(value: object) -> bool:
    if value not in ("cancel", "run"):
        raise OptionInvalid("on_parent_failure", value, 'is not "cancel" or "run"')
    return value == "run"
