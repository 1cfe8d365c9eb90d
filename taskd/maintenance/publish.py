"""Tells the database what the code of this host offers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from taskd.maintenance.host import ThisHost
from taskd.store import hosts
from taskd.store.connect import Connection


class Publish:
    """The chore that publishes each pool's tasks, whenever they changed."""

    def __init__(self, host: ThisHost, hurry: Callable[[], None]) -> None:
        self._host = host
        self._hurry = hurry
        self._lock = threading.Lock()  # guards all below: the main thread and the lease change them
        self._coming: dict[str, list[Mapping[str, Any]]] = {}
        self._tasks: dict[str, list[Mapping[str, Any]]] = {}
        self._changed: set[str] = set()

    def take(self, told: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
        """Take a part of a pool's list; with its last part it is published.

        The whole list then, else None.
        """
        with self._lock:
            tasks = self._coming.setdefault(told["pool"], [])
            tasks += told["tasks"]
            if told.get("more"):
                return None
            self._tasks[told["pool"]] = self._coming.pop(told["pool"])
            self._changed.add(told["pool"])
        self._hurry()
        return tasks

    def again(self) -> None:
        """Publish all once more: the host's row is a new one."""
        with self._lock:
            self._changed |= self._tasks.keys()
        self._hurry()

    def due(self) -> float:
        """At once, if something has changed."""
        return -inf if self._changed else inf

    def run(self, connection: Connection) -> None:
        """Publish what has changed."""
        for pool in list(self._changed):
            with self._lock:
                tasks = self._tasks[pool]
            hosts.publish_tasks(connection, self._host.id, pool, tasks)
            with self._lock:
                if self._tasks[pool] is tasks:
                    self._changed.discard(pool)
