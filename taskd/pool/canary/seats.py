"""Runs the jobs of a canary's seats, each between two lines of the ledger."""

from __future__ import annotations

from taskd.pool.canary.bird import Canary
from taskd.pool.claims import Row
from taskd.pool.outbox import Outbox
from taskd.pool.slots import RunsJobs, Seat


class TracedSeats:
    """Stands around what runs a job."""

    def __init__(self, inner: RunsJobs, canary: Canary, outbox: Outbox) -> None:
        self._inner = inner
        self._canary = canary
        self._outbox = outbox

    def run(self, seat: Seat, row: Row) -> float:
        """Run a job and count what it leaves behind, but for its outcome."""
        cohort = self._canary.begin(row[3], row[7])
        try:
            return cohort.call(self._inner.run, seat, row)
        finally:
            self._canary.end(row[3], cohort, self._outbox)

    def fail(self, row: Row, fault: BaseException) -> None:
        """Put the outcome of one whose run raised there."""
        self._inner.fail(row, fault)
