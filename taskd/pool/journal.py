"""What the jobs of one worker say while they run, on its way to the database.

    logging in a job ──► JobLogHandler ──┐
    current_job().progress(…) ───────────┴──► journal ── flush ──► job_log, progress

Whoever says something never waits for the database: the journal takes it, within its bounds, and
calls `on_said`. The reporter flushes it: what ended attempts have said goes before their ends are
recorded, so that a log is whole when its job's state is final; what others have said goes twice a
second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from taskd.clock import monotonic
from taskd.events import Events
from taskd.pool.attempt_log import AttemptLog
from taskd.pool.events import LogNotStored
from taskd.pool.outbox import with_partitions
from taskd.store.connect import UNAVAILABLE, Connection
from taskd.store.log_rows import News
from taskd.store.logs import write_journal
from taskd.tasks.context import JobAttempt

FLUSH_SECONDS = 0.5

MOST_BYTES = 8 * 1024**2
"""While so much waits in memory, new lines are left out: the database is away."""

MOST_LINES, MOST_ATTEMPTS = 1000, 500
"""In one statement."""


class Journal:
    """The journal of one worker; of each attempt's log it keeps `limit` bytes.

    Threads and greenlets may use it together. In a forked child of its process it takes nothing:
    the parent would tell the same again.
    """

    def __init__(
        self, name: str, limit: int, events: Events, clock: Callable[[], float] = monotonic
    ) -> None:
        self.on_said: Callable[[], object] = lambda: None
        self._name = name
        self._limit = limit
        self._events = events
        self._clock = clock
        self._pid = os.getpid()
        self._logs: dict[int, AttemptLog] = {}  # by fence
        self._extended: set[int] = set()  # fences of attempts that failure handlers speak for
        self._bytes = 0  # what waits in them
        self._flushed_at = float("-inf")
        self._flushing = threading.Lock()  # held by who takes from the logs
        self._is_unsure = False

    def line(self, attempt: JobAttempt, at: float, level: int, logger: str, text: str) -> None:
        """Take a line for the log of an attempt, if it `hears` it."""
        log = self._log_of(attempt)
        if log is not None:
            before = log.waiting_bytes
            log.write(at, level, logger, text, may_wait=self._bytes < MOST_BYTES)
            self._bytes += log.waiting_bytes - before
            self.on_said()

    def progress(self, attempt: JobAttempt, fraction: float, message: str) -> None:
        """Take how far an attempt is, if it `hears` it."""
        log = self._log_of(attempt)
        if log is not None:
            log.say_progress(fraction, message)
            self.on_said()

    @contextmanager
    def extended(self, attempt: JobAttempt) -> Iterator[None]:
        """Take what is said for an attempt until the block ends, though its task has ended."""
        self._extended.add(attempt.fence)
        try:
            yield
        finally:
            self._extended.discard(attempt.fence)

    def hears(self, attempt: JobAttempt) -> bool:
        """Whether what is said for an attempt is taken: its task runs, or it is extended."""
        return attempt.is_open or attempt.fence in self._extended

    def pause(self) -> float | None:
        """In how many seconds to flush, if no attempt ends before; None: nothing waits."""
        logs = list(self._logs.values())
        if not all(self.hears(log.attempt) for log in logs):
            return 0.0
        next_flush = self._flushed_at + FLUSH_SECONDS
        due = [at for log in logs if (at := log.due_at(next_flush)) is not None]
        return min(max(0.0, min(due) - self._clock()), FLUSH_SECONDS) if due else None

    def flush(self, connection: Connection, worker: int, *, at_once: bool = False) -> None:
        """Store all that ended attempts have said, and what is due of the others.

        `at_once`: their lines are due now. Blocks. Raises what a server in trouble raises, and
        keeps everything then.
        """
        if not self._logs:
            return
        with self._flushing:
            next_flush = float("-inf") if at_once else self._flushed_at + FLUSH_SECONDS
            self._flush_ended(connection, worker)
            self._flush_running(connection, worker, next_flush)
            self._bytes = sum(log.waiting_bytes for log in list(self._logs.values()))

    def _log_of(self, attempt: JobAttempt) -> AttemptLog | None:
        if not self.hears(attempt) or os.getpid() != self._pid:
            return None
        log = self._logs.get(attempt.fence)
        if log is None:
            log = self._logs[attempt.fence] = AttemptLog(attempt, self._limit)
        return log

    def _flush_ended(self, connection: Connection, worker: int) -> None:
        ended = [log for log in list(self._logs.values()) if not self.hears(log.attempt)]
        for log in ended:
            log.complete(may_wait=self._bytes < MOST_BYTES)
        while ended:
            self._write(connection, worker, _batch(ended, self._clock(), MOST_LINES))
            ended = [log for log in ended if log.attempt.fence in self._logs]

    def _flush_running(self, connection: Connection, worker: int, next_flush: float) -> None:
        now = self._clock()
        due = [log for log in list(self._logs.values()) if self._is_due(log, next_flush, now)]
        if due:
            self._flushed_at = now
            self._write(connection, worker, _batch(due, now, max(1, MOST_LINES // len(due))))

    def _is_due(self, log: AttemptLog, next_flush: float, now: float) -> bool:
        due = log.due_at(next_flush)
        return due is not None and due <= now and self.hears(log.attempt)

    def _write(
        self, connection: Connection, worker: int, batch: list[tuple[AttemptLog, News]]
    ) -> None:
        again, self._is_unsure = self._is_unsure, True
        lost = self._store(connection, worker, [news for _, news in batch], again)
        self._is_unsure = False
        now = self._clock()
        for log, news in batch:
            log.stored(news, now)
            if news.fence in lost:
                log.attempt.journal = None  # somebody else has the job: what this one says is void
            if news.fence in lost or news.end is not None:
                self._logs.pop(news.fence, None)

    def _store(
        self, connection: Connection, worker: int, news: list[News], again: bool
    ) -> list[int]:
        """Store news; the fences that are somebody else's. What the database refuses is dropped."""
        try:
            return with_partitions(
                connection, lambda: write_journal(connection, worker, news, again=again)
            )
        except UNAVAILABLE:
            raise
        except (psycopg.Error, UnicodeError) as refusal:  # outcomes must not wait for log lines
            jobs = tuple(one.job for one in news)
            self._events.emit(LogNotStored(self._name, jobs, str(refusal)))
            return []


def _batch(logs: list[AttemptLog], now: float, share: int) -> list[tuple[AttemptLog, News]]:
    """What one statement takes of these logs, from the first on, at most `share` lines of each."""
    batch = []
    room = MOST_LINES
    for log in logs[:MOST_ATTEMPTS]:
        news = log.news(now, min(share, room))
        batch.append((log, news))
        room -= len(news.lines)
        if not room:
            break
    return batch
