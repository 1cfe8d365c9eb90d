"""Where every greenlet of a worker stands, and for which job."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType

from greenlet import getcurrent, greenlet

from taskd.pool.slots import Slots
from taskd.pool.standing import Stack, make_stack, other_threads
from taskd.tasks.context import JobAttempt, running_attempt


class GreenletStacks:
    """Finds the greenlets of one worker: its jobs', those that they have spawned, and its own."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def all(self, frame: FrameType | None) -> Iterator[Stack]:
        """The stacks of all greenlets and threads; `frame` is the one that runs."""
        me = getcurrent()
        yield make_stack(frame, _open(running_attempt.get(None)), _name(me), runs=True)
        seats = {id(seat.greenlet): seat for seat in self._slots.seats if seat.greenlet is not None}
        for other in gc.get_objects():
            if not issubclass(type(other), greenlet) or other is me or not other.gr_frame:
                continue
            seat = seats.get(id(other))
            attempt = _open(_attempt_of(other) if seat is None else seat.attempt)
            if seat is None or attempt is not None:  # and no slot that waits for a job
                who = _name(other) if seat is None else f"slot {seat.number}"
                yield make_stack(other.gr_frame, attempt, who)
        yield from other_threads()


def _attempt_of(other: greenlet) -> JobAttempt | None:
    context = other.gr_context
    return None if context is None else context.get(running_attempt)


def _open(attempt: JobAttempt | None) -> JobAttempt | None:
    return attempt if attempt is not None and attempt.is_open else None


def _name(one: greenlet) -> str:
    return f"greenlet {type(one).__name__} {id(one):#x}"
