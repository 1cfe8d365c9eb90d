"""From a task's name to its function: the boundary of what a job may run.

Whoever can insert a row chooses the name, so nothing outside of `imports` is imported, and nothing
that was merely imported into a module there (`shop.tasks.Popen`) is called.
"""

from __future__ import annotations

import importlib
import keyword
import os
import sys
import sysconfig
import traceback
from types import FunctionType, ModuleType
from typing import Any

from taskd.errors import NotATask, TaskImportFailed, TaskRefused, TaskUnknown
from taskd.tasks.failure import error_text
from taskd.tasks.hooks.unseen import CALL_FAILURE_HANDLERS, call_failure_handlers
from taskd.tasks.names import check_function, is_inside, nearest_name
from taskd.tasks.options import DEFAULTS
from taskd.tasks.registry import registry
from taskd.tasks.task import Task

_MISSING = object()
_OWN_FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def resolve(name: str, imports: tuple[str, ...]) -> Task[..., Any]:
    """The task of this name; an undecorated function becomes one with the usual options.

    Imports the module if need be. Raises TaskRefused for what lies outside of `imports`,
    TaskUnknown, TaskImportFailed, and NotATask for what is there but cannot be run.
    """
    if name == CALL_FAILURE_HANDLERS:
        return call_failure_handlers
    found: object = registry.find(name) or _look_up(name, imports)
    function = found.function if isinstance(found, Task) else found
    home = getattr(function, "__module__", None)
    if isinstance(function, ModuleType):
        raise _not_a_function(name, function, imports)
    if not isinstance(home, str) or not is_inside(home, imports):
        raise TaskRefused(name, str(home), imports)
    plain = check_function(function, name)
    return found if isinstance(found, Task) else Task(plain, name, DEFAULTS)


def _look_up(name: str, imports: tuple[str, ...]) -> object:
    module_name, _, attribute = name.rpartition(".")
    if not is_inside(module_name, imports):
        raise TaskRefused(name, module_name or name, imports)
    if not all(map(_is_plain_identifier, name.split("."))):
        raise TaskUnknown(name, "it is no dotted path of a function, such as shop.tasks.fetch")
    module = _import(name, module_name, imports)
    found = getattr(module, attribute, _MISSING)
    if found is _MISSING:
        known = {one.removeprefix(f"{module_name}."): one for one in _known_names(module, imports)}
        near = nearest_name(attribute, known)  # or what they have in common would count most
        raise TaskUnknown(name, f"module {module_name} has no {attribute}", near and known[near])
    return found


def _is_plain_identifier(part: str) -> bool:
    """Whether it may be a part of a path: `__main__` and its like are nobody's tasks."""
    return part.isidentifier() and not keyword.iskeyword(part) and not part.startswith("__")


def _import(name: str, module_name: str, imports: tuple[str, ...]) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and is_inside(module_name, (error.name,)):
            raise _no_module(name, module_name, imports) from None
        raise _import_failed(module_name, error) from error
    except (Exception, SystemExit) as error:  # the module is the user's code
        raise _import_failed(module_name, error) from error


def _no_module(name: str, module_name: str, imports: tuple[str, ...]) -> Exception:
    """Say what stands where a module was expected: nothing, a class, or somebody else's module."""
    known, part = module_name, ""
    while known and known not in sys.modules:
        known, _, part = known.rpartition(".")
    found = getattr(sys.modules[known], part, _MISSING) if is_inside(known, imports) else _MISSING
    if found is _MISSING:
        near = nearest_name(name, (task.name for task in registry))
        return TaskUnknown(name, f"there is no module {module_name}", near)
    if isinstance(found, ModuleType) and not is_inside(found.__name__, imports):
        return TaskRefused(name, found.__name__, imports)
    return _not_a_function(f"{known}.{part}", found, imports)


def _not_a_function(name: str, found: object, imports: tuple[str, ...]) -> Exception:
    if isinstance(found, ModuleType):
        if not is_inside(found.__name__, imports):
            return TaskRefused(name, found.__name__, imports)
        return NotATask(f"{name} is a module: name a function in it")
    kind = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
    return NotATask(f"{name} is {kind}: only functions at the top level of a module can be run")


def _known_names(module: ModuleType, imports: tuple[str, ...]) -> list[str]:
    functions = [
        f"{module.__name__}.{name}"
        for name, value in vars(module).items()
        if isinstance(value, FunctionType | Task)
    ]
    return functions + [task.name for task in registry if is_inside(task.__module__, imports)]


def _import_failed(module_name: str, error: BaseException) -> TaskImportFailed:
    return TaskImportFailed(module_name, fault_place(error), error_text(error))


def fault_place(error: BaseException) -> str | None:
    """Where the users' code failed, as `file:line`: the innermost line of their own.

    If there is none, the innermost line of an installed package; None if there is none either.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short_path(error.filename)}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", _OWN_FOLDER))
    ]
    folders = tuple(
        os.path.join(sysconfig.get_path(key), "")
        for key in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    own = [
        frame
        for frame in frames
        if not frame.filename.startswith(folders)
        and os.path.isfile(frame.filename)  # compiled modules name what they were made of
    ] or frames
    return f"{_short_path(own[-1].filename)}:{own[-1].lineno}" if own else None


def _short_path(path: str) -> str:
    return path.removeprefix(os.path.join(os.getcwd(), ""))
