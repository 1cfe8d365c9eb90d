"""What goes wrong in a hook: it raises, or takes too long."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from taskd.errors import HookTimeout
from taskd.tasks.failure import error_text, traceback_text
from taskd.tasks.resolve import fault_place

HookLimit = Callable[[float], AbstractContextManager[object]]
"""Raises HookTimeout in its block once so many seconds have passed."""

_OWN_FRAMES = 2
"""Frames of a hook's traceback that are taskd's: who calls it, and the hook's own __call__."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """The limit of a process worker: a signal, for nothing else runs there meanwhile."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise HookTimeout(seconds)

    before = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def describe_fault(error: BaseException) -> str:
    """Say where a hook failed, as file and line, and how; below it the traceback."""
    place = fault_place(error)
    trace = traceback_text(error, _OWN_FRAMES)
    return f"{f'{place}: ' if place else ''}{error_text(error)}\n{trace}"
