"""How much of what is limited a daemon with these settings needs."""

from __future__ import annotations

from math import ceil

from taskd.config.settings import PoolSettings, Settings
from taskd.maintenance.database import CONNECTIONS_A_WORKER, dashboard_connections

CONNECTIONS_OF_MAINTENANCE = 6
CONNECTIONS_OF_CLIENTS = 3
"""Left for whoever enqueues, and for commands such as `taskd jobs`."""

FILES_A_JOB = 4
FILES_A_WORKER = 64
FILES_A_CHILD = 8
"""What the master holds open for each of its children, with room for their replacement."""


def connections_needed(settings: Settings) -> int:
    """Database connections of a busy daemon at most, a tenth of each pool being replaced."""
    workers = sum(_with_replacements(pool.processes) for pool in settings.pools.values())
    beside = CONNECTIONS_OF_MAINTENANCE + CONNECTIONS_OF_CLIENTS + dashboard_connections(settings)
    return CONNECTIONS_A_WORKER * workers + beside


def _with_replacements(processes: int) -> int:
    return processes + max(1, ceil(processes / 10))


def files_needed(settings: Settings) -> int:
    """Open files of the process that needs most: a busy worker, or the master of many."""
    workers = sum(pool.processes for pool in settings.pools.values())
    of_a_worker = max(map(_files_of_a_worker, settings.pools.values()), default=0)
    return max(of_a_worker, FILES_A_WORKER + FILES_A_CHILD * workers)


def _files_of_a_worker(pool: PoolSettings) -> int:
    return FILES_A_WORKER + FILES_A_JOB * (pool.greenlets or 1)
