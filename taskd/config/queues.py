"""The parts of the settings that are about queues, and about what is limited beside them.

Durations are seconds. A rate stays as it is written; `rates.parse_rate` reads it.
"""

from dataclasses import dataclass, field

from taskd.config.about import About, Kind
from taskd.config.rates import MOST_AT_ONCE
from taskd.config.sections import YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What holds for the jobs of one queue, whichever pool runs them."""

    timeout: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "How long a job of this queue may run, unless its task or the job itself says "
            "otherwise.",
            between=(0.001, YEAR),
            example="10m",
            without="the pool's timeout",
            if_zero="leave it out for no limit of the queue's own",
        ).metadata,
    )
    description: str = field(
        default="",
        metadata=About(
            Kind.TEXT,
            "What the queue is for; listings show it.",
            example="Imports from shops",
            without="no description",
        ).metadata,
    )
    concurrency: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "How many jobs of the queue may run at once, over all hosts.",
            between=(1, MOST_AT_ONCE),
            example="20",
            without="no limit",
            if_zero="leave it out for no limit, or pause the queue instead: "
            "`taskd queues pause NAME`",
        ).metadata,
    )
    rate: str | None = field(
        default=None,
        metadata=About(
            Kind.RATE,
            "How many jobs of the queue may begin in a second, minute, hour or day, "
            "over all hosts.",
            example="100/m",
            without="no limit",
        ).metadata,
    )
    burst: int = field(
        default=1,
        metadata=About(
            Kind.COUNT,
            "How many jobs `rate` lets begin at once after a quiet time.",
            between=(1, MOST_AT_ONCE),
            example="20",
            if_zero="leave it out for one at a time",
        ).metadata,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """How much there is of what code names with `limit("stripe")`."""

    concurrency: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "How many jobs that name the limit may run at once, over all hosts.",
            between=(1, MOST_AT_ONCE),
            example="5",
            without="no limit; only of a name that the file has not at all counts what code says",
            if_zero="leave it out for no limit, or pause the queues of its jobs instead: "
            "`taskd queues pause`",
        ).metadata,
    )
    rate: str | None = field(
        default=None,
        metadata=About(
            Kind.RATE,
            "How many jobs that name the limit may begin in a second, minute, hour or day, "
            "over all hosts.",
            example="100/m",
            without="no limit; only of a name that the file has not at all counts what code says",
        ).metadata,
    )
    burst: int = field(
        default=1,
        metadata=About(
            Kind.COUNT,
            "How many jobs `rate` lets begin at once after a quiet time.",
            between=(1, MOST_AT_ONCE),
            example="10",
            if_zero="leave it out for one at a time",
        ).metadata,
    )
