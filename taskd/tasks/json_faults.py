"""What in a value is not JSON, where it is, and what to pass instead."""

from __future__ import annotations

import math
import reprlib
from collections import deque
from collections.abc import Iterable

from taskd.errors import NotJson

MAX_DEPTH = 100
"""Levels of lists and objects; readers of JSON give up somewhere, and not all at the same depth."""

MAX_DIGITS = 4300
"""Digits of an integer that Python reads, unless it has been told otherwise."""

_TOO_BIG = 10**MAX_DIGITS

# By package and class, so that none of them need be imported. The first base class found counts.
_REMEDIES = {
    "builtins.bytes": "pass .decode(), or base64 for what is no text",
    "builtins.bytearray": "pass .decode(), or base64 for what is no text",
    "builtins.memoryview": "pass base64",
    "builtins.set": "pass a list",
    "builtins.frozenset": "pass a list",
    "builtins.range": "pass a list",
    "builtins.generator": "pass a list",
    "builtins.map": "pass a list",
    "builtins.filter": "pass a list",
    "builtins.zip": "pass a list",
    "builtins.complex": "pass a list of two numbers",
    "builtins.function": "pass its dotted path",
    "builtins.coroutine": "await it, and pass what it gives",
    "builtins.type": "pass its dotted path",
    "builtins.dict_keys": "pass a list",
    "builtins.dict_values": "pass a list",
    "builtins.dict_items": "pass a list",
    "builtins.BaseException": "pass its text",
    "_io._IOBase": "pass its path",
    "collections.deque": "pass a list",
    "datetime.datetime": "pass an ISO string",
    "datetime.date": "pass an ISO string",
    "datetime.time": "pass an ISO string",
    "datetime.timedelta": "pass .total_seconds()",
    "decimal.Decimal": "pass a string, or a float",
    "fractions.Fraction": "pass a string, or a float",
    "enum.Enum": "pass its .value",
    "pathlib.PurePath": "pass a string",
    "uuid.UUID": "pass a string",
    "numpy.generic": "pass .item()",
    "numpy.ndarray": "pass .tolist()",
    "pydantic.BaseModel": "pass .model_dump(mode='json')",
    "django.Model": "pass its pk, and fetch it in the task",
    "taskd.Task": "pass its name",
    "taskd.Job": "pass its id",
}
_ANY_OTHER = "pass text, numbers, true, false, None, lists or dicts of these"


def find_fault(value: object, place: str) -> NotJson | None:
    """The first thing in a value that is not JSON, or that would not come back as it is.

    `place` is what the value is called; the path to the fault is appended to it.
    """
    found = _search(value, ())
    if found is None:
        return None
    return NotJson(": ".join(filter(None, (place, _written(found.path)))), found.problem)


def find_key_fault(keys: Iterable[object], place: str) -> NotJson | None:
    """The first of these keys that cannot be the key of a JSON object."""
    problems = (problem for key in keys if (problem := _key_problem(key)) is not None)
    problem = next(problems, None)
    return None if problem is None else NotJson(place, problem)


class _Fault:
    """A problem and, from the inside out while the search returns, the steps that lead to it."""

    __slots__ = ("path", "problem")

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.path: deque[str | int] = deque()

    def below(self, step: str | int) -> _Fault:
        self.path.appendleft(step)
        return self


def _search(value: object, above: tuple[int, ...]) -> _Fault | None:
    """The first fault; `above` are the ids of what the value is in."""
    if isinstance(value, dict | list | tuple):
        return _search_inside(value, above)
    problem = _problem(value)
    return None if problem is None else _Fault(problem)


def _search_inside(
    value: dict[object, object] | list[object] | tuple[object, ...], above: tuple[int, ...]
) -> _Fault | None:
    if id(value) in above:
        return _Fault(f"the {type(value).__name__} contains itself")
    if len(above) == MAX_DEPTH:
        return _Fault(f"is nested deeper than {MAX_DEPTH} levels")
    above += (id(value),)
    if isinstance(value, dict):
        for key, part in value.items():
            problem = _key_problem(key)
            if problem is not None:
                return _Fault(problem)
            found = _search(part, above)
            if found is not None:
                return found.below(str(key))
        return None
    for index, part in enumerate(value):
        found = _search(part, above)
        if found is not None:
            return found.below(index)
    return None


def _problem(value: object) -> str | None:
    """What is wrong with a value that holds no others."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _text_problem(value, "the text")
    if isinstance(value, int):
        return _integer_problem(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not JSON; pass None, or a text"
    return f"{type(value).__qualname__} is not JSON; {_remedy(type(value))}"


def _key_problem(key: object) -> str | None:
    if isinstance(key, str):
        return _text_problem(key, f"the key {key!a}")
    kind = type(key).__qualname__
    return f"the key {reprlib.repr(key)} is of type {kind}, and JSON's keys are text; pass a string"


def _text_problem(text: str, called: str) -> str | None:
    if "\0" in text:
        position = text.index("\0")
        return f"{called} holds a NUL character at position {position}; remove it"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = f"{text[error.start]!a} at position {error.start}"
            return f"{called} holds half a character, {half}; decode it with errors='replace'"
    return None


def _integer_problem(number: int) -> str | None:
    if -_TOO_BIG < number < _TOO_BIG:
        return None
    return f"an integer of more than {MAX_DIGITS} digits cannot be read back; pass a text"


def _remedy(kind: type) -> str:
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        remedy = _REMEDIES.get(f"{package}.{base.__qualname__}")
        if remedy is not None:
            return remedy
    if "__dataclass_fields__" in vars(kind):
        return "pass dataclasses.asdict(…)"
    return _ANY_OTHER


def _written(path: Iterable[str | int]) -> str:
    parts = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif step.isidentifier():
            parts.append(f".{step}")
        else:
            parts.append(f"[{step!a}]")
    return "".join(parts).removeprefix(".")
