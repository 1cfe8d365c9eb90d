"""Importing the users' modules, and saying in one line what is wrong with them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from taskd.errors import HookInvalid, TaskdError
from taskd.tasks.failure import error_text
from taskd.tasks.hooks.listed import register_listed
from taskd.tasks.resolve import fault_place


class ImportFailed(TaskdError):
    """The users' code cannot be imported; the text names file and line, or the setting."""


def import_code(modules: Sequence[str], middleware: Sequence[str]) -> None:
    """Import the modules of `imports`, in order, and after them what `middleware` lists.

    Raises ImportFailed for the first that cannot be, whatever it raised.
    """
    import_modules(modules)
    for path in middleware:
        try:
            register_listed(path, modules)
        except HookInvalid as error:
            raise ImportFailed(str(error)) from error
        except BaseException as error:
            module = path.rpartition(".")[0]
            raise ImportFailed(_sentence("middleware", module, error)) from error


def import_modules(names: Sequence[str]) -> None:
    """Import each of the modules, in order.

    Raises ImportFailed for the first that cannot be, whatever it raised.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # SystemExit, too: it is the import that failed, not we
            raise ImportFailed(_sentence("imports", name, error)) from error


def find_here_first() -> None:
    """Let imports look in the current directory first, as `python -m` does."""
    here = os.getcwd()
    if not sys.flags.safe_path and sys.path[:1] != [here]:
        sys.path.insert(0, here)


def _sentence(setting: str, name: str, error: BaseException) -> str:
    what = error_text(error).splitlines()[0]
    trace = error.__traceback__
    below_us = error.with_traceback(trace.tb_next if trace is not None else None)
    place = None if _is_missing(name, error) else fault_place(below_us)
    return f"{place}: {what}" if place else f"{setting}: {name}: {what}"


def _is_missing(name: str, error: BaseException) -> bool:
    """Whether it is the module itself that is not there, or a package above it."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return name == error.name or name.startswith(f"{error.name}.")
