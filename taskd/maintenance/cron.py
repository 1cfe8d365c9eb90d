"""Enqueues the jobs of schedules when their slots have come.

    every host     sleeps until the first slot that it knows of      (each beat tells)
                   reads what is due, and since when, by the database's clock
                   computes the next slot
                   "if next_at still is 03:00, enqueue its job and make it 03:00 tomorrow"
    the first one  does both in one transaction; all others find another next_at and do nothing

So no host leads, none is waited for, and no clocks of two machines are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING

from taskd.clock import monotonic
from taskd.errors import ArgumentsMismatch, OptionInvalid
from taskd.events import Event
from taskd.maintenance.host import ThisHost
from taskd.maintenance.loop import Backoff
from taskd.maintenance.schedule_events import (
    ScheduleUnusable,
    SlotFired,
    SlotSkipped,
    SlotsMissed,
)
from taskd.store import schedules
from taskd.store.connect import Connection
from taskd.store.schedule_rows import DueSchedule
from taskd.store.tasks import find_task
from taskd.tasks.definition import job_of

if TYPE_CHECKING:
    from taskd.tasks.catch_up import Verdict

LEAST_SECONDS = 0.01
"""Our clock may run a little ahead of the database's: do not ask in vain again at once."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0


class Schedules:
    """The chore that fires what is due."""

    def __init__(
        self, host: ThisHost, hurry: Callable[[], None], settle: Callable[[], None]
    ) -> None:
        self._events = host.events
        self._hurry = hurry
        self._settle = settle
        self._due = inf
        self._not_before = -inf
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._told: set[tuple[str, int]] = set()

    def due_in(self, seconds: float) -> None:
        """A slot is due in so many seconds (negative: overdue). Any thread may call."""
        at = monotonic() + seconds
        if at < self._due:
            self._due = at
            self._hurry()

    def soon(self) -> None:
        """Some schedule is another than before. Any thread may call."""
        self.due_in(-inf)

    def due(self) -> float:
        """When the first slot is due, on the monotonic clock."""
        return max(self._due, self._not_before)

    def run(self, connection: Connection) -> None:
        """Fire all that is due, and learn when the next slot is."""
        self._due = inf
        try:
            due = schedules.due_schedules(connection)
            fired = sum([self._fire(connection, one) for one in due])
            seconds = schedules.next_slot(connection)
        except Exception:
            self.soon()
            raise
        if seconds is not None:
            self.due_in(max(seconds, LEAST_SECONDS))
        if fired or not due:
            self._backoff.reset()
        else:  # another host is at it, or nobody wants it any more: do not spin until that is done
            self._not_before = monotonic() + self._backoff.next()
            self._settle()

    def _fire(self, connection: Connection, one: DueSchedule) -> bool:
        """Fire one schedule; whether it was this host that did."""
        from taskd.tasks.catch_up import judge  # only who has a schedule pays for it

        try:
            verdict = judge(one)
            new = job_of(one, find_task(connection, one.task))
        except (
            OptionInvalid,
            ArgumentsMismatch,
        ) as error:  # what only other hosts know, or a misfit
            self._complain(one, str(error))
            return False
        jobs = schedules.fire_schedule(connection, one, new, verdict.firing)
        if jobs is None:
            return False
        for event in stories(one, verdict, tuple(jobs)):
            self._events.emit(event)
        return True

    def _complain(self, one: DueSchedule, reason: str) -> None:
        if (one.name, one.definition) not in self._told:
            self._told.add((one.name, one.definition))
            self._events.emit(ScheduleUnusable(one.name, reason))


def stories(one: DueSchedule, verdict: Verdict, jobs: tuple[int, ...]) -> Iterator[Event]:
    """What there is to tell of a schedule that has been fired; jobs as `enqueue_graph` has them."""
    slot = verdict.firing.last
    new = tuple(job for job in jobs if job > 0)
    if verdict.is_late:
        yield SlotsMissed(one.name, one.next_at, len(new), verdict.catch_up)
    if new:
        yield SlotFired(one.name, slot, new)
    elif jobs:
        yield SlotSkipped(one.name, slot, f"job {-jobs[-1]} holds its unique key")
    elif verdict.firing.slots:
        yield SlotSkipped(one.name, slot, "its last job has not ended (overlap: skip)")
