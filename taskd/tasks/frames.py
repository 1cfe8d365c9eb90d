"""Names of frames that say whose they are, for whoever reads a stack from outside.

A process that is stuck in C can still be made to write its stack (faulthandler), but only the
names of files and functions, no values. So the frame that every job of a seat runs in is named
after the seat, and the frame that calls a task after the task; that costs a job nothing:

    File "shop/render.py", line 88 in layout            ← it stands here
    File "…/taskd/tasks/run.py", line 119 in task shop.render.page
    …
    File "…/taskd/pool/slots.py", line 178 in seat 7    ← its job: slot.seats[7]
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

SEAT = "seat "
TASK = "task "


def seat_name(number: int) -> str:
    """The name of the frame of a seat."""
    return f"{SEAT}{number}"


def task_name(task: str) -> str:
    """The name of the frame that calls a task."""
    return f"{TASK}{task}"


def named(function: Callable[P, R], name: str) -> Callable[P, R]:
    """The same function, whose frames have another name. Not for closures."""
    plain = cast(FunctionType, function)
    code = plain.__code__.replace(co_name=name, co_qualname=name)
    twin = FunctionType(code, plain.__globals__, name, plain.__defaults__)
    return cast(Callable[P, R], twin)
