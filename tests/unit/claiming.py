"""A worker that claims from lanes whose jobs are only counted, with a clock that is given."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Any

from taskd.board import Board, LaneTable
from taskd.config.settings import PoolSettings
from taskd.pool.lanes import Choice, Lanes

LaneName = tuple[str, int]
OFFERS = frozenset({"v2"})


class Claimant:
    """One worker of a pool; `waiting` says how many jobs each lane holds, `inf` for a flood."""

    def __init__(self, pool: PoolSettings, waiting: dict[LaneName, float]) -> None:
        self.pool = pool
        self.waiting = dict(waiting)
        self.board = Board.create(slots=1, lanes=32)
        self.table = LaneTable(self.board)
        for queue, number in waiting:
            self.table.add(queue, number)
        self.now = 100.0
        self.seq = 0
        self.taken: Counter[LaneName] = Counter()
        self.replace()

    def replace(self) -> None:
        """Let a new worker take the slot."""
        self.lanes = Lanes(self.table, self.board.slot(0), self.pool, OFFERS)

    def claim(self, wanted: int = 1) -> list[LaneName]:
        """Claim as claim_jobs does, and a moment passes; the lane of each job."""
        choice = self.lanes.choose(wanted, self.now)
        rows = [] if choice is None else self._rows(choice, wanted)
        lanes = [] if choice is None else [choice.lanes[row[2]] for row in rows]
        if choice is not None:
            self.lanes.took(choice, rows, wanted, self.now)
        found = [(lane.part, lane.number) for lane in lanes]
        self.taken.update(found)
        return found

    def _rows(self, choice: Choice, wanted: int) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for place, lane in enumerate(choice.lanes):
            end = wanted if choice.ends is None else choice.ends[place]
            name = (lane.part, lane.number)
            jobs = int(min(max(end - len(rows), 0), self.waiting[name]))
            self.waiting[name] -= jobs if self.waiting[name] < inf else 0
            for _ in range(jobs):
                self.seq += 1
                rows.append([self.seq, self.seq, place, 1, 1, 1, None, "t", [], None])
        return rows
