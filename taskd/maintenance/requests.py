"""Carries out orders that clients left in the database: cancel, report, hunt, drain, stop.

A cancel stays in the table until the job's own worker takes it, so nobody's death loses it:

    request row seen -> LOOK on the worker's slot, wake it -> the worker takes the row
                        still there after 0.3 s: it cannot hear -> the master sends a signal
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf

from taskd.board import Slot
from taskd.board.layout import LOOK, PID, WORKER
from taskd.clock import monotonic
from taskd.maintenance.host import ThisHost
from taskd.store import draining, hosts
from taskd.store.connect import Connection
from taskd.store.host_rows import Request
from taskd.store.questions import KINDS

DEAF_SECONDS = 0.3
SIGNAL_AGAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptOrder:
    """What the master is asked for: interrupt this job, asked for `waited` seconds ago."""

    slot: int
    pid: int
    job: int
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOrder:
    """What the master is asked for: let this worker finish its jobs and end; `now`: not finish.

    A master that is older than this process, and does not know `now`, lets it finish within its
    pool's shutdown_timeout. An order that it does not know at all would be worse: it is lost.
    """

    slot: int
    pid: int
    now: bool = False


@dataclass(slots=True)
class _Cancel:
    """A cancel that its worker has not taken yet."""

    slot: Slot
    job: int
    since: float
    signal_at: float


class Requests:
    """The chore that reads the orders for this host."""

    def __init__(
        self,
        host: ThisHost,
        processes: Callable[[], str],
        interrupt: Callable[[InterruptOrder], None],
        hurry: Callable[[], None],
        on_questions: Callable[[], None] = lambda: None,
    ) -> None:
        self._host = host
        self._slots = host.slots
        self._processes = processes
        self._interrupt = interrupt
        self._hurry = hurry
        self.on_hunt: Callable[[str], None] = lambda pool: None
        self.on_drain: Callable[[DrainOrder], None] = lambda order: None
        self._on_questions = on_questions
        self._newest = -1
        self._due = inf
        self._cancels: dict[tuple[int, int], _Cancel] = {}

    def heard(self, newest: int) -> None:
        """The newest order's id, as a beat read it; any other than before means: look."""
        if newest != self._newest:
            self._newest = newest
            if newest:
                self.soon()

    def soon(self) -> None:
        """There are new orders. Any thread may call."""
        self._due = -inf
        self._hurry()

    def due(self) -> float:
        """When to read the orders next, on the monotonic clock."""
        return self._due

    def run(self, connection: Connection) -> None:
        """Pass on each order that is for this host."""
        self._due = inf
        try:
            workers = self._slots.workers()
            found = hosts.list_requests(connection, self._host.id, list(workers))
            if any(order.kind == "report" for order in found):
                hosts.take_reports(connection, self._host.id)
                hosts.write_report(connection, self._host.id, self._processes())
            if hunts := {order.pool for order in found if order.kind == "hunt" and order.pool}:
                hosts.take_hunts(connection, self._host.id)
                for pool in sorted(hunts):
                    self.on_hunt(pool)
            if drains := _drains(found):
                self._drain(drains, workers)
                draining.take_drains(connection, list(drains))
        except Exception:
            self._due = -inf
            raise
        if any(order.kind in KINDS for order in found):
            self._on_questions()
        self._take_over(found, workers)
        self._tell()
        if self._cancels:
            self._due = min(self._due, monotonic() + DEAF_SECONDS)

    def _drain(self, ordered: dict[int, bool], workers: dict[int, Slot]) -> None:
        for worker, now in ordered.items():
            slot = workers[worker]
            pid = slot.words[PID]
            if pid and slot.words[WORKER] == worker:  # asked last: the slot may have got another
                self.on_drain(DrainOrder(slot=slot.index, pid=pid, now=now))

    def _take_over(self, found: Iterable[Request], workers: dict[int, Slot]) -> None:
        """Keep the cancels that are still there, forget those that were taken, add the new."""
        now = monotonic()
        cancels = {}
        for order in found:
            if order.kind == "cancel" and order.worker is not None and order.job is not None:
                new = _Cancel(workers[order.worker], order.job, now, now + DEAF_SECONDS)
                key = order.worker, order.job
                cancels[key] = self._cancels.get(key, new)
        for gone in self._cancels.keys() - cancels.keys():
            cancel = self._cancels[gone]
            if cancel.slot.words[LOOK] == cancel.job:  # and not another's, who is about to begin
                cancel.slot.words[LOOK] = 0
        self._cancels = cancels

    def _tell(self) -> None:
        now = monotonic()
        for cancel in self._cancels.values():
            self._slots.tell(cancel.slot, cancel.job)
            if now >= cancel.signal_at:
                cancel.signal_at = now + SIGNAL_AGAIN_SECONDS
                pid = cancel.slot.words[PID]
                self._interrupt(
                    InterruptOrder(
                        slot=cancel.slot.index, pid=pid, job=cancel.job, waited=now - cancel.since
                    )
                )


def _drains(found: Iterable[Request]) -> dict[int, bool]:
    """The workers that are to end, and whether they are to do so now."""
    drains: dict[int, bool] = {}
    for order in found:
        if order.kind in ("drain", "stop") and order.worker is not None:
            drains[order.worker] = drains.get(order.worker, False) or order.kind == "stop"
    return drains
