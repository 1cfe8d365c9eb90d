"""What maintenance has to tell."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.config.units import span
from taskd.events import Event, counted


def _outcome(given_back: int, failed: int) -> str:
    back, bad = counted(given_back, "job"), counted(failed, "job")
    if not failed:
        return f"{back} went back"
    return f"{back} went back, {bad} failed for it" if given_back else f"{bad} failed for it"


class PartFailed(Event):
    """A part of maintenance raised what it should not; it goes on."""

    level: ClassVar[int] = logging.ERROR
    part: str
    traceback: str

    def __str__(self) -> str:
        return f"maintenance: {self.part} failed and will try again\n{self.traceback}"


class DatabaseLost(Event):
    """No beat went through; told once an outage."""

    level: ClassVar[int] = logging.WARNING
    error: str

    def __str__(self) -> str:
        return f"lost the database, trying again: {self.error}"


class DatabaseBack(Event):
    """The first beat after an outage."""

    seconds: float

    def __str__(self) -> str:
        return f"the database is back after {self.seconds:.1f} s"


class LeaseLost(Event):
    """Other hosts have taken this one for dead and given its jobs back."""

    level: ClassVar[int] = logging.WARNING
    old: int
    new: int

    def __str__(self) -> str:
        return (
            f"other hosts took this host ({self.old}) for dead and gave its jobs back; "
            f"it goes on as host {self.new}"
        )


class HostRescued(Event):
    """A dead host's jobs are back in their queues."""

    level: ClassVar[int] = logging.WARNING
    host: int
    reason: str
    given_back: int
    failed: int

    def __str__(self) -> str:
        outcome = _outcome(self.given_back, self.failed)
        return f"host {self.host} is dead ({self.reason}): {outcome}"


class WorkerRescued(Event):
    """A dead worker's jobs are back in their queues."""

    workers: tuple[int, ...]
    reason: str
    given_back: int
    failed: int

    def __str__(self) -> str:
        ids = ", ".join(map(str, self.workers))
        outcome = _outcome(self.given_back, self.failed)
        return f"worker {ids} is gone ({self.reason}): {outcome}"


class ListeningFailed(Event):
    """Notifications do not arrive, so the queue is polled; told once until they do."""

    level: ClassVar[int] = logging.WARNING
    reason: str

    def __str__(self) -> str:
        return f"not listening, polling instead: {self.reason}"


class ListeningAgain(Event):
    """Notifications arrive again."""

    def __str__(self) -> str:
        return "listening again"


class LaneLeftOut(Event):
    """A lane has no place on the board, so its jobs are not claimed here."""

    level: ClassVar[int] = logging.ERROR
    queue: str
    reason: str

    def __str__(self) -> str:
        return f"queue {self.queue!r} is not served: {self.reason}"


class PartitionsMissing(Event):
    """History will soon have nowhere to go."""

    level: ClassVar[int] = logging.ERROR
    days: int

    def __str__(self) -> str:
        return f"history has partitions for only {self.days} days ahead, and none can be made"


class QueueStalled(Event):
    """Jobs could run, slots are free, and nothing begins; told once until it does."""

    level: ClassVar[int] = logging.WARNING
    queue: str
    requires: str | None
    jobs: int
    free_slots: int
    seconds: float
    because: str
    remedy: str
    text: str

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"


class QueueMoves(Event):
    """A queue that stalled does so no more: jobs begin, none wait, or all slots are taken."""

    queue: str
    requires: str | None
    seconds: float

    def __str__(self) -> str:
        name = self.queue if self.requires is None else f"{self.queue} ({self.requires})"
        return f"queue {name} stalls no more, after {span(self.seconds)}"


class EmbeddedServerDown(Event):
    """The embedded PostgreSQL did not start again."""

    level: ClassVar[int] = logging.ERROR
    error: str

    def __str__(self) -> str:
        return f"the embedded PostgreSQL does not start again: {self.error}"


class HostNotEnded(Event):
    """The database was away when the daemon stopped."""

    level: ClassVar[int] = logging.WARNING
    host: int
    error: str

    def __str__(self) -> str:
        return (
            f"could not say goodbye as host {self.host} ({self.error}); "
            "the next start, or another host, gives back what it held"
        )


class UnknownOrder(Event):
    """The master said something that this version does not know."""

    level: ClassVar[int] = logging.WARNING
    op: str

    def __str__(self) -> str:
        return f"maintenance does not know the order {self.op!r}"
