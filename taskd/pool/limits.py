"""How long a job may run: its own word, else its task's, its queue's, its pool's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from taskd.config.settings import Settings
from taskd.tasks.registry import registry
from taskd.tasks.task import Task

FindTask = Callable[[str], "Task[..., object] | None"]


class TimeLimits:
    """The limits of jobs that name none themselves, in seconds; None: there is no limit."""

    def __init__(self, settings: Settings, pool: str, find: FindTask = registry.find) -> None:
        self._of_pool = settings.pools[pool].timeout
        self._of_queues: Mapping[str, float | None] = {
            name: queue.timeout for name, queue in settings.queues.items()
        }
        self._find = find
        self._known: dict[tuple[str, str], float | None] = {}

    def of(self, task: str, queue: str) -> float | None:
        """The limit of a task's jobs in a queue."""
        try:
            return self._known[task, queue]
        except KeyError:
            return self._look_up(task, queue)

    def _look_up(self, task: str, queue: str) -> float | None:
        found = self._find(task)
        declared = None if found is None else found.defaults.timeout
        limit = self._of_queues.get(queue) if declared is None else declared
        if limit is None:
            limit = self._of_pool
        if found is not None:  # what is unknown may be imported yet
            self._known[task, queue] = limit
        return limit
