"""What one attempt has said and the database does not have yet, within a bound.

    first lines ─► the head: stored as they come, until three quarters of the limit are used up
    later lines ─► the tail: a ring of the last quarter, stored when the attempt ends
    in between     counted, and told by one line where they would stand

The beginning says where it started, the end what went wrong; a job that logs without end costs the
memory of its ring and no more.
"""

from __future__ import annotations

import logging
from collections import deque

from taskd.store.log_rows import Line, News
from taskd.tasks.context import JobAttempt

LINE_BYTES = 100
"""What a line counts beside its text: about what it takes in memory and on disk."""

PROGRESS_SECONDS = 1.0
OWN_LOGGER = "taskd"


def size_of(line: Line) -> int:
    """What a line counts, in bytes."""
    text = line.text
    return LINE_BYTES + (len(text) if text.isascii() else len(text.encode()))


class AttemptLog:
    """The lines and the progress of one attempt, until they are stored.

    What goes next is asked with `news`; whoever has stored it calls `stored`. More may be said
    meanwhile.
    """

    __slots__ = (
        "_at",
        "_gap_seq",
        "_head_room",
        "_is_told",
        "_left_out",
        "_left_out_bytes",
        "_progress",
        "_progress_at",
        "_seq",
        "_tail",
        "_tail_bytes",
        "_tail_limit",
        "_waiting",
        "attempt",
        "is_complete",
        "waiting_bytes",
    )

    def __init__(self, attempt: JobAttempt, limit: int) -> None:
        self.attempt = attempt
        self.is_complete = False
        self.waiting_bytes = 0
        self._waiting: list[Line] = []
        self._seq = 0
        self._at = 0.0
        self._head_room = limit - limit // 4
        self._tail: deque[Line] = deque()
        self._tail_bytes = 0
        self._tail_limit = limit // 4
        self._gap_seq: int | None = None  # kept free for the line that tells what was left out
        self._left_out = 0
        self._left_out_bytes = 0
        self._progress: tuple[float, str] | None = None
        self._progress_at = float("-inf")
        self._is_told = True

    def write(self, at: float, level: int, logger: str, text: str, *, may_wait: bool) -> None:
        """Take a line; unless it `may_wait`, the head leaves it out."""
        self._seq += 1
        self._at = at
        line = Line(self._seq, at, level, logger, text)
        size = size_of(line)
        if self._gap_seq is not None or size > self._head_room:
            self._put_into_tail(line, size)
        elif may_wait:
            self._head_room -= size
            self._put(line, size)
        else:
            self._leave_out(size)

    def say_progress(self, fraction: float, message: str) -> None:
        """Take how far the attempt is."""
        self._progress = (fraction, message)
        self._is_told = False

    def due_at(self, next_flush: float) -> float | None:
        """When something of this is to be stored, by the clock of `next_flush`; None: nothing is.

        Lines go with the next flush, progress as well, but not more often than once a second.
        """
        if self._waiting:
            return next_flush
        return None if self._is_told else max(next_flush, self._progress_at + PROGRESS_SECONDS)

    def complete(self, *, may_wait: bool) -> None:
        """The attempt has ended: what is left of it goes next. Completing twice is harmless."""
        if self.is_complete:
            return
        self.is_complete = True
        while self._tail and not may_wait:
            self._leave_out(size_of(self._tail.popleft()))
        if self._left_out:
            self._put_own(self._gap_seq or self._seq + 1, self._gap_text())
            self._seq += 1
        while self._tail:
            line = self._tail.popleft()
            self._put(line, size_of(line))

    def news(self, now: float, most: int) -> News:
        """What is to be stored now, at most so many lines."""
        attempt, lines = self.attempt, self._waiting[:most]
        is_last = self.is_complete and len(lines) == len(self._waiting)
        is_due = not self._is_told and now >= self._progress_at + PROGRESS_SECONDS
        return News(
            attempt.id,
            attempt.fence,
            attempt.number,
            lines,
            self._progress if is_last or is_due else None,
            self._seq + 1 if is_last else None,
        )

    def stored(self, news: News, now: float) -> None:
        """Let go of what is stored."""
        del self._waiting[: len(news.lines)]
        self.waiting_bytes -= sum(map(size_of, news.lines))
        if news.progress is not None:
            self._progress_at = now
            self._is_told = self._progress is news.progress

    def _put(self, line: Line, size: int) -> None:
        self._waiting.append(line)
        self.waiting_bytes += size

    def _put_own(self, seq: int, text: str) -> None:
        line = Line(seq, self._at, logging.WARNING, OWN_LOGGER, text)
        self._put(line, size_of(line))

    def _put_into_tail(self, line: Line, size: int) -> None:
        if self._gap_seq is None:
            self._put_own(self._seq, self._full_text())
            self._gap_seq = self._seq + 1
            self._seq += 2
            line = line._replace(seq=self._seq)
        self._tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > self._tail_limit:
            gone = size_of(self._tail.popleft())
            self._tail_bytes -= gone
            self._leave_out(gone)

    def _leave_out(self, size: int) -> None:
        self._left_out += 1
        self._left_out_bytes += size - LINE_BYTES

    def _full_text(self) -> str:
        return (
            f"(the log is full: of what follows the last {self._tail_limit:,} bytes are kept, and "
            "shown when the attempt ends)"
        )

    def _gap_text(self) -> str:
        lines = "line was" if self._left_out == 1 else "lines were"
        return f"({self._left_out:,} {lines} left out here, {self._left_out_bytes:,} bytes)"
