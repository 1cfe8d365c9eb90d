"""The users' hooks in the life of a worker process.

    fork ─► after_fork ─► on_worker_start ─► READY … drained ─► on_worker_stop ─► exit

What one of the first two raises ends the worker before it is ready, so the master starts the next
one after a pause that grows.
"""

from __future__ import annotations

from taskd.clock import monotonic
from taskd.errors import TaskdError
from taskd.events import Events
from taskd.pool.events import HookFailed, WorkerNotStarted
from taskd.pool.hook_faults import HookLimit, describe_fault
from taskd.pool.place import Place
from taskd.tasks.hooks.registry import Line, hooks
from taskd.tasks.hooks.workers import WorkerHook, WorkerInfo

STARTUP_SHARE = 0.9
"""Of startup_timeout: when all of it is over the master kills, and cannot say which hook it was."""

LEAST_SECONDS = 1.0
"""What hooks may take to stop, however long the jobs took."""


class NotStarted(TaskdError):
    """A hook has failed that the worker cannot do without; it has been told, so just end."""


class LifeHooks:
    """The hooks of one worker; `limit` bounds the time of each."""

    def __init__(self, place: Place, events: Events, limit: HookLimit) -> None:
        pool = place.pool_settings
        self._name = place.name
        self._events = events
        self._limit = limit
        self._info = WorkerInfo(
            pool=place.pool,
            slot=place.slot,
            generation=place.generation,
            greenlets=pool.greenlets,
        )
        self._start_until = monotonic() + STARTUP_SHARE * pool.startup_timeout
        self._shutdown_timeout = pool.shutdown_timeout

    def forked(self) -> None:
        """Call what is to be called right after the fork. Raises NotStarted."""
        self._start(hooks.after_fork)

    def start(self) -> None:
        """Call what is to be called before the first job. Raises NotStarted."""
        self._start(hooks.on_worker_start)

    def stop(self, drained_at: float) -> None:
        """Call what is to be called after the last job; `drained_at` is when the drain began."""
        until = max(drained_at + self._shutdown_timeout, monotonic() + LEAST_SECONDS)
        for hook in hooks.on_worker_stop.hooks[::-1]:
            fault = self._call(hook, until)
            if fault is not None:
                self._events.emit(HookFailed(self._name, hook.kind, hook.name, "its end", fault))

    def _start(self, line: Line[WorkerHook]) -> None:
        for hook in line:
            fault = self._call(hook, self._start_until)
            if fault is not None:
                self._events.emit(WorkerNotStarted(self._name, hook.kind, hook.name, fault))
                raise NotStarted(f"{hook.kind} {hook.name}")

    def _call(self, hook: WorkerHook, until: float) -> str | None:
        """What went wrong, if something did."""
        try:
            with self._limit(max(until - monotonic(), 0.001)):
                hook(self._info)
        except BaseException as error:  # the users' code, SystemExit too: it is told as what it is
            return describe_fault(error)
        return None
