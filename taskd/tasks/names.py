"""Under which name a worker finds a function, and which functions can be tasks at all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from taskd.errors import NotATask, OptionInvalid

NAME_LENGTH = 200
MAIN = "__main__"

_NAME = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

# Bits of co_flags, as `inspect` has them: bodies that a plain call does not run.
_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200


def check_task_name(option: str, name: object) -> str:
    """Give back a name fit for a task; raises OptionInvalid, naming the option, otherwise."""
    if not isinstance(name, str) or not name:
        raise OptionInvalid(option, name, "is no name: give a text such as 'shop.tasks.fetch'")
    if len(name) > NAME_LENGTH:
        raise OptionInvalid(option, name, f"is longer than {NAME_LENGTH} characters")
    if not _NAME.fullmatch(name):
        raise OptionInvalid(option, name, "holds spaces or control characters")
    return name


def check_function(function: object, name: str) -> FunctionType:
    """Give back what a plain call runs to its end; raises NotATask with a remedy otherwise."""
    if isinstance(function, type):
        raise NotATask(f"{name} is a class: write a function that makes and uses it")
    if not isinstance(function, FunctionType):
        kind = type(function).__name__
        raise NotATask(f"{name} is a {kind}, no plain function: write a def that calls it")
    flags = function.__code__.co_flags
    if flags & (_COROUTINE | _ITERABLE_COROUTINE | _ASYNC_GENERATOR):
        raise NotATask(
            f"{name} is an async function, which workers do not await: "
            "make it a plain def, which may call asyncio.run(…)"
        )
    if flags & _GENERATOR:
        raise NotATask(
            f"{name} is a generator, whose body a call does not run: take the yield out of it"
        )
    return function


def dotted_path(function: FunctionType) -> str:
    """Name a function by module and own name, as a worker imports it.

    Raises NotATask for lambdas, methods and functions within functions: nobody finds those.
    """
    path = f"{module_name(function)}.{function.__qualname__}"
    if function.__name__ == "<lambda>":
        raise NotATask(f"{path} cannot be found by its name: write it as a def")
    if "<locals>" in function.__qualname__:
        raise NotATask(
            f"{path} cannot be found by its name: move it to the top level of its module, "
            "or give it a name=… if importing the module always makes it"
        )
    if "." in function.__qualname__:
        raise NotATask(
            f"{path} is in a class: move it to the top level of its module; "
            "a task takes JSON, not an instance"
        )
    return path


def module_name(function: Callable[..., Any]) -> str:
    """The name under which other processes import a function's module.

    For the main module that is the name given to `python -m`; `__main__` if it is a script.
    """
    module: str | None = function.__module__
    if module != MAIN:
        return module or "?"
    spec = getattr(sys.modules.get(MAIN), "__spec__", None)
    return MAIN if spec is None else str(spec.name)


def check_findable(name: str) -> str:
    """Give back the name of a task that workers can find; raises NotATask for a script's own."""
    if MAIN in name.split("."):
        raise NotATask(
            f"{name} belongs to the script that runs here, and workers cannot import that: move "
            "the task into a module of its own and import it from there"
        )
    return name


def nearest_name(wanted: str, known: Iterable[str]) -> str | None:
    """The known name that is most like the wanted one, if any is."""
    import difflib

    near = difflib.get_close_matches(wanted[:NAME_LENGTH], list(known), n=1)
    return near[0] if near else None


def is_inside(module: str, imports: Iterable[str]) -> bool:
    """Whether a module is one of `imports`, or lies below one: `shop` is not above `shopping`."""
    return any(module == one or module.startswith(f"{one}.") for one in imports)
