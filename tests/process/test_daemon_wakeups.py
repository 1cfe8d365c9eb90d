from __future__ import annotations

import json
import os
import subprocess
import sys

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


def test_a_reader_that_does_not_read_kills_nobody(project: Project) -> None:
    reading, writing = os.pipe()
    try:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "taskd", "--log-level", "debug"],
            cwd=project.folder,
            env=project.environment,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        project.enqueue_many("shop.fail", [("x" * 1000,)] * 500)
        project.wait_for_states(failed=500)
        workers = project.query("SELECT count(*), count(ended_at) FROM taskd.worker")
        daemon.terminate()
        assert daemon.wait(30) == 0
        assert workers == [(2, 0)]
    finally:
        os.close(reading)
