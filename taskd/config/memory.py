"""What a pool's workers may hold, and when they are worn: the part `memory` of a pool.

Sizes are bytes, or a share such as `80%` of the memory there is: of the control group's limit, or
the machine's. Only the daemon knows it, so a share stays as it is written; `parse_share` reads it.
"""

from dataclasses import dataclass, field

from taskd.config.about import About, Kind

HOUR = 3600.0
YEAR = 365 * 24 * HOUR

LEAST_SHARE = 0.01
LEAST_MEMORY, MOST_MEMORY = 10**6, 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """When a worker is replaced or killed because of what it holds, or has done."""

    soft: int | str | None = field(
        default=None,
        metadata=About(
            Kind.MEMORY,
            "Over which memory a worker, with all processes below it, is replaced: "
            "its successor is started first, then it drains.",
            example="400MB",
            without="no limit",
            if_zero="leave it out for no limit",
        ).metadata,
    )
    hard: int | str | None = field(
        default=None,
        metadata=About(
            Kind.MEMORY,
            "Over which memory it is killed; its jobs go back at once.",
            example="1GB",
            without="no limit",
            if_zero="leave it out for no limit",
        ).metadata,
    )
    host_budget: int | str = field(
        default="90%",
        metadata=About(
            Kind.MEMORY,
            "How much the whole daemon may hold on its host before workers of this pool, "
            "one at a time, the most grown first, are replaced.",
            example="6GB",
            if_zero="say 100% to use all there is",
        ).metadata,
    )
    max_jobs: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "After how many jobs a worker is replaced.",
            between=(1, 1_000_000_000),
            example="10000",
            without="no limit",
            if_zero="leave it out for no limit",
        ).metadata,
    )
    max_lifetime: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "After how long a worker is replaced.",
            between=(1, YEAR),
            example="12h",
            without="no limit",
            if_zero="leave it out for no limit",
        ).metadata,
    )
    min_lifetime: float = field(
        default=10.0,
        metadata=About(
            Kind.DURATION,
            "How long a worker lives at least before it is replaced for any of these.",
            between=(0, 24 * HOUR),
            example="1m",
        ).metadata,
    )
    jitter: float = field(
        default=0.2,
        metadata=About(
            Kind.SHARE,
            "By how much of `max_jobs` and `max_lifetime` a worker may fall short of them, at "
            "random, so that a pool's workers do not all go at once.",
            between=(0, 0.9),
            example="10%",
        ).metadata,
    )
