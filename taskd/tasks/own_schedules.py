"""The schedules that a task brings along: what `@task(schedule=…)` is given, checked, described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskd.errors import OptionInvalid, TooLarge
from taskd.tasks.arguments import encode_call
from taskd.tasks.schedule import Schedule

if TYPE_CHECKING:
    from taskd.tasks.task import Task

LARGEST = 32_000
"""Bytes that the schedules of one task may take as JSON, for they go from process to process."""


def read_schedules(value: object) -> tuple[Schedule, ...]:
    """Check what `@task(schedule=…)` was given; raises OptionInvalid."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    for one in given:
        if not isinstance(one, Schedule):
            raise OptionInvalid("schedule", one, "is not a Cron, Every or At, or a list of them")
    return given


def describe_schedules(task: Task[..., Any]) -> list[dict[str, Any]]:
    """The schedules of a task as plain data: name, spec, args, kwargs, options.

    Of several without a name the first has the task's, the others that and their number.
    """
    return [
        {
            "name": one.name or (task.name if number == 1 else f"{task.name}:{number}"),
            "spec": one.spec,
            "args": list(one.args),
            "kwargs": dict(one.kwargs),
            "options": one.options | _made(task, one),
        }
        for number, one in enumerate(task.defaults.schedules, start=1)
    ]


def _made(task: Task[..., Any], one: Schedule) -> dict[str, Any]:
    """The key of its jobs and what they need, which none but the task's own module may know.

    Raises OptionInvalid.
    """
    made: dict[str, Any] = {}
    calls, defaults = [(one.args, one.kwargs)], task.defaults
    if defaults.unique is not None:
        (key,) = defaults.unique.keys(task.name, task.shape, calls)
        made["unique"] = replace(defaults.unique, key=key).describe()
    for needs in defaults.needs.of_calls(task.name, task.shape, calls) or ():
        made["needs"] = needs.describe()
    return made


def check_schedules(task: Task[..., Any], names: Mapping[str, str]) -> None:
    """Raise unless the arguments of a task's schedules are JSON and fit it, and no name is taken.

    `names` are the names of other tasks' schedules, each with its task. Raises ArgumentsMismatch,
    NotJson, TooLarge and OptionInvalid.
    """
    for one in task.defaults.schedules:
        encode_call(one.args, one.kwargs, LARGEST)
        task.shape.check(one.args, one.kwargs)
    described = describe_schedules(task)
    taken = dict(names)
    for schedule in described:
        name = schedule["name"]
        if name in taken:
            raise OptionInvalid("schedule", name, f"is the name of another one, of {taken[name]}")
        taken[name] = task.name
    size = len(json.dumps(described))
    if size > LARGEST:
        raise TooLarge("the schedules", size, LARGEST, "pass a reference instead of the data")
