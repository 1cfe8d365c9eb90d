"""One eventfd a slot: it says "look at the board and the queue", and nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence

_ONE = (1).to_bytes(8, "little")


class Wakeups:
    """The eventfds of all slots, made by the master and inherited by every process of its tree."""

    def __init__(self, fds: Sequence[int]) -> None:
        self.fds = tuple(fds)

    @classmethod
    def create(cls, slots: int) -> Wakeups:
        """Make one inheritable, non-blocking eventfd for each slot."""
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(slots)]
        for fd in fds:
            os.set_inheritable(fd, True)
        return cls(fds)

    def wake(self, slot: int) -> None:
        """Wake the worker of a slot; harmless when it is awake or gone. Never blocks."""
        try:
            os.write(self.fds[slot], _ONE)
        except BlockingIOError:
            return  # the counter is at its limit: it is as awake as it can be

    def clear(self, slot: int) -> None:
        """Take the wakeups of a slot that came so far. Never blocks."""
        try:
            os.read(self.fds[slot], 8)
        except BlockingIOError:
            return  # nobody has called
