"""Where every greenlet of a worker stands, on demand, also while one of them blocks the hub."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import traceback
from collections.abc import Callable
from types import FrameType

from greenlet import getcurrent, greenlet

from taskd.pool import stderr

Describe = Callable[[greenlet], str | None]
"""Says in a few words what a greenlet is for; None: it is idle, leave it out."""


def dump_on_signal(number: signal.Signals, describe: Describe) -> None:
    """Write all stacks to standard error when `number` arrives; what nobody reads is dropped.

    faulthandler writes the running stack at once, from C; then Python walks the frames of the
    greenlets that wait, as soon as it comes to its next bytecode.
    """
    fd = stderr.open_for_dumps()

    def walk(number: int, frame: FrameType | None) -> None:
        stderr.write(fd, format_stacks(describe))

    signal.signal(number, walk)
    faulthandler.register(number, file=fd, all_threads=True, chain=True)


def format_stacks(describe: Describe) -> str:
    """The stacks of all greenlets but the current one, each with a heading."""
    lines = [f"Greenlets of process {os.getpid()}:\n"]
    for other in gc.get_objects():
        if isinstance(other, greenlet) and other is not getcurrent() and other.gr_frame:
            heading = describe(other)
            if heading is not None:
                lines += [f"\n{heading}\n", *traceback.format_stack(other.gr_frame)]
    return "".join(lines)
