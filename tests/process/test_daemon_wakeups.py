from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from taskd.store import jobs
from taskd.store.rows import NewJobs
from tests.process.daemon import Project
from tests.waiting import eventually


def is_idle(project: Project) -> bool:
    return project.query("SELECT idle FROM taskd.host WHERE ended_at IS NULL") == [(True,)]


@pytest.mark.parametrize("listen", ["true", "false"])
def test_a_transaction_that_commits_after_the_daemon_went_idle_is_found_within_a_second(
    project: Project, listen: str
) -> None:
    project.write(
        "taskd.yaml", f"imports: [shop]\nlisten: {listen}\npools: {{io: {{greenlets: 5}}}}\n"
    )
    project.start()
    with psycopg.connect(project.dsn) as caller:
        (late,) = jobs.enqueue_jobs(
            caller, NewJobs("shop.add", [json.dumps([1, 1])], [None], always_notify=True)
        )
        project.enqueue_many("shop.add", [(1, 2)] * 10)
        project.wait_for_states(succeeded=10)
        eventually(lambda: is_idle(project))
        row = caller.execute("SELECT clock_timestamp()").fetchone()
        caller.commit()

    project.wait_for_states(succeeded=11)
    assert row is not None
    ((waited,),) = project.query(
        "SELECT extract(epoch FROM started_at - %s)::float8 FROM taskd.history WHERE id = %s",
        row[0],
        late,
    )
    assert waited < 1.0


@contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe with no room left, which nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


def test_a_reader_that_does_not_read_stops_nobody(project: Project) -> None:
    with full_pipe() as writing:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "taskd", "--log-level", "debug"],
            cwd=project.folder,
            env=project.environment,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        try:
            counted = "SELECT count(*), count(ended_at) FROM taskd.worker"
            eventually(lambda: project.query(counted) == [(2, 0)], 60)
            project.enqueue_many("shop.fail", [("boom",)] * 50)
            project.wait_for_states(failed=50)

            daemon.send_signal(signal.SIGUSR2)
            project.enqueue_many("shop.fail", [("boom",)] * 50)
            project.wait_for_states(failed=100)

            workers = project.query(counted)
            daemon.terminate()
            assert daemon.wait(30) == 0
            assert workers == [(2, 0)]
        finally:
            daemon.kill()
