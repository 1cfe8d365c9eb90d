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
from taskd.tasks.frames import TASK

MOST_FRAMES = 50
"""At each end of a stack."""

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
        if issubclass(type(other), greenlet) and other is not getcurrent() and other.gr_frame:
            heading = describe(other)
            if heading is not None:
                lines += [f"\n{heading}\n", *_of_the_task(traceback.extract_stack(other.gr_frame))]
    return "".join(lines)


def _of_the_task(stack: traceback.StackSummary) -> list[str]:
    """Without the frames of the worker, which come first."""
    task = next((i for i, frame in enumerate(stack) if frame.name.startswith(TASK)), None)
    return traceback.StackSummary.from_list(stack[0 if task is None else task + 1 :]).format()


def format_frames(frame: FrameType | None) -> str:
    """A stack as faulthandler writes it; of a deep one both ends."""
    lines = []
    while frame is not None:
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {frame.f_lineno} in {code.co_name}\n')
        frame = frame.f_back
    if len(lines) > 2 * MOST_FRAMES:
        lines[MOST_FRAMES:-MOST_FRAMES] = ["  ...\n"]
    return "".join(["Stack (most recent call first):\n", *lines])
