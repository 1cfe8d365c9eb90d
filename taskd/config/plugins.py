"""Keeping plugins of pydantic out of our models: they are for those of the users."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCH = "PYDANTIC_DISABLE_PLUGINS"


@contextmanager
def without_plugins() -> Iterator[None]:
    """Let models that are built meanwhile have no plugins.

    To look for plugins pydantic reads the metadata of every package that is installed, and imports
    what it finds: for a command that only reads a file, that is a sixth of its time.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
