"""Arguments that are nobody's business: those of the tasks that `mask` lists are shown as ***.

With them go what repeats them: the locals of a traceback, and the unique key. Nor can they be
guessed by a filter: whoever asks by arguments finds no jobs of these tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

HIDDEN = "***"


def masked(row: dict[str, Any], mask: Set[str]) -> dict[str, Any]:
    """A job or a schedule as a dict, with what is to be hidden."""
    if row["task"] not in mask:
        return row
    shown = {**row, "args": HIDDEN, "kwargs": HIDDEN}
    if row.get("traceback"):
        shown["traceback"] = HIDDEN
    if "unique" in row.get("extra", {}):
        shown["extra"] = {**row["extra"], "unique": HIDDEN}
    return shown


def masked_attempt(row: dict[str, Any], task: str, mask: Set[str]) -> dict[str, Any]:
    """An attempt of a job of that task."""
    return {**row, "traceback": HIDDEN} if task in mask and row["traceback"] else row


def besides(values: Mapping[str, Any], mask: Set[str]) -> tuple[str, ...] | None:
    """Which tasks a filter must not find: the masked ones, if it asks by arguments."""
    asks = values.get("args") is not None or values.get("kwargs") is not None
    return tuple(sorted(mask)) if asks and mask else None
