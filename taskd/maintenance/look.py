"""Looks for jobs that nobody was told of.

Enqueue notifies only when some host says that it is idle, and it reads that from a snapshot. A
transaction that was open while the host went idle reads "busy", commits, and wakes nobody:

    client   begin, enqueue (sees: busy) ............ commit
    host                       marks itself idle             looks: 5, 25, 125, 625 ms later

An idle host need not ask for that itself: each of its beats brings what a rescan would find.

A look asks for jobs above the marks, which costs next to nothing; a rescan asks for the first job
of every lane, so it finds new lanes and what lies behind the marks, too. It reads the dead
entries that a long transaction keeps there, so after one it pauses for 20 times as long as it took.
Where news may have been missed, as at the start, a rescan does not wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from math import inf

from taskd.clock import monotonic
from taskd.maintenance.host import ThisHost
from taskd.maintenance.wakeup import LaneNews, Marks
from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import WaitingLane

AFTER_IDLE = (0.005, 0.025, 0.125, 0.625)
POLL_SECONDS = 0.5
BUSY_RESCAN_SECONDS = 1.0
RESCAN_COST = 20


class Look:
    """The chore that looks; plans may come from any thread."""

    def __init__(
        self, host: ThisHost, is_hearing: Callable[[], bool], hurry: Callable[[], None]
    ) -> None:
        self._waker = host.waker
        self._slots = host.slots
        self._is_hearing = is_hearing
        self._hurry = hurry
        self._lock = threading.Lock()  # guards _planned and _has_missed_news
        self._planned: list[float] = []
        self._looked_at = self._rescanned_at = -inf
        self._rescan_from = -inf
        self._has_missed_news = False

    def soon(self, seconds: float = 0.0) -> None:
        """Look in so many seconds, unless a look is planned for before then."""
        at = monotonic() + seconds
        with self._lock:
            if self._planned and self._planned[0] <= at:
                return
            self._planned = sorted([*self._planned, at])
        self._hurry()

    def anew(self) -> None:
        """Rescan now, whatever the last one cost: there was news that nobody here has heard."""
        with self._lock:
            self._has_missed_news = True
        self.soon()

    def after_idle(self) -> None:
        """The host has just marked itself idle: look again for who did not see it."""
        now = monotonic()
        with self._lock:
            self._planned = sorted([*self._planned, *(now + later for later in AFTER_IDLE)])
        self._hurry()

    def due(self) -> float:
        """When to look next, on the monotonic clock."""
        with self._lock:
            planned = self._planned[0] if self._planned else inf
        if not self._is_hearing() and self._slots.has_idle():
            return min(planned, self._looked_at + POLL_SECONDS)
        if self._slots.has_jobs():
            return min(planned, max(self._rescanned_at + BUSY_RESCAN_SECONDS, self._rescan_from))
        return planned

    def run(self, connection: Connection) -> None:
        """Look once, as a rescan if the last one is long enough ago for its cost."""
        now = monotonic()
        with self._lock:
            self._planned = [at for at in self._planned if at > now]
            # Taken before it looks: more may be missed meanwhile.
            has_missed_news, self._has_missed_news = self._has_missed_news, False
        self._looked_at = now
        marks = self._waker.marks()
        try:
            found = self._find(connection, marks, has_missed_news or now >= self._rescan_from)
        except Exception:
            if has_missed_news:
                self.anew()
            self.soon()
            raise
        self.take(found, marks)

    def take(self, found: Iterable[WaitingLane], marks: Marks) -> None:
        """These lanes hold jobs; `marks` are from before that was looked. Any thread may call."""
        for lane in found:
            self._waker.jobs_found(LaneNews(lane.queue, lane.lane, lane.seq, None), marks)

    def _find(self, connection: Connection, marks: Marks, may_rescan: bool) -> list[WaitingLane]:
        if may_rescan:
            return self._rescan(connection)
        # Behind the marks only a rescan finds anything.
        self.soon(self._rescan_from - self._looked_at)
        return waiting_lanes(connection, marks)

    def _rescan(self, connection: Connection) -> list[WaitingLane]:
        began = monotonic()
        found = jobs.all_lanes(connection)
        self._rescanned_at = monotonic()
        self._rescan_from = self._rescanned_at + RESCAN_COST * (self._rescanned_at - began)
        return found


def waiting_lanes(connection: Connection, marks: Marks) -> list[WaitingLane]:
    """The lanes that hold jobs above these marks."""
    if not marks:
        return []
    queues, lanes = zip(*marks, strict=True)
    return jobs.waiting_lanes(connection, queues, lanes, list(marks.values()))
