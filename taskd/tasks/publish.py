"""What may be run, as plain data for the store and `taskd tasks`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

from taskd.tasks.failure import storable
from taskd.tasks.hooks.failures import hears_of_losses
from taskd.tasks.names import is_inside
from taskd.tasks.options import DEFAULTS, Defaults
from taskd.tasks.parameters import describe_parameters
from taskd.tasks.registry import registry
from taskd.tasks.retry import Retry

if TYPE_CHECKING:
    from taskd.tasks.task import Task

MAX_SIGNATURE = 500
MAX_DOC = 4000


def describe_tasks(imports: Sequence[str]) -> list[dict[str, Any]]:
    """Describe what the imported modules inside `imports` offer, by name.

    Each with `name`, `module`, `signature`, `parameters` (as `describe_parameters` has them),
    `summary` (the docstring's first line), `doc`, `queue`, `priority`, `timeout` (seconds),
    `retries`, `retry` (how, in words), `expires` (seconds), `unique` (as `Uniqueness.describe` has
    it), `requires` (a version of the code), `needs` (as `Needs.describe` has it), `on_interrupt`,
    `on_lost`, `on_failure` (whether somebody is to be called when a job is lost) and `decorated`: a
    public function without `@task` can be run by its dotted path as well. If it has some, a task
    tells its `schedules`, as `describe_schedules` has them.
    """
    tasks = {
        task.name: describe(task.name, task.function, task.defaults) | _for_schedules(task)
        for task in registry
        if is_inside(task.function.__module__, imports)
    }
    for name, function in _plain_functions(imports):
        tasks.setdefault(name, describe(name, function, DEFAULTS, decorated=False))
    return [tasks[name] for name in sorted(tasks)]


def describe(
    name: str, function: FunctionType, defaults: Defaults, decorated: bool = True
) -> dict[str, Any]:
    """Describe one task; see `describe_tasks`."""
    doc = inspect.getdoc(function) or ""
    return {
        "name": name,
        "module": function.__module__,
        "signature": signature_text(function),
        "parameters": describe_parameters(function),
        "summary": storable(doc.strip().partition("\n")[0], MAX_SIGNATURE),
        "doc": storable(doc, MAX_DOC),
        "queue": defaults.queue,
        "priority": defaults.priority,
        "timeout": defaults.timeout,
        "retries": defaults.retries,
        "retry": _retry_text(defaults.retry),
        "expires": defaults.expires,
        "unique": None if defaults.unique is None else defaults.unique.describe(),
        "requires": defaults.requires,
        "needs": defaults.needs.describe(),
        "on_failure": hears_of_losses(defaults.on_failure),
        "on_interrupt": defaults.on_interrupt,
        "on_lost": defaults.on_lost,
        "decorated": decorated,
    }


def _for_schedules(task: Task[..., Any]) -> dict[str, Any]:
    if not task.defaults.schedules:
        return {}
    from taskd.tasks.own_schedules import describe_schedules  # only who has some pays for it

    return {"schedules": describe_schedules(task)}


def signature_text(function: Callable[..., Any]) -> str:
    """The parameters and what comes back, as they are written: `(url: str) -> int`."""
    try:
        return storable(str(inspect.signature(function)), MAX_SIGNATURE)
    except BaseException:  # the repr of a default value is the user's code
        return "(…)"


def _plain_functions(imports: Sequence[str]) -> list[tuple[str, FunctionType]]:
    modules = [
        (name, module) for name, module in list(sys.modules.items()) if is_inside(name, imports)
    ]
    return [
        (f"{module_name}.{name}", value)
        for module_name, module in modules
        for name, value in vars(module).items()
        if _is_offered(name, value, module_name)
    ]


def _is_offered(name: str, value: Any, module: str) -> bool:
    return (
        type(value) is FunctionType  # isinstance would ask proxies of the users', whatever they do
        and value.__module__ == module
        and value.__name__ == name
        and not name.startswith("_")
        and not inspect.iscoroutinefunction(value)
        and not inspect.isgeneratorfunction(value)
        and not inspect.isasyncgenfunction(value)
    )


def _retry_text(retry: Retry | None) -> str | None:
    if retry is None or retry.max == 0:
        return None
    backoff = retry.backoff if isinstance(retry.backoff, str) else "by a function"
    return f"up to {retry.max} times, {backoff}, from {retry.delay:g} s to {retry.max_delay:g} s"
