"""Arguments and results as JSON text: strict, so that what a task gets is what was given.

The C encoder does the work. What it lets through but JSON, PostgreSQL or the reader would not give
back (keys that are no text, NUL characters, unpaired surrogates, deep nesting) is looked for only
in texts that may hold it. Tuples become arrays; subclasses of str, int and float their value.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from taskd.errors import NotJson, TooLarge
from taskd.tasks.json_faults import MAX_DEPTH, MAX_DIGITS, find_fault, find_key_fault

MAX_RESULT = 1024**2
"""Bytes that a result may take."""

_SIMPLE = (str, int, float, type(None))
_MAX_BYTES = 4
"""Of a character in UTF-8."""

# The encoder refuses it and the search finds nothing.
_LIAR = "is not JSON, though it looks like it"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_call(
    args: Sequence[Any], kwargs: Mapping[str, Any], limit: int
) -> tuple[str, str | None]:
    """Give the arguments as a JSON array, and the keywords as an object, or None if there are none.

    Raises NotJson with the place of what is not JSON, and TooLarge above `limit` bytes.
    """
    args_text, size = _encoded(args)
    if args_text is None or _is_doubtful(args_text, objects=0):
        for number, value in enumerate(args, 1):
            _raise_fault(find_fault(value, f"argument {number}"))
    kwargs_text = None
    if kwargs:
        kwargs_text, kwargs_size = _encoded(kwargs)
        size += kwargs_size
        if kwargs_text is None or _is_doubtful(kwargs_text, objects=1):
            _raise_fault(find_key_fault(kwargs, "the names of the arguments"))
            for name, value in kwargs.items():
                _raise_fault(find_fault(value, f"argument {name}"))
    if args_text is None or (kwargs and kwargs_text is None):
        raise NotJson("the arguments", _LIAR)
    if size > limit:
        remedy = "pass a reference, such as a path or the id of a row, or raise max_args"
        raise TooLarge("the arguments", size, limit, remedy)
    return args_text, kwargs_text


def encode_together(arguments: Sequence[Sequence[Any]], limit: int) -> list[str] | None:
    """Give the arguments of many calls as `encode_call` does, in a fifth of its time.

    None if each must be looked at by itself: one is not JSON, one may be too large, or one holds a
    list, a dict, or a text with a bracket.
    """
    if not all(isinstance(value, _SIMPLE) for value in arguments[0]):
        return None  # so it is with the others, most likely
    text, _ = _encoded(arguments)
    if text is None or text.count("[") != 1 + len(arguments) or _may_mislead(text, objects=0):
        return None
    texts = text[1:-1].replace("],[", "]\0[").split("\0")  # no text in JSON holds a NUL
    return None if _MAX_BYTES * max(map(len, texts)) > limit else texts


def encode_result(result: object, limit: int = MAX_RESULT) -> str:
    """Give a result as JSON text. Raises NotJson, and TooLarge above `limit` bytes."""
    text, size = _encoded(result)
    if text is None or _is_doubtful(text, objects=0):
        _raise_fault(find_fault(result, "result"))
    if text is None:
        raise NotJson("result", _LIAR)
    if size > limit:
        remedy = "store it elsewhere and return where that is, or raise max_result"
        raise TooLarge("result", size, limit, remedy)
    return text


def _encoded(value: object) -> tuple[str | None, int]:
    """The JSON text and its size in bytes; None if there is a fault to be found."""
    try:
        text = _encode(value)
        return text, len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError, RecursionError):
        return None, 0


def _raise_fault(fault: NotJson | None) -> None:
    if fault is not None:
        raise fault


def _is_doubtful(text: str, objects: int) -> bool:
    """Whether only a search can tell if the text says what was meant.

    `objects` is how many of the JSON objects in it are known to have sound keys.
    """
    return text.count("[") > MAX_DEPTH or _may_mislead(text, objects)


def _may_mislead(text: str, objects: int) -> bool:
    return (
        text.count("{") > objects
        or "\\u0000" in text
        or (len(text) > MAX_DIGITS and not 0 < sys.get_int_max_str_digits() <= MAX_DIGITS)
    )
