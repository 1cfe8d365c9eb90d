"""Waiting for what other processes do: for the thing itself, never for a span of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(probe: Callable[[], Value], seconds: float = 30.0) -> Value:
    """The first true value of `probe()`; fails when `seconds` have passed without one."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {seconds:g} s")
        time.sleep(0.01)
