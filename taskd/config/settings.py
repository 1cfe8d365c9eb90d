"""The settings that every process of the daemon works from, with their defaults and ranges.

The master hands them to its children as JSON through a file descriptor, so this module and what
it imports are the standard library alone. Durations are seconds, sizes are bytes.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Self

from taskd.config.about import About, Kind
from taskd.config.dashboard import DashboardSettings
from taskd.config.origin import Origin
from taskd.config.paths import default_state_dir
from taskd.config.queues import LimitSettings, QueueSettings
from taskd.config.readers import READERS, as_it_is
from taskd.config.schedules import ScheduleSettings
from taskd.config.sections import (
    JobLogLevel,
    LogFormat,
    LogLevel,
    LogSettings,
    PoolSettings,
    RetentionSettings,
)

__all__ = [
    "DashboardSettings",
    "JobLogLevel",
    "LimitSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "Origin",
    "PoolSettings",
    "QueueSettings",
    "RetentionSettings",
    "ScheduleSettings",
    "Settings",
]

MIB = 1024**2

DEFAULT_POOL = "default"
DEFAULT_GREENLETS = 25
DEFAULT_MAX_PROCESSES = 4
DEFAULT_MAX_ARGS = MIB
DEFAULT_MAX_RESULT = MIB


def default_processes() -> int:
    """Count the worker processes of the default pool: one a usable processor, at most 4."""
    return min(DEFAULT_MAX_PROCESSES, len(os.sched_getaffinity(0)))


def default_pools() -> dict[str, PoolSettings]:
    """Make the pools of a configuration that names none."""
    return {DEFAULT_POOL: PoolSettings(processes=default_processes(), greenlets=DEFAULT_GREENLETS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a daemon."""

    database: str | None = field(
        default=None,
        repr=False,
        metadata=About(
            Kind.DSN,
            "The PostgreSQL database that holds the jobs.",
            example="postgresql://taskd@db.example/shop",
            without="an embedded PostgreSQL in `state_dir`",
            is_lasting=True,
        ).metadata,
    )
    listen: bool | str = field(
        default=True,
        repr=False,
        metadata=About(
            Kind.LISTEN,
            "How news of jobs arrive: true for LISTEN on `database`, a connection string for "
            "LISTEN there (past a pooler), false for polling.",
            example="false",
            is_lasting=True,
        ).metadata,
    )
    imports: tuple[str, ...] = field(
        default=(),
        metadata=About(
            Kind.MODULES,
            "The modules, with all inside them, whose functions may be run; imported at start.",
            example="[shop.tasks]",
            without="no module, so every job fails with that reason",
        ).metadata,
    )
    offers: tuple[str, ...] = field(
        default=(),
        metadata=About(
            Kind.VERSIONS,
            "Versions of the code whose jobs may be run as well, beside those that its tasks "
            "require.",
            example="[v1]",
            without="none but those",
        ).metadata,
    )
    middleware: tuple[str, ...] = field(
        default=(),
        metadata=About(
            Kind.CLASSES,
            "Middleware inside of `imports` to put around attempts and enqueues in the workers, "
            "beside what the code registers itself; the first is outermost.",
            example="[shop.hooks.Tracing]",
            without="what the code registers itself",
        ).metadata,
    )
    pools: dict[str, PoolSettings] = field(
        default_factory=default_pools,
        metadata=About(
            Kind.SECTIONS,
            "The pools of workers, by name.",
            without="one pool `default` of 25 greenlets in a process per processor, at most 4",
            section=PoolSettings,
        ).metadata,
    )
    queues: dict[str, QueueSettings] = field(
        default_factory=dict,
        metadata=About(
            Kind.SECTIONS,
            "What holds for single queues, by name; a queue needs no entry here.",
            section=QueueSettings,
        ).metadata,
    )
    limits: dict[str, LimitSettings] = field(
        default_factory=dict,
        metadata=About(
            Kind.SECTIONS,
            "How much there is of what code names with `limit(…)`, by name; "
            "goes before what the code says.",
            section=LimitSettings,
        ).metadata,
    )
    schedules: dict[str, ScheduleSettings] = field(
        default_factory=dict,
        metadata=About(
            Kind.SECTIONS,
            "What is enqueued at its time, by name.",
            section=ScheduleSettings,
        ).metadata,
    )
    retention: RetentionSettings = field(
        default_factory=RetentionSettings,
        metadata=About(
            Kind.SECTION, "How long the database keeps what is over.", section=RetentionSettings
        ).metadata,
    )
    log: LogSettings = field(
        default_factory=LogSettings,
        metadata=About(
            Kind.SECTION,
            "What the daemon writes about itself, and what is kept of what jobs log.",
            section=LogSettings,
        ).metadata,
    )
    dashboard: DashboardSettings = field(
        default_factory=DashboardSettings,
        metadata=About(
            Kind.SECTION,
            "The web server that shows the system and takes orders, as a child of the daemon.",
            section=DashboardSettings,
        ).metadata,
    )
    state_dir: str = field(
        default_factory=default_state_dir,
        metadata=About(
            Kind.PATH,
            "The folder for the embedded PostgreSQL and the files of running daemons.",
            example="/srv/taskd",
            without="/var/lib/taskd for root, else the user's XDG state directory",
            is_lasting=True,
        ).metadata,
    )
    lease: float = field(
        default=15.0,
        metadata=About(
            Kind.DURATION,
            "After how long without a sign of life another host gives this host's jobs back.",
            between=(1, 3600),
            example="30s",
            is_lasting=True,
        ).metadata,
    )
    max_crashes: int = field(
        default=3,
        metadata=About(
            Kind.COUNT,
            "How many workers may be killed because of one job, or die while it runs alone, before "
            "it fails as poisoned.",
            between=(1, 1000),
            example="1",
            if_zero="say 1: the first one fails it",
        ).metadata,
    )
    max_losses: int = field(
        default=5,
        metadata=About(
            Kind.COUNT,
            "How many workers may die under one job, with nobody to blame, before it fails as "
            "poisoned.",
            between=(1, 1000),
            example="3",
            if_zero="say 1: the first one fails it",
        ).metadata,
    )
    max_args: int = field(
        default=DEFAULT_MAX_ARGS,
        metadata=About(
            Kind.SIZE,
            "How large the arguments of one job may be, as JSON text.",
            between=(64, 256 * MIB),
            example="64kB",
        ).metadata,
    )
    max_result: int = field(
        default=DEFAULT_MAX_RESULT,
        metadata=About(
            Kind.SIZE,
            "How large what a job returns may be, as JSON text; a job that returns more fails.",
            between=(64, 256 * MIB),
            example="8MiB",
        ).metadata,
    )
    pid_file: str | None = field(
        default=None,
        metadata=About(
            Kind.PATH,
            "The file that holds the master's pid and keeps a second daemon from starting.",
            example="/run/taskd.pid",
            without="no file",
            is_lasting=True,
        ).metadata,
    )
    burst: bool = False
    """Whether the daemon ends once its queues are empty; a flag, never in a file."""
    origin: Origin = field(default_factory=Origin)

    def to_json(self) -> str:
        """Write the settings as one line of ASCII JSON; they may hold a password."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, with defaults for what is not there.

        Raises TypeError or ValueError on text that does not come from there.
        """
        values = json.loads(text)
        return cls(**{name: READERS.get(name, as_it_is)(value) for name, value in values.items()})
