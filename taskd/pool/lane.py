"""One lane as a worker knows it, with its low-water mark.

A mark says: up to here everything that I could see is claimed. Numbers are given out before their
transactions commit, so a commit can come slightly out of order, behind a mark:

    seq 6 commits, is claimed: mark = 6      seq 5 commits now: invisible from the mark

While a lane yields, claims start at the mark. A lane found dry is looked at from where the mark
stood at least TRAIL seconds ago, until a look as long after its last move finds nothing. What comes
later still is maintenance's to find: it lowers the lane's floor and counts its epoch up.
"""

from __future__ import annotations

from taskd.board import Lane, Slot, priority_of
from taskd.config.versions import read_part

PROBE_SECONDS = 0.03
"""A lane that was found dry is left out of claims for so long, unless somebody calls."""

TRAIL_SECONDS = 0.1
"""How late a commit may come and still be found by the claimers themselves."""


class KnownLane:
    """What a worker remembers of a lane. Times are monotonic seconds.

    `part` is what its jobs have for a queue, `queue` the one that it is a part of; `priority`
    is by what it goes before others of that.
    """

    __slots__ = (
        "_epochs", "_marks", "_moved_at", "_step", "_step_at", "_trail", "dry", "dry_until",
        "index", "number", "part", "paused", "priority",
        "queue",
    )  # fmt: skip

    def __init__(self, lane: Lane, slot: Slot) -> None:
        self.index, self.part, self.number = lane.index, lane.queue, lane.number
        self.priority = priority_of(lane.number)
        self.queue = read_part(lane.queue).queue
        self.dry = False
        self.dry_until = 0.0
        self._marks, self._epochs = slot.marks, slot.epochs
        self._trail = self._step = self.mark
        self._step_at = self._moved_at = 0.0
        self.learn(lane)  # its last worker may have died before it looked

    @property
    def mark(self) -> int:
        """The low-water mark. It stands on the board and outlives the worker."""
        return int(self._marks[self.index])

    @property
    def start(self) -> int:
        """Claim what lies above this."""
        return self._trail if self.dry else self.mark

    def learn(self, lane: Lane) -> None:
        """Take over what the lane table says now; a lowered floor lowers the mark."""
        self.paused = lane.paused
        epoch = self._epochs[self.index]
        if lane.epoch != epoch:
            below = max(lane.floor_since(epoch) - 1, 0)
            if below < self.mark:
                self._marks[self.index] = below
            self._epochs[self.index] = lane.epoch
            self._trail, self._step = min(self._trail, below), min(self._step, below)
            self.wet()

    def wet(self) -> None:
        """Look at the lane with the next claim, dry or not."""
        self.dry_until = 0.0

    def move(self, seq: int, now: float) -> None:
        """Jobs up to `seq` have been claimed."""
        mark = self.mark
        if seq <= mark:
            return
        if now - self._step_at >= TRAIL_SECONDS:
            self._trail, self._step, self._step_at = self._step, mark, now
        self._marks[self.index] = seq
        self._moved_at = now

    def found_dry(self, now: float) -> None:
        """A look found nothing more."""
        if self.dry and now - self._moved_at >= TRAIL_SECONDS:
            self._trail = self._step = self.mark
        self.dry = True
        self.dry_until = now + PROBE_SECONDS

    def found_more(self) -> None:
        """A look took what it wanted, and there may be more."""
        self.dry = False
        self.dry_until = 0.0
