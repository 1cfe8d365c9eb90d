"""Hooks in the life of a worker process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from taskd.tasks.hooks.registry import Line, hooks
from taskd.tasks.hooks.signatures import check_hook, hook_name


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """The worker process that calls a hook.

    `slot` is its number on the host, `generation` counts the reloads of the code, `greenlets` is
    how many jobs it runs at once; None in a process pool.
    """

    pool: str
    slot: int
    generation: int
    greenlets: int | None

    @property
    def name(self) -> str:
        """As logs and `taskd workers` call it: `io/0`."""
        return f"{self.pool}/{self.slot}"


Function = TypeVar("Function", bound=Callable[[WorkerInfo], object])


@dataclass(frozen=True, slots=True)
class WorkerHook:
    """A hook, and as what it was registered."""

    kind: str
    function: Callable[[WorkerInfo], object]

    @property
    def name(self) -> str:
        """As people find it: `shop.hooks.connect`."""
        return hook_name(self.function)

    def __call__(self, worker: WorkerInfo) -> object:
        """Call it."""
        return self.function(worker)


def after_fork(function: Function) -> Function:
    """Call `function(worker)` in each new worker process before any other code of yours runs there.

    For what cannot be shared over a fork and was opened by an import: make it anew. In the order of
    their registration. One that raises, or is not done within the pool's startup_timeout, ends the
    worker; the next is started after a pause that grows. Raises HookInvalid.
    """
    return _register("after_fork", hooks.after_fork, function)


def on_worker_start(function: Function) -> Function:
    """Call `function(worker)` in each worker process before it takes its first job.

    In the order of their registration, after all `after_fork` hooks. One that raises, or is not
    done within the pool's startup_timeout, ends the worker; the next is started after a pause that
    grows. Raises HookInvalid.
    """
    return _register("on_worker_start", hooks.on_worker_start, function)


def on_worker_stop(function: Function) -> Function:
    """Call `function(worker)` in each worker process that drains, after its last job is stored.

    The last registered first. Together they may take what the jobs have left of the pool's
    shutdown_timeout, but at least a second. What one raises is logged, and the others are called. A
    worker that is killed calls none. Raises HookInvalid.
    """
    return _register("on_worker_stop", hooks.on_worker_stop, function)


def _register(kind: str, line: Line[WorkerHook], function: Function) -> Function:
    check_hook(kind, function, "the worker")
    line.add(WorkerHook(kind, function), function)
    return function
