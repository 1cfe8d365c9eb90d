"""Which functions can be hooks: plain ones, that can be called with what they will be given."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType

from taskd.errors import ArgumentsMismatch, HookInvalid, NotATask
from taskd.tasks.names import check_function
from taskd.tasks.signature import CallShape


def check_hook(kind: str, function: object, given: str) -> FunctionType:
    """Give back a plain function of one argument, which `given` describes; else raise HookInvalid.

    `kind` is what it is to be: `on_worker_start`.
    """
    name = str(getattr(function, "__qualname__", None) or repr(function))
    try:
        plain = check_function(function, name)
        CallShape(plain).check((None,), None)
    except NotATask as error:
        raise HookInvalid(f"{kind}: {error}") from None
    except ArgumentsMismatch as error:
        raise HookInvalid(f"{kind}: it is called with one argument, {given}: {error}") from None
    return plain


def hook_name(function: Callable[..., object]) -> str:
    """Name a hook as people find it: `shop.hooks.connect`."""
    name = getattr(function, "__qualname__", repr(function))
    return f"{function.__module__}.{name}"
