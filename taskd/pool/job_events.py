"""What workers tell of jobs that fail; how all others end can be read in the database."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from taskd.events import Event

_LONGEST_ERROR = 300


def _short(error: str) -> str:
    """The first line of an error, cut if it is long, with nothing in it that terminals obey."""
    first, more, _ = error.partition("\n")
    ellipsis = " …" if more else ""
    if len(first) > _LONGEST_ERROR:
        first, ellipsis = first[: _LONGEST_ERROR - 1], "…"
    return "".join(c if c.isprintable() else " " for c in first) + ellipsis


@dataclass(frozen=True, slots=True)
class JobFailed(Event):
    """A job has failed for good; its traceback is in the database."""

    level: ClassVar[int] = logging.WARNING
    job: int
    task: str
    error: str

    def __str__(self) -> str:
        return f"job {self.job} ({self.task}) failed: {_short(self.error)}"


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """An attempt has failed, and another follows after `delay` seconds."""

    job: int
    task: str
    attempt: int
    max_attempts: int
    delay: float
    error: str

    def __str__(self) -> str:
        return (
            f"job {self.job} ({self.task}) failed in attempt {self.attempt} of "
            f"{self.max_attempts}, once more in {self.delay:.1f} s: {_short(self.error)}"
        )
