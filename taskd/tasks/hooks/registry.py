"""The hooks of this process.

`hooks` is module-level mutable state, and meant to be, as the registry of tasks is: decorators run
while modules are imported, long before anybody could hand them an object.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from taskd.tasks.hooks.failures import FailureHandler
    from taskd.tasks.hooks.middleware import Middleware
    from taskd.tasks.hooks.workers import WorkerHook

Hook = TypeVar("Hook")
Origin = tuple[str, object]
"""A file, and the line or name in it."""


class Watcher(Protocol):
    """Somebody who has made something of the hooks that were there."""

    def hooks_changed(self) -> None:
        """Make it anew."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Hook]):
    hook: Hook
    key: tuple[Origin, object] | None
    order: int


class Line(Generic[Hook]):
    """Hooks of one kind in the order of their calls: by number, then as they were registered."""

    def __init__(self) -> None:
        self._entries: list[_Entry[Hook]] = []
        self.hooks: tuple[Hook, ...] = ()

    def add(self, hook: Hook, source: object, order: int = 0, what: object = None) -> None:
        """Add a hook, or replace the one that the same lines of code have made before.

        `source` is the function or class that it comes from: a module may be imported again, or
        run as a script and be imported too. `what` tells hooks apart that one source makes.
        """
        origin = origin_of(source)
        key = None if origin is None else (origin, what)
        entry = _Entry(hook, key, order)
        known = [one.key for one in self._entries]
        if key is not None and key in known:
            self._entries[known.index(key)] = entry
        else:
            self._entries.append(entry)
        self._entries.sort(key=lambda one: one.order)
        self.hooks = tuple(one.hook for one in self._entries)

    def __iter__(self) -> Iterator[Hook]:
        return iter(self.hooks)

    def __bool__(self) -> bool:
        return bool(self.hooks)


class Hooks:
    """All hooks, a line for each kind."""

    def __init__(self) -> None:
        self.around_enqueue: Line[Middleware] = Line()
        self.around_attempt: Line[Middleware] = Line()
        self.on_failure: Line[FailureHandler] = Line()
        self.after_fork: Line[WorkerHook] = Line()
        self.on_worker_start: Line[WorkerHook] = Line()
        self.on_worker_stop: Line[WorkerHook] = Line()
        self._watchers: WeakSet[Watcher] = WeakSet()

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher`, as long as it lives, when `changed` is called."""
        self._watchers.add(watcher)

    def changed(self) -> None:
        """Tell all watchers that there is more middleware."""
        for watcher in list(self._watchers):
            watcher.hooks_changed()


def origin_of(source: object) -> Origin | None:
    """Where in a file a function or class comes from; None if several may come from it."""
    if isinstance(source, FunctionType):
        if "<" in source.__qualname__:  # a lambda, or made by a function that may make more
            return None
        code = source.__code__
        return os.path.abspath(code.co_filename), code.co_firstlineno
    if isinstance(source, type) and "<" not in source.__qualname__:
        file = getattr(sys.modules.get(source.__module__), "__file__", None)
        return os.path.abspath(file or source.__module__), source.__qualname__
    return None


hooks = Hooks()
