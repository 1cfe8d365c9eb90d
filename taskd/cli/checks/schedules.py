"""The schedules of the file, and whether what they enqueue is there to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from taskd.cli.checks.finding import Finding, fault, fine, warning
from taskd.config.layer import Path
from taskd.config.schedules import ScheduleSettings
from taskd.errors import Fault
from taskd.events import counted
from taskd.tasks.definition import misfit, out_of_reach
from taskd.tasks.names import nearest_name

Blame = Callable[[Path, str], Fault]
"""A fault of the setting at a path, at its place in the file."""


def check_schedules(
    schedules: Mapping[str, ScheduleSettings], tasks: Sequence[Mapping[str, Any]], blame: Blame
) -> Iterator[Finding]:
    """Look whether the tasks that are scheduled are there, and whether they take the arguments."""
    offered = {task["name"]: task for task in tasks}
    in_code = sum(len(task.get("schedules", ())) for task in tasks)
    are_sound = True
    for name, one in schedules.items():
        found = _check_schedule(name, one, offered, blame)
        if found is not None:
            are_sound = False
            yield found
    if (schedules or in_code) and are_sound:
        in_file = counted(len(schedules), "schedule")
        yield fine("schedules", f"{in_file} in the file, {in_code} in the code")


def _check_schedule(
    name: str, one: ScheduleSettings, offered: Mapping[str, Mapping[str, Any]], blame: Blame
) -> Finding | None:
    """What is wrong with one schedule; an unknown task may be offered by another daemon."""
    path: Path = ("schedules", name)
    if one.task not in offered:
        near = nearest_name(one.task, offered)
        return warning(
            "schedules",
            str(blame((*path, "task"), f"no module of `imports` offers {one.task}")),
            f"did you mean {near}?" if near else "correct its task, or add its module to `imports`",
        )
    problem = out_of_reach(offered[one.task])
    if problem is not None:
        text = str(blame((*path, "task"), problem))
        return fault("schedules", text, "schedule it in its code: @task(schedule=…)")
    problem = misfit(offered[one.task], one.args, one.kwargs)
    if problem is None:
        return None
    if not one.args and not one.kwargs:
        where = path
    elif misfit(offered[one.task], one.args, {}) == problem:  # also without kwargs
        where = (*path, "args")
    else:
        where = (*path, "kwargs")
    return fault("schedules", str(blame(where, problem)), "correct its args and kwargs")
