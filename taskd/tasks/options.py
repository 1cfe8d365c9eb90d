"""What can be said about a task and about one enqueue, and what it comes to with the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from taskd.config.versions import written_part
from taskd.errors import OptionInvalid
from taskd.store.rows import DEFAULT_PRIORITY, DEFAULT_QUEUE
from taskd.tasks.fair import FairBy
from taskd.tasks.hooks.failures import Handle, check_failure_handler
from taskd.tasks.names import nearest_name
from taskd.tasks.needs import (
    NO_NEEDS,
    Needs,
    OnRetry,
    Resources,
    needs_offered,
    read_job_needs,
    read_needs,
)
from taskd.tasks.option_values import (
    Fate,
    read_fate,
    read_moment,
    read_parents,
    read_priority,
    read_queue,
    read_requires,
    read_retries,
    read_retry,
    read_runs_if_failed,
    read_seconds,
    read_timeout,
)
from taskd.tasks.retry import Retry, check_seconds
from taskd.tasks.unique import (
    OnConflict,
    UniqueKey,
    Uniqueness,
    read_uniqueness,
    uniqueness_offered,
)

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.tasks.job import Job
    from taskd.tasks.schedule import Schedule


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
    resources: Resources | None
    """What a job needs beside a worker: `exclusive(…)`, `shared(…)` and `limit(…)` in a list, or a
    function of the arguments that returns one."""
    concurrency: int | None
    """How many of its jobs may run at once, over all hosts."""
    rate: str | None
    """How many of its jobs may begin in a second, minute, hour or day, over all hosts: "100/m"."""
    burst: int | None
    """How many of those may begin at once after a quiet time; 1 if left out."""
    fair_by: FairBy | None
    """Who takes turns where jobs wait for the limit of their task or queue: the name of an
    argument, or a function of the arguments that returns a key."""
    on_retry: OnRetry | None
    """What becomes of its resources in the pause before a retry or after a Snooze: "hold", or
    "release". If left out, a job holds them unless it has only limits."""
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
    resources: Resources | None
    after: Iterable[Job[Any] | int]
    """Start it no sooner than these jobs have ended."""
    on_parent_failure: Literal["cancel", "run"]
    """What becomes of it when one of those does not succeed: "cancel" (if left out) or "run"."""
    connection: CallersConnection | None
    """Enqueue in the open transaction of this psycopg connection: jobs commit or vanish with it."""


_OF_THE_CODE = ("requires", "concurrency", "rate", "burst", "fair_by", "on_retry")


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
    needs: Needs = NO_NEEDS
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
    needs: Needs = NO_NEEDS
    after: tuple[int, ...] = ()
    run_if_failed: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What goes into column extra of the job."""


def read_defaults(options: Mapping[str, Any]) -> Defaults:
    """Check what `@task` was given, beside the name; raises OptionInvalid."""
    _check_known(options, TaskOptions)
    return Defaults(
        queue=read_queue(options.get("queue", DEFAULT_QUEUE)),
        priority=read_priority(options.get("priority", DEFAULT_PRIORITY)),
        timeout=read_timeout(options.get("timeout")),
        retry=read_retry(options.get("retry")),
        expires=read_seconds("expires", options.get("expires")),
        unique=read_uniqueness(options),
        requires=read_requires(options.get("requires")),
        on_failure=_failure_handler(options.get("on_failure")),
        schedules=_schedules(options["schedule"]) if "schedule" in options else (),
        needs=read_needs(options),
        on_interrupt=read_fate("on_interrupt", options.get("on_interrupt", "requeue")),
        on_lost=read_fate("on_lost", options.get("on_lost", "requeue")),
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
        needs=needs_offered(offer.get("needs")),
        on_interrupt=offer.get("on_interrupt", "requeue"),
        on_lost=offer.get("on_lost", "requeue"),
    )


def read_placement(defaults: Defaults, options: Mapping[str, Any]) -> Placement:
    """Check what an enqueue was given, beside the connection; raises OptionInvalid."""
    _check_known(options, JobOptions)
    delay, run_at = options.get("delay"), options.get("run_at")
    if delay is not None and run_at is not None:
        raise OptionInvalid("delay", delay, "and run_at exclude each other: give one of them")
    queue = read_queue(options["queue"]) if "queue" in options else defaults.queue
    return Placement(
        queue=written_part(queue, defaults.requires),
        priority=read_priority(options["priority"]) if "priority" in options else defaults.priority,
        timeout=read_timeout(options["timeout"]) if "timeout" in options else defaults.timeout,
        retries=read_retries(options["retry"]) if "retry" in options else defaults.retries,
        delay=None if delay is None else check_seconds("delay", delay),
        run_at=None if run_at is None else read_moment("run_at", run_at),
        unique=read_uniqueness(options, defaults.unique),
        needs=read_job_needs(options, defaults.needs),
        after=read_parents(options.get("after", ())),
        run_if_failed=read_runs_if_failed(options.get("on_parent_failure", "cancel")),
        extra={**_expiry(options.get("expires", defaults.expires)), **_fates(defaults)},
    )


def _check_known(options: Mapping[str, Any], known: type) -> None:
    for option in options.keys() - known.__annotations__.keys():
        if option in _OF_THE_CODE:
            raise OptionInvalid(
                option, options[option], "is for @task: what a job needs is said where its code is"
            )
        near = nearest_name(option, known.__annotations__)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(known.__annotations__)}"
        raise OptionInvalid(option, options[option], f"is no option: {hint}")


def _failure_handler(value: object) -> Handle | None:
    return None if value is None else check_failure_handler(value)


def _schedules(value: object) -> tuple[Schedule, ...]:
    from taskd.tasks.own_schedules import read_schedules  # only who has some pays for it

    return read_schedules(value)


def _expiry(value: object) -> dict[str, float]:
    """For column extra: when it is too late to begin; seconds from now are the store's to add."""
    if isinstance(value, datetime):
        return {"expires": read_moment("expires", value).timestamp()}
    seconds = read_seconds("expires", value)
    return {} if seconds is None else {"expires_in": seconds}


def _fates(defaults: Defaults) -> dict[str, Any]:
    """What column extra says of them: only what is unusual."""
    fates = {"on_interrupt": defaults.on_interrupt, "on_lost": defaults.on_lost}
    return {name: fate for name, fate in fates.items() if fate == "fail"}
