"""Unique jobs: at most one job that has not let go of a key holds it.

The key is a text of the caller's, what a function makes of the arguments, or (`unique=True`) the
task and its arguments, however they were written: fetch("a") and fetch(url="a") are the same call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from taskd.errors import OptionInvalid
from taskd.tasks.failure import error_text
from taskd.tasks.names import nearest_name
from taskd.tasks.retry import check_seconds
from taskd.tasks.signature import CallShape

MAX_KEY = 200
"""Characters of a key; that of longer arguments is their digest."""

UniqueKey = bool | str | Callable[..., str]
OnConflict = Literal["keep", "replace", "earlier"]

_UNTIL = ("started", "finished")
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_OUT_OF_REACH = (
    "has a key that a function makes, and only its module knows that function: import the task "
    "and enqueue or schedule it there, or give the key of this job with unique= "
    "(on the command line --unique)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniqueness:
    """What makes jobs equal, until when, and what a second enqueue does to the first job."""

    key: Literal[True] | str | Callable[..., str]
    until: str = "finished"
    on_conflict: OnConflict = "keep"

    def keys(
        self, task: str, shape: CallShape | None, calls: Sequence[tuple[Any, Any]]
    ) -> list[str]:
        """The key of each call.

        Raises OptionInvalid for one that is none, naming it, and for one that cannot be made here;
        ArgumentsMismatch for arguments that do not fit.
        """
        if isinstance(self.key, str):
            return [self.key] * len(calls)
        if self.key is made_where_the_task_is:
            raise OptionInvalid("unique", task, _OUT_OF_REACH)
        if self.key is True:
            return [_key_by_arguments(task, shape, *call) for call in calls]
        return [_made_key(self.key, *call) for call in calls]

    def describe(self) -> dict[str, Any]:
        """As plain data; key None: a function makes it."""
        key = self.key if self.key is True or isinstance(self.key, str) else None
        return {"key": key, "until": self.until, "on_conflict": self.on_conflict}

    def to_json(self, keys: Sequence[str], self_id: int | None) -> str:
        """As the store takes it; `self_id` is the job that enqueues, if one does."""
        return json.dumps(
            {
                "keys": keys,
                "until": self.until,
                "on_conflict": self.on_conflict,
                "self": self_id,
            }
        )


def made_where_the_task_is(*args: Any, **kwargs: Any) -> NoReturn:
    """Stands for the function of a task that is known by its description alone."""
    raise NotImplementedError


def uniqueness_offered(described: Mapping[str, Any] | None) -> Uniqueness | None:
    """What `Uniqueness.describe` has described."""
    if described is None:
        return None
    key = described["key"]
    return Uniqueness(
        key=made_where_the_task_is if key is None else key,
        until=described["until"],
        on_conflict=described["on_conflict"],
    )


def read_uniqueness(
    options: Mapping[str, Any], default: Uniqueness | None = None
) -> Uniqueness | None:
    """Check what was said about uniqueness; what was not said is the task's. None: not unique.

    Raises OptionInvalid.
    """
    if not options.keys() & {"unique", "unique_until", "on_conflict"}:
        return default
    key = options.get("unique", None if default is None else default.key)
    if key is None or key is False:
        _refuse_alone(options)
        return None
    usual = default or Uniqueness(key=True)
    return Uniqueness(
        key=_key(key),
        until=_until(options["unique_until"]) if "unique_until" in options else usual.until,
        on_conflict=_on_conflict(options.get("on_conflict", usual.on_conflict)),
    )


def _refuse_alone(options: Mapping[str, Any]) -> None:
    for option in ("unique_until", "on_conflict"):
        if option in options:
            raise OptionInvalid(
                option,
                options[option],
                "says something of unique jobs only: add unique=True "
                "(on the command line --unique)",
            )


def _key(value: object) -> Literal[True] | str | Callable[..., str]:
    if value is True:
        return True
    if isinstance(value, str):
        return _checked(value)
    if callable(value):
        return value
    raise OptionInvalid("unique", value, "is not True, a text, or a function of the arguments")


def _until(value: object) -> str:
    if isinstance(value, str):
        if value in _UNTIL:
            return value
        near = nearest_name(value, _UNTIL)
        hint = f": did you mean {near!r}?" if near else ""
        raise OptionInvalid(
            "unique_until", value, f'is not "started", "finished" or a number of seconds{hint}'
        )
    seconds = check_seconds("unique_until", value)
    if seconds == 0:
        raise OptionInvalid("unique_until", value, "would let go at once: give seconds above 0")
    return repr(seconds)


def _on_conflict(value: object) -> OnConflict:
    match value:
        case "keep" | "replace" | "earlier":
            return value
        case _:
            reason = "is not one of keep, replace, earlier"
            raise OptionInvalid("on_conflict", value, reason)


def _made_key(make: Callable[..., str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    try:
        key = make(*args, **kwargs)
    except Exception as error:  # the function is the user's
        raise OptionInvalid("unique", make, f"failed: {error_text(error)}") from error
    if not isinstance(key, str):
        raise OptionInvalid("unique", key, "is what the function returned, and no text")
    return _checked(key)


def _checked(key: str) -> str:
    if not key or len(key) > MAX_KEY:
        raise OptionInvalid("unique", key, f"is not a text of 1 to {MAX_KEY} characters")
    if "\0" in key or not key.isprintable():
        raise OptionInvalid("unique", key, "holds control characters")
    return key


def _key_by_arguments(
    task: str, shape: CallShape | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    if shape is None:
        named = {str(i): value for i, value in enumerate(args)} | dict(kwargs)
    else:
        shape.check(args, kwargs)
        named = shape.by_name(args, kwargs)
    text = _encode(named)
    key = f"{task}({text})"
    if len(key) <= MAX_KEY:
        return key
    return f"{task[: MAX_KEY - 70]}({hashlib.sha256(text.encode()).hexdigest()})"
