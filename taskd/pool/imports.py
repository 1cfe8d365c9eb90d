"""Importing the users' modules, and saying in one line what is wrong with them."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence

from taskd.errors import TaskdError


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
            raise ImportFailed(_describe(name, error)) from error


def find_here_first() -> None:
    """Let imports look in the current directory first, as `python -m` does."""
    here = os.getcwd()
    if here not in sys.path[:1]:
        sys.path.insert(0, here)


def look_elsewhere() -> None:
    """Take the current directory out of the search, where `python -m` has put it.

    taskd's own imports must not find a user's `queue.py` in place of Python's.
    """
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]


def _describe(name: str, error: BaseException) -> str:
    where = _place(error)
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return f"{where}: {what}" if where else f"imports: {name}: {what}"


def _place(error: BaseException) -> str | None:
    """The innermost line that is the user's own, else the innermost of an installed package."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{_short(error.filename)}:{error.lineno}"
    frames = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not _is_below(frame.filename, _ours_and_pythons())
    ]
    own = [frame for frame in frames if not _is_below(frame[0], _packages())] or frames
    return f"{_short(own[-1][0])}:{own[-1][1]}" if own else None


def _ours_and_pythons() -> set[str]:
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return {ours} | {
        os.path.join(sysconfig.get_path(key), "importlib") for key in ("stdlib", "platstdlib")
    }


def _packages() -> set[str]:
    return {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}


def _is_below(path: str, folders: set[str]) -> bool:
    return any(path.startswith(folder + os.sep) for folder in folders)


def _short(path: str) -> str:
    return path.removeprefix(os.getcwd() + os.sep)
