"""Stands for the short form."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.report import Report
from tests.faults.stand import Stand, open_stand

SEED = int(os.environ.get("TASKD_FAULTS_SEED", "1"))


@pytest.fixture
def seed() -> int:
    """The seed of this run's plans: TASKD_FAULTS_SEED, so that a bad run can be had again."""
    return SEED


@pytest.fixture
def report() -> Iterator[Report]:
    """What the test measures, printed at its end (`pytest -s`, or when it fails)."""
    made = Report()
    yield made
    print(f"\n{made}")


@pytest.fixture
def open_hosts(tmp_path: Path, seed: int) -> Iterator[Callable[..., Stand]]:
    """Opens a stand, ended after the test."""
    with ExitStack() as stack:

        def open_one(dsn: str, **sizes: Any) -> Stand:
            opened: AbstractContextManager[Stand] = open_stand(tmp_path, dsn, seed=seed, **sizes)
            return stack.enter_context(opened)

        yield open_one
