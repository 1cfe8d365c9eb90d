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
        WorkerLost,
    )
    from taskd.tasks.client import configure
    from taskd.tasks.context import CurrentJob, current_job
    from taskd.tasks.enqueue import enqueue, enqueue_many
    from taskd.tasks.flow import chain, chord, group
    from taskd.tasks.hooks.enqueueing import EnqueueCall
    from taskd.tasks.hooks.failures import FailedJob, on_failure
    from taskd.tasks.hooks.middleware import Middleware, middleware
    from taskd.tasks.hooks.new_call import NewCall
    from taskd.tasks.hooks.workers import (
        WorkerInfo,
        after_fork,
        on_worker_start,
        on_worker_stop,
    )
    from taskd.tasks.job import Job
    from taskd.tasks.reasons import Reason
    from taskd.tasks.resources import Resource, exclusive, limit, shared
    from taskd.tasks.retry import Retry
    from taskd.tasks.schedule import At, Cron, Every
    from taskd.tasks.task import Task, task

__all__ = [
    "At",
    "Cancel",
    "Cron",
    "CurrentJob",
    "EnqueueCall",
    "Every",
    "FailedJob",
    "Interrupt",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobInterrupted",
    "JobLost",
    "JobTimeout",
    "JobWasCancelled",
    "Middleware",
    "NewCall",
    "NoResult",
    "Reason",
    "Resource",
    "ResultNotReady",
    "Retry",
    "RetryLater",
    "Snooze",
    "Task",
    "TaskdError",
    "WorkerInfo",
    "WorkerLost",
    "after_fork",
    "chain",
    "chord",
    "configure",
    "current_job",
    "enqueue",
    "enqueue_many",
    "exclusive",
    "group",
    "limit",
    "middleware",
    "on_failure",
    "on_worker_start",
    "on_worker_stop",
    "shared",
    "task",
]

_HOMES = {
    "At": "taskd.tasks.schedule",
    "Cron": "taskd.tasks.schedule",
    "CurrentJob": "taskd.tasks.context",
    "EnqueueCall": "taskd.tasks.hooks.enqueueing",
    "Every": "taskd.tasks.schedule",
    "FailedJob": "taskd.tasks.hooks.failures",
    "Job": "taskd.tasks.job",
    "Middleware": "taskd.tasks.hooks.middleware",
    "NewCall": "taskd.tasks.hooks.new_call",
    "Reason": "taskd.tasks.reasons",
    "Resource": "taskd.tasks.resources",
    "Retry": "taskd.tasks.retry",
    "Task": "taskd.tasks.task",
    "WorkerInfo": "taskd.tasks.hooks.workers",
    "after_fork": "taskd.tasks.hooks.workers",
    "chain": "taskd.tasks.flow",
    "chord": "taskd.tasks.flow",
    "configure": "taskd.tasks.client",
    "current_job": "taskd.tasks.context",
    "enqueue": "taskd.tasks.enqueue",
    "enqueue_many": "taskd.tasks.enqueue",
    "exclusive": "taskd.tasks.resources",
    "group": "taskd.tasks.flow",
    "limit": "taskd.tasks.resources",
    "middleware": "taskd.tasks.hooks.middleware",
    "on_failure": "taskd.tasks.hooks.failures",
    "on_worker_start": "taskd.tasks.hooks.workers",
    "on_worker_stop": "taskd.tasks.hooks.workers",
    "shared": "taskd.tasks.resources",
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
