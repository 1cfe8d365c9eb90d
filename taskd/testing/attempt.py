"""One attempt of a job in the test's own process, as a worker would run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import Outcome
from taskd.tasks.registry import registry
from taskd.tasks.run import Runner


def run_attempt(
    attempt: JobAttempt, args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> Outcome:
    """Run it; how it ended. What `imports` would allow does not matter in a test."""
    return Runner((_home_of(attempt.task),)).run_attempt(attempt, args, kwargs)


def _home_of(name: str) -> str:
    """The module of a task: that of its function, or the one that its name tells."""
    task = registry.find(name)
    return task.function.__module__ if task is not None else name.rpartition(".")[0]
