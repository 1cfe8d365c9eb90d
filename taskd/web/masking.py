"""Arguments that are nobody's business: those of the tasks that `mask` lists are shown as ***.

With them goes what repeats them: the locals of a traceback, the unique key, whose share it is, and
the names of resources and limits, in the place of which lines have a cover (see cover). Nor can
they be guessed by a filter: whoever asks by arguments finds no jobs of these tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

HIDDEN = "***"
_REPEATS = frozenset({"unique", "fair", "limits"})
_MADE = frozenset({"unique", "needs"})


def masked(row: dict[str, Any], mask: Set[str]) -> dict[str, Any]:
    """A job or a schedule as a dict, with what is to be hidden."""
    if row["task"] not in mask:
        return row
    shown = {**row, "args": HIDDEN, "kwargs": HIDDEN}
    if row.get("traceback"):
        shown["traceback"] = HIDDEN
    if row.get("extra"):
        shown["extra"] = _without(row["extra"], _REPEATS)
    if row.get("options"):
        shown["options"] = _without(row["options"], _MADE)
    return shown


def _without(values: Mapping[str, Any], names: Set[str]) -> dict[str, Any]:
    return {name: HIDDEN if name in names else value for name, value in values.items()}


def masked_task(task: dict[str, Any], mask: Set[str]) -> dict[str, Any]:
    """What a daemon offers: the jobs of its schedules have arguments, too."""
    if task["name"] not in mask or not task.get("schedules"):
        return task
    schedules = [masked({**one, "task": task["name"]}, mask) for one in task["schedules"]]
    return {**task, "schedules": schedules}


def masked_order(entry: dict[str, Any], mask: Set[str]) -> dict[str, Any]:
    """An order in the audit log: a command does not know what its dashboard hides."""
    wanted = entry["parameters"].get("filter")
    if not mask or not wanted or wanted.get("task", next(iter(mask))) not in mask:
        return entry
    hidden = {
        name: HIDDEN if name in ("args", "kwargs") else value for name, value in wanted.items()
    }
    return {**entry, "parameters": {**entry["parameters"], "filter": hidden}}


def masked_attempt(row: dict[str, Any], task: str, mask: Set[str]) -> dict[str, Any]:
    """An attempt of a job of that task."""
    return {**row, "traceback": HIDDEN} if task in mask and row["traceback"] else row


def besides(values: Mapping[str, Any], mask: Set[str]) -> tuple[str, ...] | None:
    """Which tasks a filter must not find: the masked ones, if it asks by arguments."""
    asks = values.get("args") is not None or values.get("kwargs") is not None
    return tuple(sorted(mask)) if asks and mask else None
