"""How long a job may run: its own word, else its task's, its queue's, its pool's."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from taskd.config.settings import Settings

TimeoutOf = Callable[[str], float | None]
"""The timeout that a task declares, by the task's name."""


def time_limits(
    settings: Settings, pool: str, timeout_of: TimeoutOf
) -> Callable[[str, str], float | None]:
    """A function from (task, queue) to the limit in seconds of a job that names none itself."""
    of_pool = settings.pools[pool].timeout
    of_queues = {name: queue.timeout for name, queue in settings.queues.items()}

    @lru_cache(maxsize=4096)
    def limit(task: str, queue: str) -> float | None:
        for timeout in (timeout_of(task), of_queues.get(queue)):
            if timeout is not None:
                return timeout
        return of_pool

    return limit
