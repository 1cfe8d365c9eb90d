"""Jobs whose module is imported when they come: a cancel that meets them before they begin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.config.settings import PoolSettings
from tests.pool_stand import Stand
from tests.waiting import eventually

LATE = """
import pathlib
import time

here = pathlib.Path(__file__).parent
(here / "importing").touch()
while not (here / "go").exists():
    time.sleep(0.01)


def nap(seconds):
    (here / "begun").touch()
    time.sleep(seconds)
"""
POOLS = {
    "io": PoolSettings(greenlets=2, shutdown_timeout=5.0, kill_grace=1.0),
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A package whose module `late` is imported with its first job, until there is a file `go`."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "late.py").write_text(LATE)
    return folder


@pytest.fixture
def stand(dsn: str, app: Path) -> Iterator[Stand]:
    with Stand(dsn, app.parent, POOLS) as stand:
        yield stand


def was_taken(stand: Stand) -> bool:
    return stand.query("SELECT count(*) FROM taskd.request WHERE taken_at IS NULL") == [(0,)]


def test_a_greenlet_job_that_is_cancelled_during_its_import_does_not_begin(
    stand: Stand, app: Path
) -> None:
    stand.start("io")
    job = stand.enqueue("late.nap", 60)
    eventually((app / "importing").exists)

    stand.order_cancel(0, job)
    eventually(lambda: was_taken(stand))
    (app / "go").touch()

    assert stand.wait_for(job, "cancelled")[1] == "cancelled"
    assert not (app / "begun").exists()
