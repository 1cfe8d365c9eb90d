"""A process without hooks, for tests that register some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taskd.tasks.hooks.registry import Hooks, hooks


@contextmanager
def no_hooks() -> Iterator[Hooks]:
    """Take all hooks away, and put them back in the end."""
    before = dict(vars(hooks))
    vars(hooks).update(vars(Hooks()))
    yield hooks
    vars(hooks).update(before)
