"""Jobs whose module is imported when they come: a cancel that meets them before they begin."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskd.board import WorkerState
from taskd.board.layout import LOOK
from taskd.config.settings import PoolSettings
from taskd.store import jobs
from taskd.store.rows import NewJobs
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
    "cpu": PoolSettings(shutdown_timeout=5.0, kill_grace=1.0),
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A package whose module `late` is imported with its first job, until there is a file `go`."""
    folder = tmp_path / "app"
    folder.mkdir()
    rest = "import time\n\ndef rest(seconds=60):\n    time.sleep(seconds)\n"
    (folder / "__init__.py").write_text(rest)
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
    stand.wait_for(stand.enqueue("rest", 0), "succeeded")  # whoever claimed it has heard the cancel
    (app / "go").touch()

    assert stand.wait_for(job, "cancelled")[1] == "cancelled"
    assert not (app / "begun").exists()


def test_a_process_job_that_is_cancelled_during_its_import_does_not_begin(
    stand: Stand, app: Path
) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue("late.nap", 60)
    eventually((app / "importing").exists)

    jobs.cancel_jobs(stand.connection, [job])
    stand.board.slot(0).words[LOOK] = job
    os.kill(pid, signal.SIGUSR1)  # as the master does once; the next time would be 5 s later
    (app / "go").touch()

    assert stand.wait_for(job, "cancelled")[1] == "cancelled"
    assert not (app / "begun").exists()


def test_a_greenlet_job_that_is_interrupted_during_its_import_goes_back_unbegun(
    stand: Stand, app: Path
) -> None:
    pid = stand.start("io")
    beside, job = stand.enqueue("rest"), stand.enqueue("late.nap", 60)
    eventually(lambda: (app / "importing").exists() and stand.read().in_flight == 2)

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.read().state is WorkerState.DRAINING)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stand.state(beside) == "queued")
    (app / "go").touch()

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "queued"
    assert not (app / "begun").exists()


def test_a_process_job_that_is_interrupted_during_its_import_goes_back_unbegun(
    stand: Stand, app: Path
) -> None:
    pid = stand.start("cpu")
    job = stand.enqueue("late.nap", 60)
    eventually((app / "importing").exists)

    os.kill(pid, signal.SIGTERM)
    eventually(lambda: select.select([stand.wakeups.fds[0]], [], [], 0)[0])  # it has been handled
    os.kill(pid, signal.SIGTERM)
    (app / "go").touch()

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "queued"
    assert not (app / "begun").exists()


def test_a_process_job_that_was_cancelled_before_the_worker_knew_of_it_does_not_begin(
    stand: Stand, app: Path
) -> None:
    (app / "go").touch()
    stand.start("cpu")
    (job,) = jobs.enqueue_jobs(stand.connection, NewJobs("app.late.nap", ["[60]"], [None]))

    stand.board.slot(0).words[LOOK] = job  # its cancel is seen while the claim is on its way
    stand.wake()

    assert stand.wait_for(job, "cancelled")[1] == "cancelled"
    assert not (app / "begun").exists()
