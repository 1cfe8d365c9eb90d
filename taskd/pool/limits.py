"""How long a job may run: its own word, else its task's, its queue's, its pool's."""

from __future__ import annotations

from collections.abc import Callable

from taskd.config.settings import Settings
from taskd.tasks.registry import registry

FindTimeout = Callable[[str], float | None]
Limit = Callable[[str, str], float | None]


def declared_timeout(task: str) -> float | None:
    """The timeout that a task declares, in seconds; None if it declares none or is unknown."""
    found = registry.find(task)
    return None if found is None else found.defaults.timeout


def time_limits(settings: Settings, pool: str, timeout_of: FindTimeout = declared_timeout) -> Limit:
    """A function from (task, queue) to the limit in seconds of a job that names none itself."""
    of_pool = settings.pools[pool].timeout
    of_queues = {name: queue.timeout for name, queue in settings.queues.items()}

    def limit(task: str, queue: str) -> float | None:
        timeout = timeout_of(task)
        if timeout is None:
            timeout = of_queues.get(queue)
        return of_pool if timeout is None else timeout

    return limit
