"""What workers tell of jobs: of each that fails, and at debug of how all others end, too."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.events import Event, counted

_LONGEST_ERROR = 300


def _short(error: str) -> str:
    """The first line of an error, cut if it is long, with nothing in it that terminals obey."""
    first, more, _ = error.partition("\n")
    ellipsis = " …" if more else ""
    if len(first) > _LONGEST_ERROR:
        first, ellipsis = first[: _LONGEST_ERROR - 1], "…"
    return "".join(c if c.isprintable() else " " for c in first) + ellipsis


class JobFailed(Event):
    """A job has failed for good; its traceback is in the database."""

    level: ClassVar[int] = logging.WARNING
    job: int
    task: str
    queue: str
    attempt: int
    error: str

    def __str__(self) -> str:
        return f"job {self.job} ({self.task}) failed: {_short(self.error)}"


class MoreJobsFailed(Event):
    """So many jobs of a task failed for good since its last line; `job` is the last of them."""

    level: ClassVar[int] = logging.WARNING
    count: int
    task: str
    job: int
    error: str

    def __str__(self) -> str:
        jobs = counted(self.count, "more job")
        return f"{jobs} ({self.task}) failed, the last was job {self.job}: {_short(self.error)}"


class AttemptFailed(Event):
    """An attempt has failed, and another follows after `delay` seconds."""

    job: int
    task: str
    queue: str
    attempt: int
    max_attempts: int
    delay: float
    error: str

    def __str__(self) -> str:
        return (
            f"job {self.job} ({self.task}) failed in attempt {self.attempt} of "
            f"{self.max_attempts}, once more in {self.delay:.1f} s: {_short(self.error)}"
        )


class MoreAttemptsFailed(Event):
    """So many attempts of a task failed since its last line; `job` is the last one's."""

    count: int
    task: str
    job: int
    error: str

    def __str__(self) -> str:
        attempts = counted(self.count, "more attempt")
        return f"{attempts} ({self.task}) failed, the last of job {self.job}: {_short(self.error)}"


class RaisedAfterEnd(Event):
    """A job ended itself in its own transaction, which stands; what it raised after it is lost."""

    level: ClassVar[int] = logging.WARNING
    job: int
    task: str
    queue: str
    attempt: int
    error: str

    def __str__(self) -> str:
        return (
            f"job {self.job} ({self.task}) raised after its own transaction had ended it, which "
            f"changes nothing: {_short(self.error)}"
        )


class AttemptEnded(Event):
    """An attempt is over, however it ended."""

    level: ClassVar[int] = logging.DEBUG
    job: int
    task: str
    queue: str
    attempt: int
    seconds: float
    outcome: str

    def __str__(self) -> str:
        return (
            f"job {self.job} ({self.task}, queue {self.queue}), attempt {self.attempt}: "
            f"{self.outcome} after {self.seconds:.3f} s"
        )
