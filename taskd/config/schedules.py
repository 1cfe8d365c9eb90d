"""A part of the settings: a schedule. Durations are seconds."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from taskd.config.about import About, Kind
from taskd.config.sections import YEAR

MOST_MISSED = 1000

PLACEMENT = ("queue", "priority", "timeout", "retry", "expires")
"""The options of a schedule that may stand instead of its task's own."""


class CatchUp(StrEnum):
    """What becomes of the slots that were missed while no daemon ran."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


class Overlap(StrEnum):
    """What a slot does while the job of an earlier one has not ended."""

    SKIP = "skip"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """A task, and when it is enqueued: one of `cron`, `every` and `run_at`."""

    task: str = field(
        metadata=About(
            Kind.TASK,
            "The task that is enqueued, by its name.",
            example="shop.tasks.report",
            without="a fault, for every schedule needs one",
        ).metadata,
    )
    cron: str | None = field(
        default=None,
        metadata=About(
            Kind.CRON,
            "When: minute, hour, day of month, month, day of week.",
            example='"0 3 * * MON-FRI"',
            without="`every` or `run_at` says when",
        ).metadata,
    )
    timezone: str = field(
        default="UTC",
        metadata=About(
            Kind.TIMEZONE, "Whose clock `cron` goes by.", example="Europe/Berlin"
        ).metadata,
    )
    every: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "When: each time that so much more has passed since 1970-01-01T00:00Z, "
            "so that no restart moves it.",
            between=(1, YEAR),
            example="15m",
            without="`cron` or `run_at` says when",
            if_zero="leave the schedule out if it is not to run",
        ).metadata,
    )
    run_at: str | None = field(
        default=None,
        metadata=About(
            Kind.MOMENT,
            "When: once, then.",
            example="2030-01-31T08:00:00+01:00",
            without="`cron` or `every` says when",
        ).metadata,
    )
    args: tuple[Any, ...] = field(
        default=(),
        metadata=About(
            Kind.ARGUMENTS, "What the task is called with.", example="[eu, 7]", without="nothing"
        ).metadata,
    )
    kwargs: dict[str, Any] = field(
        default_factory=dict,
        metadata=About(
            Kind.KEYWORDS,
            "What the task is called with by name.",
            example="{days: 7}",
            without="nothing",
        ).metadata,
    )
    queue: str | None = field(
        default=None,
        metadata=About(
            Kind.QUEUE, "Where its jobs wait.", example="reports", without="the task's queue"
        ).metadata,
    )
    priority: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "The priority of its jobs; 9 starts first.",
            between=(0, 9),
            example="3",
            without="the task's priority",
        ).metadata,
    )
    timeout: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "How long a job of it may run.",
            between=(0.001, YEAR),
            example="10m",
            without="the task's timeout",
            if_zero="leave it out for the task's own",
        ).metadata,
    )
    retry: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "How many retries a job of it has.",
            between=(0, 32_766),
            example="2",
            without="as many as the task says",
        ).metadata,
    )
    expires: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "After how long it is too late for a job of it to begin; then it is cancelled.",
            between=(0.001, YEAR),
            example="1h",
            without="what the task says",
            if_zero="leave it out for what the task says",
        ).metadata,
    )
    catch_up: CatchUp = field(
        default=CatchUp.ONE,
        metadata=About(
            Kind.CHOICE,
            "What becomes of slots that were missed while no daemon ran: nothing, one job for all, "
            "a job for each.",
            choices=tuple(CatchUp),
            example="none",
        ).metadata,
    )
    catch_up_limit: int = field(
        default=100,
        metadata=About(
            Kind.COUNT,
            "How many missed slots `catch_up: all` makes up for at most, the latest ones.",
            between=(1, MOST_MISSED),
            example="24",
        ).metadata,
    )
    overlap: Overlap = field(
        default=Overlap.SKIP,
        metadata=About(
            Kind.CHOICE,
            "What a slot does while the schedule's last job has not ended: nothing, or enqueue.",
            choices=tuple(Overlap),
            example="queue",
        ).metadata,
    )


ALL_NEEDS_QUEUE = (
    "is to make up for every slot, of which overlap 'skip' would skip all but the first: "
    "set overlap to 'queue' as well"
)
