"""Two versions of taskd on one database, as during an upgrade: both work, in either order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import taskd
from taskd.store.schema import KNOWN
from tests.process.daemon import Daemon, Project, is_alive
from tests.waiting import eventually

NEXT = KNOWN + 1

# What a next version could bring: a table, a column, and a function under a new name.
EXPANSION = """
CREATE TABLE taskd.novelty (id bigint PRIMARY KEY);
ALTER TABLE taskd.queued ADD COLUMN novelty integer;
ALTER TABLE taskd.host ADD COLUMN novelty text NOT NULL DEFAULT '';
CREATE FUNCTION taskd.novelty_v1() RETURNS integer LANGUAGE sql AS 'SELECT 1';
"""


class Release:
    """A copy of taskd that knows one more version of the schema, which its daemons run."""

    def __init__(self, folder: Path, min_compatible: int) -> None:
        self.folder = folder
        copy = folder / "taskd"
        shutil.copytree(Path(taskd.__file__).parent, copy)
        migration = copy / f"store/migrations/{NEXT:04d}_novelty"
        migration.mkdir()
        (migration / "01_novelty.sql").write_text(EXPANSION)
        source = copy / "store/schema.py"
        known = '(Migration(1, "initial", min_compatible=1),)'
        wanted = f'{known} + (Migration({NEXT}, "novelty", {min_compatible}),)'
        text = source.read_text()
        assert known in text
        source.write_text(text.replace(known, wanted))

    def environment(self, project: Project) -> dict[str, str]:
        return {**project.environment, "PYTHONPATH": str(self.folder)}

    def start(self, project: Project) -> Daemon:
        """A daemon of this release beside those that run; ready when it has workers."""
        daemon = NewerDaemon(project, self)
        project.daemons.append(daemon)
        daemon.wait_for_log("master: ready: ")
        return daemon

    def taskd(self, project: Project, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskd", *words],
            cwd=project.folder,
            env=self.environment(project),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


class NewerDaemon(Daemon):
    """A daemon of another release; only how it is started differs."""

    def __init__(self, project: Project, release: Release) -> None:
        self.project = project
        self.number = len(project.daemons)
        self.log_path = project.folder / f"log-{self.number}"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "taskd"],
                cwd=project.folder,
                env=release.environment(project),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@pytest.fixture
def two_releases(project: Project) -> Project:
    project.write(
        "taskd.yaml",
        """
        imports: [shop]
        pools: {io: {processes: 1, greenlets: 5, shutdown_timeout: 10s}}
        """,
    )
    return project


def schema_of(project: Project) -> tuple[int, int]:
    ((version, min_compatible),) = project.query(
        "SELECT version, min_compatible FROM taskd.schema_version"
    )
    return version, min_compatible


def run_some(project: Project, daemons: int) -> None:
    """Enqueue more than one daemon takes at once; each of them must do some, and all succeed."""
    project.execute("TRUNCATE taskd.history")
    project.enqueue_many("shop.nap", [(0.2,)] * 30)
    project.wait_for_states(succeeded=30)
    ((hosts,),) = project.query(
        "SELECT count(DISTINCT w.host) FROM taskd.history h JOIN taskd.worker w ON w.id = h.worker"
    )
    assert hosts == daemons


def test_an_upgrade_goes_through_with_both_versions_at_work(
    two_releases: Project, tmp_path: Path
) -> None:
    """And a running daemon outlives a schema that has done with its version."""
    project = two_releases
    release = Release(tmp_path / "next", min_compatible=KNOWN)
    old = project.start()
    refused = release.taskd(project, "jobs", "list")
    assert "at version 1, this program needs 2: run `taskd schema upgrade`" in refused.stderr

    new = release.start(project)

    assert schema_of(project) == (NEXT, KNOWN)
    run_some(project, daemons=2)
    assert new.stop() == 0
    run_some(project, daemons=1)  # the old program alone on the new schema
    assert old.stop() == 0
    old = project.start()  # and started on it
    new = release.start(project)
    run_some(project, daemons=2)

    project.execute(f"UPDATE taskd.schema_version SET min_compatible = {NEXT}")
    run_some(project, daemons=2)
    late = project.start(ready=False)
    assert late.wait() == 1
    assert f"needs programs that know version {NEXT} or later, this one knows {KNOWN}" in late.log()
    assert "upgrade taskd" in project.taskd("jobs", "list").stderr

    (maintenance,) = old.children("taskd: maintenance")
    os.kill(maintenance, signal.SIGKILL)
    eventually(lambda: not is_alive(maintenance))
    old.wait_for_log("needs programs that know version")
    assert old.process.poll() is None
    project.execute(f"UPDATE taskd.schema_version SET min_compatible = {KNOWN}")
    eventually(lambda: len(project.query(LIVING)) == 2)
    run_some(project, daemons=2)


LIVING = "SELECT id FROM taskd.host WHERE ended_at IS NULL AND beat_at > now() - interval '3 s'"


def test_a_release_that_breaks_with_the_old_one_stops_no_job_of_it(
    two_releases: Project, tmp_path: Path
) -> None:
    project = two_releases
    release = Release(tmp_path / "next", min_compatible=NEXT)
    old = project.start()
    project.enqueue_many("shop.nap", [(1.0,)] * 5)
    project.wait_for_states(running=5)

    release.start(project)

    assert schema_of(project) == (NEXT, NEXT)
    project.wait_for_states(succeeded=5)
    assert project.query("SELECT max(attempt) FROM taskd.history") == [(1,)]
    assert old.stop() == 0
