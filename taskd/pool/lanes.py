"""Which lanes a worker claims from, in which order, and from which low-water mark on.

A mark says: up to here everything that I could see is claimed. Numbers are given out before their
transactions commit, so a commit can come slightly out of order, behind a mark:

    seq 6 commits, is claimed: mark = 6      seq 5 commits now: invisible from the mark

While a lane yields, claims start at the mark. A lane found dry is looked at from where the mark
stood at least TRAIL seconds ago, until a look as long after its last move finds nothing. What comes
later still is maintenance's to find: it lowers the lane's floor and counts its epoch up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

from taskd.board import Lane, LaneTable
from taskd.store.literals import integer_array, text_array

PROBE_SECONDS = 0.03
"""A lane that was found dry is left out of claims for so long, unless somebody calls."""

TRAIL_SECONDS = 0.1
"""How late a commit may come and still be found by the claimers themselves."""


class KnownLane:
    """What a worker remembers of a lane. Times are monotonic seconds."""

    __slots__ = (
        "_marks", "_moved_at", "_step", "_step_at", "_trail", "dry", "dry_until", "epoch", "index",
        "number", "paused", "queue",
    )  # fmt: skip

    def __init__(self, lane: Lane, marks: memoryview) -> None:
        self.index, self.queue, self.number = lane.index, lane.queue, lane.number
        self.paused, self.epoch = lane.paused, lane.epoch
        self.dry = False
        self.dry_until = 0.0
        self._marks = marks
        self._trail = self._step = self.mark
        self._step_at = self._moved_at = 0.0

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
        if lane.epoch != self.epoch:
            self.epoch = lane.epoch
            below = max(lane.floor - 1, 0)
            if below < self.mark:
                self._marks[self.index] = below
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


class Choice(NamedTuple):
    """The lanes of one claim: as remembered, and as the array literals that claim_jobs takes."""

    lanes: Sequence[KnownLane]
    literals: tuple[str, str, str]


class Lanes:
    """The lanes of one worker: those of its pool's queues, or all if the pool names none."""

    def __init__(self, table: LaneTable, marks: memoryview, queues: Sequence[str]) -> None:
        self._table = table
        self._marks = marks
        self._queues = {queue: place for place, queue in enumerate(queues)}
        self._known: dict[int, KnownLane] = {}
        self._ranks: list[list[KnownLane]] = []
        self._epoch = -1
        self._turn = 0

    def choose(self, now: float) -> Choice | None:
        """The lanes to claim from now; None when all are dry, and were looked at just now."""
        self._refresh()
        self._turn += 1
        lanes = [lane for lane in self._in_order() if not lane.paused and lane.dry_until <= now]
        if not lanes:
            return None
        literals = (
            text_array([lane.queue for lane in lanes]),
            integer_array([lane.number for lane in lanes]),
            integer_array([lane.start for lane in lanes]),
        )
        return Choice(lanes, literals)

    def took(self, choice: Choice, rows: list[list[Any]], wanted: int, now: float) -> None:
        """Learn from what a claim of `wanted` jobs brought, and name each row's queue.

        A row's index of its lane becomes the name of its queue.
        """
        queues = [lane.queue for lane in choice.lanes]
        last: dict[int, int] = {}
        reached = rows[-1][2] if len(rows) >= wanted else len(queues)
        for row in rows:
            place = row[2]
            last[place] = row[1]
            row[2] = queues[place]
        for place, lane in enumerate(choice.lanes):
            if place in last:
                lane.move(last[place], now)
            if place < reached:
                lane.found_dry(now)
            elif place == reached:
                lane.found_more()

    def look_again(self) -> None:
        """Somebody called: probe every lane with the next claim."""
        for lane in self._known.values():
            lane.wet()

    def _refresh(self) -> None:
        epoch = self._table.epoch
        if epoch == self._epoch:
            return
        self._epoch = epoch  # read before the lanes: what changes meanwhile is read again
        before = len(self._known)
        for lane in self._table:
            self._learn(lane)
        if len(self._known) > before:
            self._rank()

    def _learn(self, lane: Lane) -> None:
        known = self._known.get(lane.index)
        if known is not None:
            known.learn(lane)
        elif not self._queues or lane.queue in self._queues:
            self._known[lane.index] = KnownLane(lane, self._marks)

    def _rank(self) -> None:
        """Sort: the pool's queues in their order and the higher lane first in each.

        A pool of all queues takes the higher lanes of all first, and those of one number in turn.
        """

        def rank(lane: KnownLane) -> tuple[int, int]:
            return (self._queues.get(lane.queue, 0), -lane.number)

        ordered = sorted(self._known.values(), key=rank)
        self._ranks = [list(equals) for _, equals in groupby(ordered, key=rank)]

    def _in_order(self) -> Iterator[KnownLane]:
        return chain.from_iterable(_rotated(equals, self._turn) for equals in self._ranks)


def _rotated(lanes: list[KnownLane], turn: int) -> list[KnownLane]:
    if len(lanes) == 1:
        return lanes
    first = turn % len(lanes)
    return lanes[first:] + lanes[:first]
