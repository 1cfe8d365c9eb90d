"""taskd: background jobs for Python on PostgreSQL.

    from taskd import task

    @task(queue="sync", timeout=60)
    def fetch(url: str) -> int: ...

    fetch.enqueue("https://…")

The names below are imported when first used: `import taskd` loads neither gevent nor psycopg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from taskd.errors import (
        Cancel,
        Interrupt,
        JobCancelled,
        JobFailed,
        JobInterrupted,
        JobLost,
        JobTimeout,
        JobWasCancelled,
        NoResult,
        ResultNotReady,
        RetryLater,
        Snooze,
        TaskdError,
    )
    from taskd.tasks.client import configure
    from taskd.tasks.context import CurrentJob, current_job
    from taskd.tasks.enqueue import enqueue, enqueue_many
    from taskd.tasks.flow import chain, chord, group
    from taskd.tasks.job import Job
    from taskd.tasks.retry import Retry
    from taskd.tasks.task import Task, task

__all__ = [
    "Cancel",
    "CurrentJob",
    "Interrupt",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobInterrupted",
    "JobLost",
    "JobTimeout",
    "JobWasCancelled",
    "NoResult",
    "ResultNotReady",
    "Retry",
    "RetryLater",
    "Snooze",
    "Task",
    "TaskdError",
    "chain",
    "chord",
    "configure",
    "current_job",
    "enqueue",
    "enqueue_many",
    "group",
    "task",
]

_HOMES = {
    "CurrentJob": "taskd.tasks.context",
    "Job": "taskd.tasks.job",
    "Retry": "taskd.tasks.retry",
    "Task": "taskd.tasks.task",
    "chain": "taskd.tasks.flow",
    "chord": "taskd.tasks.flow",
    "configure": "taskd.tasks.client",
    "current_job": "taskd.tasks.context",
    "enqueue": "taskd.tasks.enqueue",
    "enqueue_many": "taskd.tasks.enqueue",
    "group": "taskd.tasks.flow",
    "task": "taskd.tasks.task",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES.get(name, "taskd.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
