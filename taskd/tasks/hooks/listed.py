"""The middleware that the configuration names: `middleware: [shop.hooks.Tracing]`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from taskd.errors import HookInvalid
from taskd.tasks.hooks.middleware import Middleware, is_registered, middleware
from taskd.tasks.names import is_inside

EXTRAS = ("taskd.otel", "taskd.sentry")
"""Modules of our own that may be listed, though they lie outside of `imports`."""


def register_listed(path: str, imports: Sequence[str]) -> None:
    """Register the class of this dotted path, or an object of one; if it is, it stays as it is.

    Imports its module. Raises HookInvalid for a path that leads to no Middleware inside of
    `imports`, and whatever the import or the class raises.
    """
    found = _find(path, imports)
    if isinstance(found, Middleware):
        if not is_registered(type(found)):
            middleware(found)
    elif isinstance(found, type) and issubclass(found, Middleware):
        if not is_registered(found):
            middleware(found)
    else:
        raise HookInvalid(f"middleware: {path} is no Middleware, but {found!r}")


def _find(path: str, imports: Sequence[str]) -> object:
    module_name, _, attribute = path.rpartition(".")
    if not is_inside(module_name, (*imports, *EXTRAS)):
        allowed = ", ".join(imports) or "which is empty"
        raise HookInvalid(f"middleware: {path} lies outside of imports ({allowed}): add its module")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise HookInvalid(f"middleware: module {module_name} has no {attribute}") from None
