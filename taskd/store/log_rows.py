"""What running jobs say, as values: on its way into the store, and out of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A line for the log of an attempt; at is seconds since 1970, level one of `logging`'s."""

    seq: int
    at: float
    level: int
    logger: str
    text: str


class News(NamedTuple):
    """What one attempt has said.

    progress: fraction and message, None if there is nothing new. end: None while it goes on; else
    it ends with this news, and this is the seq after its last line.
    """

    job: int
    fence: int
    attempt: int
    lines: Sequence[Line]
    progress: tuple[float, str] | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a job's log. `at` is by the worker's clock; `fence` tells attempts apart."""

    job: int
    attempt: int
    fence: int
    seq: int
    at: datetime
    level: int
    logger: str
    text: str

    @property
    def level_name(self) -> str:
        """The level as `logging` calls it, in lower case."""
        return logging.getLevelName(self.level).lower()

    def to_json_dict(self) -> dict[str, Any]:
        """What `taskd jobs logs --json` prints."""
        return {
            "job": self.job,
            "attempt": self.attempt,
            "at": self.at.isoformat(),
            "level": self.level_name,
            "logger": self.logger,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is, from 0.0 to 1.0, as it last said."""

    fraction: float
    message: str
    updated_at: datetime

    def to_json_dict(self) -> dict[str, Any]:
        """Its fields, the time as ISO 8601."""
        return {**asdict(self), "updated_at": self.updated_at.isoformat()}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines of a job to read: of one attempt's number, and at least so severe."""

    job: int
    attempt: int | None = None
    level: int = 0
