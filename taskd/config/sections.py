"""The parts of the settings: a pool, the retention, the log.

Durations are seconds, sizes are bytes.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from taskd.config.about import About, Kind
from taskd.config.memory import MemorySettings

DAY = 86400.0
YEAR = 365 * DAY
KIB = 1024


class LogFormat(StrEnum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe kind of line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JobLogLevel(StrEnum):
    """The least severe kind of line that is kept with the job that logs it."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool of equal workers: greenlet workers if `greenlets` is given, else single-job ones."""

    queues: tuple[str, ...] | dict[str, int] = field(
        default=(),
        metadata=About(
            Kind.QUEUES,
            "The queues that the pool serves: a list, the most urgent first; or a mapping to "
            "weights, in whose proportion jobs are taken while all queues hold some.",
            example="[urgent, default]",
            without="all queues",
        ).metadata,
    )
    ageing: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "How long a priority must have waited to be treated as one higher; "
            "so none starves, however much of higher priority there is.",
            between=(1, 7 * DAY),
            example="5m",
            without="higher priorities always go first",
            if_zero="leave it out for strict priorities",
        ).metadata,
    )
    processes: int = field(
        default=1,
        metadata=About(
            Kind.COUNT, "How many worker processes.", between=(1, 1000), example="4"
        ).metadata,
    )
    greenlets: int | None = field(
        default=None,
        metadata=About(
            Kind.COUNT,
            "How many jobs a worker runs at once, each in a greenlet.",
            between=(1, 10_000),
            example="25",
            without="a process pool, whose workers run one job at a time",
            if_zero=(
                "a pool without greenlets is a process pool, "
                "so leave greenlets out (or say --greenlets none)"
            ),
        ).metadata,
    )
    memory: MemorySettings = field(
        default_factory=MemorySettings,
        metadata=About(
            Kind.SECTION,
            "When a worker is replaced or killed because of what it holds, or has done.",
            section=MemorySettings,
        ).metadata,
    )
    timeout: float | None = field(
        default=None,
        metadata=About(
            Kind.DURATION,
            "How long a job may run, unless its task, its queue or the job itself says otherwise.",
            between=(0.001, YEAR),
            example="5m",
            without="no limit",
            if_zero="leave it out for no limit",
        ).metadata,
    )
    shutdown_timeout: float = field(
        default=30.0,
        metadata=About(
            Kind.DURATION,
            "How long running jobs may go on once the daemon or a worker is to stop; "
            "what still runs then is interrupted and given back.",
            between=(0, DAY),
            example="2m",
        ).metadata,
    )
    kill_grace: float = field(
        default=5.0,
        metadata=About(
            Kind.DURATION,
            "How long an interrupted or timed-out job gets to clean up before it is killed.",
            between=(0, 3600),
            example="10s",
        ).metadata,
    )
    hub_warn: float = field(
        default=0.5,
        metadata=About(
            Kind.DURATION,
            "After how long a job of a greenlet pool that computes and lets no other run "
            "is told in the log.",
            between=(0.2, DAY),
            example="2s",
        ).metadata,
    )
    hub_break: float = field(
        default=30.0,
        metadata=About(
            Kind.DURATION,
            "After how long such a job is timed out.",
            between=(0.5, DAY),
            example="10s",
        ).metadata,
    )
    hub_kill: float = field(
        default=60.0,
        metadata=About(
            Kind.DURATION,
            "After how long its worker is killed, if the job has not ended by then.",
            between=(0.5, DAY),
            example="20s",
        ).metadata,
    )
    startup_timeout: float = field(
        default=60.0,
        metadata=About(
            Kind.DURATION,
            "How long the import of the pool's modules and the start of a worker may take.",
            between=(0.1, 3600),
            example="3m",
        ).metadata,
    )

    @property
    def kind(self) -> str:
        """Either `greenlet` or `process`."""
        return "process" if self.greenlets is None else "greenlet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long the database keeps what is over."""

    history: float = field(
        default=14 * DAY,
        metadata=About(
            Kind.DAYS,
            "How long finished jobs are kept; whole days, since a day is dropped at once.",
            between=(DAY, 10 * YEAR),
            example="30d",
        ).metadata,
    )
    results: float = field(
        default=14 * DAY,
        metadata=About(
            Kind.DAYS,
            "How long the results of finished jobs are kept, if that is shorter.",
            between=(DAY, 10 * YEAR),
            example="2d",
        ).metadata,
    )
    logs: float = field(
        default=14 * DAY,
        metadata=About(
            Kind.DAYS,
            "How long the log lines of jobs are kept, if that is shorter.",
            between=(DAY, 10 * YEAR),
            example="3d",
        ).metadata,
    )
    partitions_ahead: int = field(
        default=7,
        metadata=About(
            Kind.COUNT,
            "For how many days ahead the partitions of the history are made.",
            between=(1, 365),
            example="14",
        ).metadata,
    )
    workers: float = field(
        default=7 * DAY,
        metadata=About(
            Kind.DURATION,
            "How long hosts and workers that are gone are remembered.",
            between=(3600, 10 * YEAR),
            example="1d",
        ).metadata,
    )
    memory: float = field(
        default=14 * DAY,
        metadata=About(
            Kind.DURATION,
            "How long it is kept what the processes of daemons held.",
            between=(3600, 10 * YEAR),
            example="2d",
        ).metadata,
    )
    audit: float = field(
        default=90 * DAY,
        metadata=About(
            Kind.DURATION,
            "How long it is kept what people ordered through the dashboard.",
            between=(DAY, 10 * YEAR),
            example="365d",
        ).metadata,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the daemon writes about itself and where to, and what is kept of what jobs log."""

    level: LogLevel = field(
        default=LogLevel.INFO,
        metadata=About(
            Kind.CHOICE,
            "The least severe lines that are written.",
            choices=tuple(LogLevel),
            example="debug",
        ).metadata,
    )
    format: LogFormat = field(
        default=LogFormat.TEXT,
        metadata=About(
            Kind.CHOICE,
            "Lines for people, or one JSON object a line for programs.",
            choices=tuple(LogFormat),
            example="json",
        ).metadata,
    )
    file: str | None = field(
        default=None,
        metadata=About(
            Kind.PATH,
            "The file that lines are appended to; USR1 opens it anew after a rotation.",
            example="/var/log/taskd.log",
            without="standard error",
        ).metadata,
    )
    job_level: JobLogLevel = field(
        default=JobLogLevel.INFO,
        metadata=About(
            Kind.CHOICE,
            "The least severe lines of a job's `logging` that are kept with the job.",
            choices=tuple(JobLogLevel),
            example="debug",
        ).metadata,
    )
    job_bytes: int = field(
        default=64 * KIB,
        metadata=About(
            Kind.SIZE,
            "How much is kept of the log of an attempt: its first three quarters and its last "
            "quarter. A line counts 100 bytes beside its text.",
            between=(4 * KIB, 64 * KIB * KIB),
            example="256KiB",
        ).metadata,
    )
