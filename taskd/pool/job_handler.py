"""Takes what jobs say through `logging` to their own logs."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from taskd.config.sections import JobLogLevel, LogSettings
from taskd.logs import text_of
from taskd.pool.journal import Journal
from taskd.tasks.context import JobAttempt, running_attempt
from taskd.tasks.failure import storable

MAX_LINE, MAX_LOGGER = 8_000, 200
"""Longer ones lose their middle, in characters."""

_MOST_SECONDS = 4e9
_HIGHEST_LEVEL = 2**15 - 1

FindAttempt = Callable[[], "JobAttempt | None"]


class JobLogHandler(logging.Handler):
    """Writes each record into the log of the job whose code logs it, and nothing for others.

    The job is known by its context: in its greenlets too, and in their threads as far as gevent
    has patched them. `otherwise` finds it where there is no such context.
    """

    def __init__(self, journal: Journal, limit: int, otherwise: FindAttempt = lambda: None) -> None:
        super().__init__()
        self._journal = journal
        self._max_line = min(MAX_LINE, limit // 8)
        self._otherwise = otherwise

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record. Lets nothing through but what ends the job, such as its timeout."""
        attempt = running_attempt.get(None) or self._otherwise()
        if attempt is not None and self._journal.hears(attempt):
            try:
                self._take(attempt, record)
            except Exception:  # a record may be of any class that the users' code has made
                self.handleError(record)

    def _take(self, attempt: JobAttempt, record: logging.LogRecord) -> None:
        self._journal.line(
            attempt,
            record.created if 0 <= record.created < _MOST_SECONDS else time.time(),
            min(max(0, int(record.levelno)), _HIGHEST_LEVEL),
            storable(str(record.name), MAX_LOGGER),
            storable(text_of(record), self._max_line),
        )

    def stay(self) -> None:
        """Come back after code of a job has configured `logging` anew, and taken this out."""
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)


def install(
    journal: Journal, choices: LogSettings, otherwise: FindAttempt = lambda: None
) -> JobLogHandler:
    """Let what jobs of this process log land on them, as far as the settings want it.

    Call it after `logs.install`.
    """
    handler = JobLogHandler(journal, choices.job_bytes, otherwise)
    is_off = choices.job_level is JobLogLevel.OFF
    handler.setLevel(sys.maxsize if is_off else choices.job_level.upper())
    root = logging.getLogger()
    root.addHandler(handler)
    if handler.level < root.level:
        root.setLevel(handler.level)
    return handler
