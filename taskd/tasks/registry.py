"""The tasks of this process, by name.

`registry` is module-level mutable state, and meant to be: decorators run while modules are
imported, long before anybody could hand them an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from taskd.errors import TaskNameTaken
from taskd.tasks.names import MAIN

if TYPE_CHECKING:
    from taskd.tasks.task import Task


class Registry:
    """Names and their tasks."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}

    def add(self, task: Task[..., Any]) -> None:
        """Make a task known; a module imported again replaces its tasks.

        Raises TaskNameTaken if another function has the name.
        """
        known = self._tasks.get(task.name)
        if known is not None and not _is_same_function(known, task):
            raise TaskNameTaken(task.name, _origin(known), _origin(task))
        self._tasks[task.name] = task

    def find(self, name: str) -> Task[..., Any] | None:
        """The task of this name, if its module has been imported."""
        return self._tasks.get(name)

    def __iter__(self) -> Iterator[Task[..., Any]]:
        """All tasks, by name."""
        return iter([self._tasks[name] for name in sorted(self._tasks)])


def _is_same_function(one: Task[..., Any], other: Task[..., Any]) -> bool:
    """Whether both come from the same lines: the module may run as a script and be imported too."""
    same_module = MAIN in (one.function.__module__, other.function.__module__) or (
        one.function.__module__ == other.function.__module__
    )
    return same_module and one.function.__qualname__ == other.function.__qualname__


def _origin(task: Task[..., Any]) -> str:
    return f"{task.function.__module__}.{task.function.__qualname__}"


registry = Registry()
