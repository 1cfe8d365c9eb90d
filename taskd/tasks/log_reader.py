"""Reading a job's log, from its beginning on, and on as it grows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from taskd.errors import OptionInvalid
from taskd.store.log_rows import LogFilter, LogLine

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

LEVELS = ("debug", "info", "warning", "error", "critical")
PAGE = 1000
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
_PAUSE_GROWTH = 1.5

ReadPage = Callable[[LogFilter, tuple[int, int]], list[LogLine]]
"""Gives the next lines behind a position, at most PAGE."""


def read_page(
    connection: AnyConnection, wanted: LogFilter, after: tuple[int, int]
) -> list[LogLine]:
    """The next lines behind a position, as the store has them."""
    from taskd.store.logs import read_log

    return read_log(connection, wanted, after, PAGE)


def make_filter(job: int, attempt: object = None, level: object = "debug") -> LogFilter:
    """Which lines to read. Raises OptionInvalid for what no attempt and no level can be."""
    if attempt is not None and not (
        isinstance(attempt, int) and not isinstance(attempt, bool) and attempt >= 1
    ):
        raise OptionInvalid("attempt", attempt, "is not the number of an attempt, from 1 on")
    if level not in LEVELS:
        raise OptionInvalid("level", level, f"is not one of {', '.join(LEVELS)}")
    return LogFilter(job, attempt, logging.getLevelNamesMapping()[str(level).upper()])


class LogReader:
    """Gives the lines of one job's log in their order, each once."""

    def __init__(self, read: ReadPage, wanted: LogFilter) -> None:
        self._read = read
        self._wanted = wanted
        self._position = (0, 0)

    def lines(self) -> Iterator[LogLine]:
        """The lines that have come since the last call."""
        while page := self._read(self._wanted, self._position):
            self._position = page[-1].fence, page[-1].seq
            yield from page
            if len(page) < PAGE:
                return

    def follow(self, has_ended: Callable[[], bool]) -> Iterator[LogLine]:
        """All lines until the job has ended; waits for more in between."""
        pause = FIRST_PAUSE
        while True:
            is_last = has_ended()  # asked first: the log is whole when the job's state is final
            came = False
            for line in self.lines():
                came = True
                yield line
            if is_last:
                return
            pause = FIRST_PAUSE if came else min(pause * _PAUSE_GROWTH, LONGEST_PAUSE)
            time.sleep(pause)
