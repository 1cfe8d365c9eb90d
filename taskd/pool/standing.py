"""Where code stands, as values: for answers that others are to read, made in a signal handler.

So nothing here takes a lock, opens a file or switches. The lines of the source are added by whoever
reads the answer.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from types import FrameType
from typing import TypedDict

from taskd.tasks.context import JobAttempt
from taskd.tasks.frames import TASK

MOST_FRAMES = 200


class Stack(TypedDict):
    """One stack. frames: [file, line, function], the most recent call last.

    Of a job only what its own code has called; `seconds` it has run. who: what else it is. runs:
    it has the processor, or is called into C; all others wait.
    """

    job: int | None
    task: str | None
    seconds: float | None
    who: str
    runs: bool
    frames: list[list[object]]


def make_stack(
    frame: FrameType | None, attempt: JobAttempt | None, who: str, *, runs: bool = False
) -> Stack:
    """The stack of an attempt of a job, or of something else."""
    return Stack(
        job=None if attempt is None else attempt.id,
        task=None if attempt is None else attempt.task,
        seconds=None if attempt is None else perf_counter() - attempt.started,
        who=who,
        runs=runs,
        frames=_frames(frame),
    )


def threads(frame: FrameType | None, attempt: JobAttempt | None) -> Iterator[Stack]:
    """The main thread, which runs `attempt`, and all others; for a process with no greenlets."""
    if attempt is not None and not attempt.is_open:
        attempt = None
    yield make_stack(frame, attempt, "main thread", runs=True)
    yield from other_threads()


def other_threads() -> Iterator[Stack]:
    """All threads but the current one."""
    me = threading.get_ident()
    for ident, frame in sys._current_frames().items():
        if ident != me:
            yield make_stack(frame, None, f"thread {ident}")


def _frames(frame: FrameType | None) -> list[list[object]]:
    found: list[list[object]] = []
    for one in islice(_back(frame), MOST_FRAMES):
        code = one.f_code
        if code.co_name.startswith(TASK):
            break  # below it is the worker
        found.append([code.co_filename, one.f_lineno, code.co_name])
    return found[::-1]


def _back(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
