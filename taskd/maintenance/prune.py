"""Makes the partitions of the days to come and drops what is older than retention keeps.

Nobody waits for it: partitions are detached concurrently and dropped without waiting for readers;
what a reader holds is tried again later. A detach that waits for a long transaction is cancelled
after a while, because each try that is left behind would hold a connection of the server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from taskd.config.settings import QueueSettings, RetentionSettings
from taskd.events import Events
from taskd.maintenance.events import PartitionsMissing
from taskd.maintenance.loop import Loop
from taskd.store import audit, hosts, leaks, marks, memory, retention, statistics
from taskd.store.connect import Connection
from taskd.store.link import Link

ROUND_SECONDS = 3600.0
RETRY_SECONDS = 60.0
DETACH_SECONDS = 15.0
ALARM_DAYS = 1


class Prune:
    """The part that keeps the database within its bounds, once an hour."""

    def __init__(
        self,
        link: Link,
        settings: RetentionSettings,
        queues: dict[str, QueueSettings],
        events: Events,
    ) -> None:
        self._link = link
        self._settings = settings
        self._queues = queues
        self._events = events
        self._loop = Loop(self._link, self.step, events, patience=RETRY_SECONDS)

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._loop.start()

    def stop(self) -> None:
        """Start no further round."""
        self._loop.stop(1.0)

    def set(self, settings: RetentionSettings, queues: dict[str, QueueSettings]) -> None:
        """Take a new configuration, and go round with it now."""
        self._settings, self._queues = settings, queues
        self._loop.hurry()

    def step(self) -> float:
        """One round; the seconds until the next."""
        try:
            with self._link.connection() as connection:
                self._make_partitions(connection)
                self._describe_queues(connection)
                # What history names must be there to be named.
                keep_seconds = max(self._settings.workers, self._settings.history)
                retention.prune_records(connection, keep_seconds)
                is_done = self._drop_partitions(connection)
                statistics.thin_statistics(connection)
                memory.prune_memory(connection, self._settings.memory)
                audit.prune_audit(connection, self._settings.audit)
                marks.prune_marks(connection, keep_seconds)
                leaks.prune_leaks(connection, self._settings.memory)
        finally:
            self._link.close()
        return ROUND_SECONDS if is_done else RETRY_SECONDS

    def _make_partitions(self, connection: Connection) -> None:
        try:
            retention.make_partitions(connection, self._settings.partitions_ahead)
        except Exception:
            days = retention.partition_days_ahead(connection)
            if days < ALARM_DAYS:
                self._events.emit(PartitionsMissing(days))
            raise

    def _describe_queues(self, connection: Connection) -> None:
        described = {name: queue.description for name, queue in self._queues.items()}
        if described:
            hosts.describe_queues(connection, described)

    def _drop_partitions(self, connection: Connection) -> bool:
        """Drop what is expired; False if somebody reads one of them."""
        is_done = True
        keeps = {
            "history": self._settings.history,
            "attempt": self._settings.history,
            "result": min(self._settings.history, self._settings.results),
            "job_log": min(self._settings.history, self._settings.logs),
        }
        for parent, keep_seconds in keeps.items():
            for expired in retention.expired_partitions(connection, parent, keep_seconds):
                with cancelled_after(connection, DETACH_SECONDS):
                    is_done &= retention.drop_partition(connection, expired)
        return is_done


@contextmanager
def cancelled_after(connection: Connection, seconds: float) -> Iterator[None]:
    """Cancel the statement that still runs on a connection after so many seconds."""
    timer = threading.Timer(seconds, connection.cancel_safe)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
