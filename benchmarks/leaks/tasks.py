"""The same noisy jobs as tasks of a daemon; LEAKS_LOAD and LEAKS_BYTES say which they are."""

from __future__ import annotations

import os
import random
import time

from benchmarks.leaks.jobs import NoisyJobs
from benchmarks.leaks.loads import LOADS
from taskd import Task, task

_jobs = NoisyJobs(
    LOADS[os.environ.get("LEAKS_LOAD", "steady")],
    random.Random(),
    int(os.environ.get("LEAKS_BYTES", "0")),
    lambda: time.sleep(0),
)


@task(queue="bench")
def task_0(number: int) -> None:
    """Noise."""
    _jobs.run(0)


@task(queue="bench")
def task_1(number: int) -> None:
    """More noise."""
    _jobs.run(1)


@task(queue="bench")
def task_2(number: int) -> None:
    """The one that leaks, if one does."""
    _jobs.run(2)


@task(queue="bench")
def task_3(number: int) -> None:
    """Yet more noise."""
    _jobs.run(3)


@task(queue="bench")
def task_4(number: int) -> None:
    """The most noise."""
    _jobs.run(4)


TASKS: tuple[Task[[int], None], ...] = (task_0, task_1, task_2, task_3, task_4)
