"""By which key jobs take turns where they wait for a limit: many of one hold up no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskd.errors import OptionInvalid
from taskd.tasks.failure import error_text
from taskd.tasks.signature import CallShape
from taskd.tasks.unique import made_where_the_task_is

FairBy = str | Callable[..., str | int | None]
"""The name of an argument, or a function of the arguments that returns the key."""

MAX_KEY = 200

_OUT_OF_REACH = (
    "has a fair_by that is a function, and only its module knows that function: import the task "
    "and enqueue or schedule it there, or let fair_by be the name of an argument"
)


def read_fair_by(value: object) -> FairBy | None:
    """Check what `@task` was given; raises OptionInvalid."""
    if value is None or callable(value):
        return value
    if isinstance(value, str) and value.isidentifier():
        return value
    raise OptionInvalid(
        "fair_by", value, "is neither the name of an argument nor a function of the arguments"
    )


def check_fair_by(fair_by: FairBy | None, shape: CallShape) -> None:
    """Raise OptionInvalid if `fair_by` names what is no argument of the task."""
    hint = shape.hint(fair_by) if isinstance(fair_by, str) else None
    if hint is not None:
        raise OptionInvalid("fair_by", fair_by, f"is no argument of the task{hint}")
    if isinstance(fair_by, str) and shape.collects(fair_by):
        reason = "takes any number of arguments: name a single one, or give a function of them"
        raise OptionInvalid("fair_by", fair_by, reason)


def fair_key(
    fair_by: FairBy | None,
    task: str,
    shape: CallShape | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> str | None:
    """The key of a call; None if it has none.

    Raises OptionInvalid for what is no key, and for one that cannot be made here; ArgumentsMismatch
    for arguments that do not fit.
    """
    if fair_by is None:
        return None
    if isinstance(fair_by, str):
        return _checked(_argument(fair_by, task, shape, args, kwargs))
    if fair_by is made_where_the_task_is:
        raise OptionInvalid("fair_by", task, _OUT_OF_REACH)
    try:
        key = fair_by(*args, **kwargs)
    except Exception as error:  # the function is the user's
        raise OptionInvalid("fair_by", fair_by, f"failed: {error_text(error)}") from error
    return _checked(key)


def _argument(
    name: str,
    task: str,
    shape: CallShape | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> object:
    if name in kwargs:
        return kwargs[name]
    if shape is None:
        reason = f"cannot be found among the arguments of {task} here: give it as a keyword"
        raise OptionInvalid("fair_by", name, reason)
    shape.check(args, kwargs)
    return shape.by_name(args, kwargs).get(name)


def _checked(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise OptionInvalid("fair_by", value, "is no key: a text, a whole number or None is one")
    key = str(value) if isinstance(value, str) or abs(value) < 10**MAX_KEY else ""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        reason = f"is no key: one has 1 to {MAX_KEY} printable characters"
        raise OptionInvalid("fair_by", value, reason)
    return key
