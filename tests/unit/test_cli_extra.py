"""What a daemon with a dashboard needs at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskd.cli.checks.demand import connections_needed
from taskd.cli.extra import EXTRA, missing_part, require_dashboard
from taskd.cli.failure import Failure
from taskd.config.dashboard import DashboardSettings
from taskd.config.settings import Settings
from taskd.web.source import CONNECTIONS

LOCAL = Settings(dashboard=DashboardSettings(listen="127.0.0.1:8080"))


def test_a_part_that_is_not_installed_is_named_with_the_remedy() -> None:
    parts = (*EXTRA, "nothing_of_that_name")

    with pytest.raises(Failure) as refused:
        require_dashboard(LOCAL, parts)

    assert str(refused.value) == (
        "dashboard: nothing_of_that_name is missing: pip install 'taskd[dashboard]', or take "
        "dashboard.listen out of the configuration"
    )
    assert missing_part() is None


def test_a_daemon_without_a_dashboard_needs_nothing_of_it() -> None:
    require_dashboard(Settings(), ("nothing_of_that_name",))


def test_a_token_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = str(tmp_path / "token")
    settings = Settings(dashboard=DashboardSettings(listen="127.0.0.1:8080", token_file=file))

    with pytest.raises(Failure, match=f"dashboard: token_file {file}: No such file or directory"):
        require_dashboard(settings)


def test_the_connections_of_a_dashboard_are_reckoned_with() -> None:
    assert connections_needed(LOCAL) - connections_needed(Settings()) == CONNECTIONS
