"""`enqueue` and `enqueue_many`: by task, by function, or by the name alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast, overload

from taskd.errors import ArgumentsMismatch, NotATask
from taskd.tasks.calls import Call, PositionalCalls, Target, store_calls
from taskd.tasks.client import default_client
from taskd.tasks.json_faults import find_key_fault
from taskd.tasks.names import check_findable, check_function, check_task_name, dotted_path
from taskd.tasks.options import JobOptions, read_placement
from taskd.tasks.registry import registry
from taskd.tasks.signature import CallShape
from taskd.tasks.task import Enqueuer, Task

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.tasks.job import Job

P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL = {tuple, list}

Item = tuple[Any, ...] | list[Any] | Mapping[str, Any]


@overload
def enqueue(task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
@overload
def enqueue(
    task: str | Callable[..., Any],
    /,
    *args: Any,
    connection: CallersConnection | None = ...,
    **kwargs: Any,
) -> Job[Any]: ...
def enqueue(task: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
    """Store a call of a task as a job; the task may be named: `enqueue("shop.tasks.fetch", url)`.

    A name need not be known here: the worker finds it, or fails the job. The options are those of
    the task, if its module has been imported here; else what a running daemon says of it; else the
    usual ones. A daemon cannot say how a function makes the unique key, the resources or the key of
    fair_by: import the module then, or give the former two with `enqueue_many(…, unique=…,
    resources=…)`. Blocks for a round trip, or two for a name that is not known here. With
    `connection` the job commits or vanishes with that psycopg connection's transaction. Raises
    NotATask, OptionInvalid, ArgumentsMismatch, NotJson, TooLarge and DatabaseError.
    """
    if isinstance(task, Task):
        return task.enqueue(*args, **kwargs)
    connection = kwargs.pop("connection", None)
    target = _with_offer(find_target(task), connection)
    placement = read_placement(target.defaults, {})
    (job,) = store_calls(target, [Call(args, kwargs)], placement, connection)
    return job


@overload
def enqueue_many(
    task: Callable[..., R], items: Iterable[Item], /, **options: Unpack[JobOptions]
) -> list[Job[R]]: ...
@overload
def enqueue_many(
    task: str, items: Iterable[Item], /, **options: Unpack[JobOptions]
) -> list[Job[Any]]: ...
def enqueue_many(
    task: str | Callable[..., Any], items: Iterable[Item], /, **options: Unpack[JobOptions]
) -> list[Job[Any]]:
    """Store many calls of one task, all or none: `enqueue_many(fetch, [("a",), ("b",)])`.

    An item is a tuple or list of arguments, or a dict of keywords. A thousand take one round trip;
    more are sent in parts within one transaction, each while the next one is encoded. For the
    options see JobOptions. Raises as `enqueue`, naming the item; then nothing is stored.
    """
    connection = options.get("connection")
    target = _with_offer(find_target(task), connection)
    placement = read_placement(target.defaults, options)
    return store_calls(target, _calls(items), placement, connection)


def _with_offer(target: Target, connection: CallersConnection | None) -> Target:
    """With the options that a daemon has published, if nothing is known here but the name."""
    if target.shape is not None:
        return target
    offer = default_client().find_offer(target.name, connection)
    return target if offer is None else target.with_offer(offer)


def _calls(items: Iterable[Item]) -> Sequence[Call]:
    items = list(items)
    if set(map(type, items)) <= _POSITIONAL:
        return PositionalCalls(cast("list[Sequence[Any]]", items))
    return [_call(item, index) for index, item in enumerate(items)]


def _call(item: object, index: int) -> Call:
    if isinstance(item, tuple | list):
        return Call(item, {})
    if isinstance(item, Mapping):
        fault = find_key_fault(item, f"item {index}")
        if fault is not None:
            raise fault
        return Call((), dict(item))
    kind = type(item).__qualname__
    raise ArgumentsMismatch(
        f"item {index} is of type {kind}: give each call's arguments as a tuple, such as (1,), "
        "or as a dict of keywords"
    )


def find_target(task: object) -> Target:
    """What is known here of a task, a function or a name; imports nothing.

    Raises NotATask and OptionInvalid for what no worker could find.
    """
    if isinstance(task, Task):
        return task.target
    if isinstance(task, Enqueuer):
        raise NotATask(task.remedy)
    if not isinstance(task, str):
        function = check_function(task, str(getattr(task, "__qualname__", None) or repr(task)))
        name = check_findable(dotted_path(function))
        return registered.target if (registered := registry.find(name)) else _plain(name, function)
    name = check_findable(check_task_name("task", task))
    registered = registry.find(name)
    return registered.target if registered else _loaded(name)


def _loaded(name: str) -> Target:
    """By the module, if something else has imported it already."""
    module, _, attribute = name.rpartition(".")
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    if isinstance(found, Task):
        return found.target
    return _plain(name, found) if isinstance(found, FunctionType) else Target(name)


def _plain(name: str, function: FunctionType) -> Target:
    return Target(check_task_name("task", name), shape=CallShape(check_function(function, name)))
