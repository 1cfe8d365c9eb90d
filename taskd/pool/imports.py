"""Importing the users' modules, and saying in one line what is wrong with them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from taskd.errors import TaskdError
from taskd.tasks.failure import error_text
from taskd.tasks.resolve import fault_place


class ImportFailed(TaskdError):
    """A module of `imports` cannot be imported; the text names the user's file and line."""


def import_modules(names: Sequence[str]) -> None:
    """Import each of the modules, in order.

    Raises ImportFailed for the first that cannot be, whatever it raised.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # SystemExit, too: it is the import that failed, not we
            raise ImportFailed(_sentence(name, error)) from error


def find_here_first() -> None:
    """Let imports look in the current directory first, as `python -m` does."""
    here = os.getcwd()
    if not sys.flags.safe_path and sys.path[:1] != [here]:
        sys.path.insert(0, here)


def _sentence(name: str, error: BaseException) -> str:
    what = error_text(error).splitlines()[0]
    trace = error.__traceback__
    below_us = error.with_traceback(trace.tb_next if trace is not None else None)
    place = None if _is_missing(name, error) else fault_place(below_us)
    return f"{place}: {what}" if place else f"imports: {name}: {what}"


def _is_missing(name: str, error: BaseException) -> bool:
    """Whether it is the module itself that is not there, or a package above it."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return name == error.name or name.startswith(f"{error.name}.")
