"""What the extra `taskd[dashboard]` brings, and what a daemon with a dashboard must have."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from taskd.cli.failure import Failure

if TYPE_CHECKING:
    from taskd.config.settings import Settings

EXTRA = ("bottle", "waitress", "prometheus_client")


def missing_part(parts: tuple[str, ...] = EXTRA) -> str | None:
    """A part of the extra that is not installed, None if all are."""
    return next((part for part in parts if find_spec(part) is None), None)


def require_dashboard(settings: Settings, parts: tuple[str, ...] = EXTRA) -> None:
    """Raise Failure if these settings want a dashboard that could not work, with the remedy."""
    if settings.dashboard.listen is None:
        return
    missing = missing_part(parts)
    if missing is not None:
        raise Failure(
            f"dashboard: {missing} is missing: pip install 'taskd[dashboard]', or take "
            "dashboard.listen out of the configuration"
        )
    from taskd.web.tokens import read_access

    try:
        read_access(settings.dashboard)
    except ValueError as error:
        raise Failure(f"dashboard: {error}") from error
