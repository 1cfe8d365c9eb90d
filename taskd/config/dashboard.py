"""The dashboard: the part `dashboard` of the settings."""

from dataclasses import dataclass, field

from taskd.config.about import About, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """Where a dashboard answers, whom, and what it hides."""

    listen: str | None = field(
        default=None,
        metadata=About(
            Kind.ADDRESS,
            "Where the daemon's dashboard answers; beyond this machine only with a token.",
            example="127.0.0.1:8080",
            without="the daemon has no dashboard",
        ).metadata,
    )
    token_file: str | None = field(
        default=None,
        metadata=About(
            Kind.PATH,
            "The file that holds the token of operators, who see everything and give orders.",
            example="/etc/taskd/token",
            without="the variable TASKD_DASHBOARD_TOKEN; without that programs on this machine "
            "need none",
        ).metadata,
    )
    reader_token_file: str | None = field(
        default=None,
        metadata=About(
            Kind.PATH,
            "The file that holds the token of readers, who give no orders.",
            example="/etc/taskd/reader-token",
            without="the variable TASKD_DASHBOARD_READER_TOKEN; without that there are no readers",
        ).metadata,
    )
    mask: tuple[str, ...] = field(
        default=(),
        metadata=About(
            Kind.TASKS,
            "The tasks whose arguments are shown to nobody.",
            example="[shop.tasks.charge]",
            without="all arguments are shown",
        ).metadata,
    )
