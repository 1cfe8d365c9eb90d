"""Real daemons whose jobs hold too much: real processes, real memory, real signals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from taskd.supervisor.memory.machine import Machine
from tests.process.daemon import Project
from tests.waiting import eventually

SHOP = """
import os
import time
from taskd import task

kept = []

@task
def leak(megabytes: int) -> None:
    kept.append(b"x" * (megabytes * 1_000_000))
    time.sleep(0.1)

@task(on_lost="fail")
def hold_among_others(megabytes: int) -> None:
    hold(megabytes, 60.0)

@task
def hold(megabytes: int, seconds: float) -> None:
    pieces = []
    for _ in range(megabytes // 10):
        pieces.append(b"x" * 10_000_000)
        time.sleep(0.01)
    time.sleep(seconds)

@task
def stay(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.05)
"""


def config(project: Project, pools: str) -> None:
    project.write("shop.py", SHOP)
    project.write("taskd.yaml", f"imports: [shop]\nmax_crashes: 1\npools:\n{pools}")


def ended(project: Project, task: str) -> list[tuple[str, str | None]]:
    return project.query("SELECT state, error FROM taskd.history WHERE task = %s ORDER BY id", task)


def test_a_leak_is_bounded_by_the_soft_limit_and_no_job_is_lost_or_run_twice(
    project: Project,
) -> None:
    config(
        project,
        "  io: {processes: 1, greenlets: 5, memory: {soft: 100MB, min_lifetime: 0s}}\n",
    )
    daemon = project.start()

    project.enqueue_many("shop.leak", [(1,)] * 300)
    project.wait_for_states(succeeded=300)

    assert daemon.log().count("over its soft limit of 100 MB: it is replaced") >= 2
    assert "killed" not in daemon.log()
    assert project.query("SELECT DISTINCT attempt, losses, crashes FROM taskd.history") == [
        (1, 0, 0)
    ]
    assert project.query("SELECT count(*) FROM taskd.attempt") == [(0,)]


def test_a_job_over_the_hard_limit_ends_with_its_worker_and_alone_is_charged(
    project: Project,
) -> None:
    config(
        project,
        "  cpu: {queues: [cpu], processes: 2, memory: {hard: 200MB}}\n"
        "  io: {queues: [io], greenlets: 5, memory: {hard: 200MB}}\n",
    )
    project.start()

    (hog,) = project.enqueue_many("shop.hold", [(400, 60.0)], queue="cpu")
    leave = project.folder / "leave"
    project.enqueue_many("shop.stay", [(str(leave),)], queue="cpu")
    project.enqueue_many("shop.stay", [(str(leave),)] * 2, queue="io")
    eventually(lambda: project.query("SELECT 1 FROM taskd.running WHERE queue = 'io' OFFSET 1"))
    project.taskd("enqueue", "shop.hold_among_others", "[400]", "--queue", "io")
    project.wait_for_states(failed=2, running=3)
    leave.touch()

    project.wait_for_states(succeeded=3, failed=2)
    ((state, error),) = ended(project, "shop.hold")
    ((_, among_others),) = ended(project, "shop.hold_among_others")
    assert state == "f"
    assert error is not None
    assert error.startswith("poisoned: its worker had to be killed 1 times, the last time because:")
    assert f"job {hog} took it to " in error
    assert "over its hard limit of 200 MB" in error
    assert among_others is not None
    assert among_others.startswith("lost: its worker is gone (it holds ")
    (stack,) = project.query("SELECT traceback FROM taskd.history WHERE id = %s", hog)[0]
    assert "in hold" in stack
    neighbours = (
        "SELECT queue, losses, crashes FROM taskd.history WHERE task = 'shop.stay' ORDER BY id"
    )
    assert project.query(neighbours) == [("cpu", 0, 0), ("io", 1, 0), ("io", 1, 0)]


class SmallGroup:
    """A control group with so little memory; what is started inside lives there."""

    def __init__(self, limit: int) -> None:
        above = Machine().group
        if above is None:
            pytest.skip("there is no control group for memory")
        self._above = Path(above.name)
        self.folder = self._above / f"taskd-test-{os.getpid()}"
        file = "memory.max" if above.version == 2 else "memory.limit_in_bytes"
        try:
            self.folder.mkdir()
            (self.folder / file).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")

    @contextmanager
    def inside(self) -> Iterator[None]:
        self._join(self.folder)
        try:
            yield
        finally:
            self._join(self._above)

    @staticmethod
    def _join(folder: Path) -> None:
        (folder / "cgroup.procs").write_text(str(os.getpid()))

    def is_removed(self) -> bool:
        """Whether it is gone; it stays as long as anybody lives there."""
        with suppress(OSError):
            self.folder.rmdir()
        return not self.folder.exists()


@pytest.fixture
def small_group() -> Iterator[SmallGroup]:
    group = SmallGroup(limit=300_000_000)
    yield group
    eventually(group.is_removed)


def test_a_worker_that_the_kernel_kills_for_memory_is_told_so_with_what_it_held(
    small_group: SmallGroup, project: Project
) -> None:
    config(project, "  cpu: {}\n")
    with small_group.inside():
        daemon = project.start()

    (job,) = project.enqueue_many("shop.hold", [(900, 60.0)])
    said = daemon.wait_for_log("killed by the kernel, which had run out of memory; it last held")
    project.wait_for_states(failed=1)

    assert "MB" in said
    ((error,),) = project.query("SELECT error FROM taskd.history WHERE id = %s", job)
    assert "because: killed by the kernel, which had run out of memory; it last held " in error
    assert daemon.process.poll() is None
