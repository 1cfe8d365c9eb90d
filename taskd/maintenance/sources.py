"""Adds the lines of the source to stacks: here, so that workers need not read files for it."""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterable
from typing import Any

MOST_BYTES = 2_000_000
"""Of a longer file no line is shown."""


def add_source(stacks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stacks, with frames as objects: file, line, function, code."""
    found = [{**stack, "frames": [_frame(*one) for one in stack["frames"]]} for stack in stacks]
    linecache.clearcache()
    return found


def _frame(file: str, line: int | None, function: str) -> dict[str, Any]:
    code = linecache.getline(file, line).strip() if line and _is_readable(file) else ""
    return {"file": file, "line": line, "function": function, "code": code}


def _is_readable(file: str) -> bool:
    """Whether it is a plain file of some size, and not one of this process's own folder."""
    try:
        return os.path.isabs(file) and os.path.isfile(file) and os.path.getsize(file) < MOST_BYTES
    except (OSError, ValueError):
        return False
