"""One attempt of a job in the test's own process, as a worker would run it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from taskd.events import Events
from taskd.pool.failures import FailureHandlers
from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import Failed, Outcome
from taskd.tasks.registry import registry
from taskd.tasks.run import Runner


def run_attempt(
    attempt: JobAttempt, args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> Outcome:
    """Run it, and call the failure handlers if it has failed for good; how it ended.

    What `imports` would allow does not matter in a test. A handler that raises is a warning.
    """
    outcome = Runner((_home_of(attempt.task),)).run_attempt(attempt, args, kwargs)
    if isinstance(outcome, Failed):
        handlers = FailureHandlers("of a test", _loud_events(), lambda seconds: nullcontext())
        handlers.call(attempt, args, kwargs, outcome)
    return outcome


def _loud_events() -> Events:
    events = Events()
    events.subscribe(lambda event: warnings.warn(str(event), stacklevel=2))
    return events


def _home_of(name: str) -> str:
    """The module of a task: that of its function, or the one that its name tells."""
    task = registry.find(name)
    return task.function.__module__ if task is not None else name.rpartition(".")[0]
