"""How the daemon ends: why, how urgently, in which order, and with which exit status."""

from __future__ import annotations

from collections.abc import Sequence

from taskd.clock import monotonic
from taskd.events import Events
from taskd.supervisor.dashboard import Dashboard
from taskd.supervisor.events import Fatal, Said, Stopped, Stops
from taskd.supervisor.nursery import Nursery
from taskd.supervisor.plan import Urgency
from taskd.supervisor.steward import Steward

GOODBYE_SECONDS = 15.0
LEAVE_SECONDS = 2.0

_INTERRUPTED = {
    Urgency.DRAIN: "interrupted: no new jobs are claimed, what runs may finish "
    "(once more: it is given back; a third time: killed)",
    Urgency.INTERRUPT: "interrupted again: what runs is given back",
    Urgency.KILL: "interrupted a third time: what runs is killed",
}


class Shutdown:
    """The end of the daemon, from the first reason for it on; it only grows more urgent."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told_at: float | None = None
        self._goodbye_until: float | None = None
        self.urgency = Urgency.NONE
        self.exit_status = 0
        self.is_complete = False

    @property
    def is_under_way(self) -> bool:
        """Whether there has been a reason to end."""
        return self.urgency is not Urgency.NONE

    # -- reasons ----------------------------------------------------------------------------------

    def stop(self, why: str, urgency: Urgency) -> None:
        """End as urgently as this, unless it is more urgent already."""
        if urgency > self.urgency:
            self._told_at = self._told_at or monotonic()
            self.urgency = urgency
            self._events.emit(Stops(why))

    def interrupt(self) -> None:
        """End, each time that this is called more urgently: Ctrl-C."""
        urgency = Urgency(min(self.urgency + 1, Urgency.KILL))
        self.stop(_INTERRUPTED[urgency], urgency)

    def end_burst(self, failed: int, left: Sequence[str]) -> None:
        """End because all is done that a burst waits for; `left` is what it does not wait for."""
        for line in left:
            self._events.emit(Said(f"left: {line}"))
        outcome = f"{failed} failed" if failed else "nothing failed"
        self.exit_status = max(self.exit_status, 1 if failed else 0)
        self.stop(f"the queues are drained, {outcome}", Urgency.DRAIN)

    def fail(self, error: str) -> None:
        """End because the daemon cannot do its work; only the first error is told."""
        if self.exit_status == 0:
            self._events.emit(Fatal(error))
        self.exit_status = 1
        self.urgency = max(self.urgency, Urgency.DRAIN)

    # -- the end ----------------------------------------------------------------------------------

    def wind_down(self, steward: Steward, nursery: Nursery, dashboard: Dashboard) -> None:
        """Once all workers have ended: maintenance ends, and after it all others."""
        now = monotonic()
        if self._goodbye_until is None:
            self._goodbye_until = now + GOODBYE_SECONDS
        steward.stop()
        if steward.process is None or now > self._goodbye_until:
            nursery.stop()
            dashboard.stop()
            self._goodbye_until = min(self._goodbye_until, now + LEAVE_SECONDS)
            self.is_complete = (nursery.is_empty and dashboard.is_gone) or now > self._goodbye_until

    def tell_stopped(self) -> None:
        """Say how long it took, if the daemon was told to end."""
        if self._told_at is not None:
            self._events.emit(Stopped(monotonic() - self._told_at))
