"""What the master has to tell of jobs that hold up others, or do not end."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.events import Event

ADVICE = "work that computes belongs into a process pool"


class HubBlocked(Event):
    """A greenlet worker's jobs were held up by one that computes; `job` 0: by none of them.

    `earlier` times it was the same, and not told.
    """

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    job: int
    task: str
    place: str
    seconds: float
    earlier: int = 0

    def __str__(self) -> str:
        who = f"job {self.job} ({self.task})" if self.job else "something that is no job of its own"
        where = f", at {self.place}" if self.place else ""
        often = f" (and {self.earlier} times before)" if self.earlier else ""
        return (
            f"{self.pool}/{self.slot}: {who} has let no other job run for {self.seconds:.1f} s"
            f"{often}{where}: {ADVICE}"
        )


class HubTurnsAgain(Event):
    """What was told of has ended."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: its jobs go on, after {self.seconds:.1f} s"


class JobBroken(Event):
    """A job that computes and lets no other run is ended; `why` is TIMEOUT, CANCEL or HOG."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    job: int
    task: str
    place: str
    why: str
    seconds: float

    def __str__(self) -> str:
        reasons = {"TIMEOUT": "it is over its timeout and", "CANCEL": "it is cancelled and"}
        return (
            f"{self.pool}/{self.slot}: job {self.job} ({self.task}) is to end: "
            f"{reasons.get(self.why, 'it')} has let no other job run for {self.seconds:.1f} s, "
            f"at {self.place}"
        )


class StackTold(Event):
    """Where a job stood when its worker was killed for it."""

    level: ClassVar[int] = logging.WARNING
    pool: str
    slot: int
    job: int
    stack: str

    def __str__(self) -> str:
        who = f"job {self.job}" if self.job else "it"
        return f"{self.pool}/{self.slot}: {who} stood here:\n{self.stack}"


class NeighboursTold(Event):
    """Where the other jobs of a killed worker had switched last; they go back uncharged."""

    pool: str
    slot: int
    stacks: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot}: its other jobs waited here:\n{self.stacks}"
