"""Stands for the tests, and one table of all that they have measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults import sizes
from tests.faults.postgres import Postgres, running_postgres
from tests.faults.report import Report
from tests.faults.stand import Stand, open_stand

_TOTAL = pytest.StashKey[Report]()


@pytest.fixture
def seed() -> int:
    """The seed of this run's plans: TASKD_FAULTS_SEED, so that a bad run can be had again."""
    return sizes.SEED


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    """What the test measures, printed at its end (`pytest -s`, or when it fails)."""
    made = Report()
    yield made
    print(f"\n{made}")
    pytestconfig.stash.setdefault(_TOTAL, Report()).lines.extend(made.lines)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server for this test alone, with the schema; the test may do to it what it likes."""
    with running_postgres(max_connections="120") as running:
        running.install_schema()
        yield running


@pytest.fixture
def open_hosts(tmp_path: Path, seed: int) -> Iterator[Callable[..., Stand]]:
    """Opens a stand, ended after the test."""
    with ExitStack() as stack:

        def open_one(dsn: str, **sizes: Any) -> Stand:
            opened: AbstractContextManager[Stand] = open_stand(tmp_path, dsn, seed=seed, **sizes)
            return stack.enter_context(opened)

        yield open_one


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the whole table after a long run."""
    if sizes.IS_LONG and _TOTAL in config.stash:
        terminalreporter.write_line(str(config.stash[_TOTAL]))
