"""The schedules of the file, and whether what they enqueue is there to be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskd.cli.checks.finding import Finding, fine, warning
from taskd.config.schedules import ScheduleSettings
from taskd.events import counted
from taskd.tasks.names import nearest_name


def check_schedules(
    schedules: Mapping[str, ScheduleSettings], tasks: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Look whether the tasks that are scheduled are among those that importing has found."""
    offered = {task["name"] for task in tasks}
    in_code = sum(len(task.get("schedules", ())) for task in tasks)
    unknown = {name: one.task for name, one in schedules.items() if one.task not in offered}
    for name, task in unknown.items():
        near = nearest_name(task, offered)
        yield warning(
            "schedules",
            f"{name}: no module of `imports` offers {task}",
            f"did you mean {near}?" if near else "correct its task, or add its module to `imports`",
        )
    if (schedules or in_code) and not unknown:
        in_file = counted(len(schedules), "schedule")
        yield fine("schedules", f"{in_file} in the file, {in_code} in the code")
