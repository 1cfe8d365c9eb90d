"""What a function takes as plain data, for who knows its name alone."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_DEFAULT = 200
"""Characters of a default's JSON; of a longer one it is only said that there is one."""

MAX_PARAMETERS = 8000

_UNTOLD = object()
_KINDS = {
    kind.name.lower(): kind
    for kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )
}


def describe_parameters(function: Callable[..., Any]) -> list[dict[str, Any]] | None:
    """The parameters in order: `name`, `kind`, and `default`, or `optional` if it cannot be told.

    None if they cannot be found out, or are too many to be told.
    """
    try:
        signature = inspect.signature(function, follow_wrapped=False)
    except Exception:  # annotations and __signature__ are the user's code
        return None
    described = [_described(one) for one in signature.parameters.values()]
    return described if len(json.dumps(described)) <= MAX_PARAMETERS else None


def signature_of(described: Sequence[Mapping[str, Any]]) -> inspect.Signature:
    """The signature that `describe_parameters` has described."""
    return inspect.Signature([_parameter(one) for one in described])


def is_told(default: object) -> bool:
    """Whether a default is JSON, and so the same to all who know the function or its description.

    A key by arguments leaves out the others.
    """
    try:
        text = json.dumps(default, allow_nan=False, sort_keys=True)
        return len(text) <= MAX_DEFAULT and json.dumps(json.loads(text), sort_keys=True) == text
    except Exception:  # a default is the user's object
        return False


def _described(parameter: inspect.Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {"name": parameter.name, "kind": parameter.kind.name.lower()}
    if parameter.default is parameter.empty:
        return found
    if is_told(parameter.default):
        return found | {"default": parameter.default}
    return found | {"optional": True}


def _parameter(described: Mapping[str, Any]) -> inspect.Parameter:
    otherwise = _UNTOLD if described.get("optional") else inspect.Parameter.empty
    default = described.get("default", otherwise)
    return inspect.Parameter(described["name"], _KINDS[described["kind"]], default=default)
