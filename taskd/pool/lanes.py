"""Which lanes a worker claims from, how many jobs from each, and from which mark on.

lane table ──► known lanes ──► in order ──► divided by weight ──► a claim ──► what it brought
(board)        lane            order        shares                            teaches them all
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from taskd.board import QUARANTINE_LANE, Lane, LaneTable, Slot
from taskd.config.settings import PoolSettings
from taskd.config.versions import read_part
from taskd.pool.lane import KnownLane
from taskd.pool.order import AgeingOrder, Order, StrictOrder
from taskd.pool.shares import Shares
from taskd.store.literals import integer_array, text_array
from taskd.store.rows import WaitingLane

_SEQ, _PLACE = 1, 2
_place_of = itemgetter(_PLACE)


class Suspects(Enum):
    """Whether a claim may take a suspect, which is then all that it takes."""

    LEAVE = auto()
    FIRST = auto()
    LAST = auto()
    """Only if there is nothing else."""


class Choice(NamedTuple):
    """The lanes of one claim, in their order; a lane may stand there twice.

    `ends` says for each how many jobs may have been taken by the claim after it; None: all it
    wants.
    """

    lanes: Sequence[KnownLane]
    ends: Sequence[int] | None

    @property
    def literals(self) -> tuple[str, str, str]:
        """Queues, numbers and marks as the array literals that claim_jobs takes."""
        return (
            text_array([lane.part for lane in self.lanes]),
            integer_array([lane.number for lane in self.lanes]),
            integer_array([lane.start for lane in self.lanes]),
        )

    def is_suspect(self, rows: Sequence[list[Any]]) -> bool:
        """Whether what a claim of these lanes brought is a suspect."""
        return bool(rows) and self.lanes[rows[0][_PLACE]].number == QUARANTINE_LANE

    @property
    def ends_literal(self) -> str | None:
        """The ends as an array literal."""
        return None if self.ends is None else integer_array(self.ends)


class Lanes:
    """The lanes of one worker: those of its pool's queues, or all if the pool names none.

    Of what waits for a version of the code, only what its own code offers. `slot` is the worker's
    part of the board.
    """

    def __init__(
        self,
        table: LaneTable,
        slot: Slot,
        pool: PoolSettings,
        offers: frozenset[str] = frozenset(),
    ) -> None:
        self._table = table
        self._slot = slot
        self._queues = pool.queues
        self._offers = offers
        self._order, self._shares = _rules(pool, slot)
        self._known: dict[int, KnownLane] = {}
        self._suspects: dict[int, KnownLane] = {}
        self._epoch = -1

    def choose(self, wanted: int, now: float, suspects: Suspects = Suspects.LEAVE) -> Choice | None:
        """The lanes to claim `wanted` jobs from now.

        None when all are dry, and were looked at just now.
        """
        self._refresh(now)
        lanes = self._order.open_lanes(now)
        choice = Choice(lanes, None)
        if self._shares is not None and lanes:
            choice = Choice(*self._shares.divide(lanes, wanted))
        if suspects is not Suspects.LEAVE:
            choice = self._with_suspects(choice, wanted, now, suspects)
        return choice if choice.lanes else None

    def _with_suspects(self, choice: Choice, wanted: int, now: float, suspects: Suspects) -> Choice:
        lanes = [
            lane for lane in self._suspects.values() if not lane.paused and lane.dry_until <= now
        ]
        ends = None if choice.ends is None else [wanted] * len(lanes)
        more = Choice(lanes, ends)
        first, last = (more, choice) if suspects is Suspects.FIRST else (choice, more)
        both = None if first.ends is None or last.ends is None else [*first.ends, *last.ends]
        return Choice([*first.lanes, *last.lanes], both)

    def took(self, choice: Choice, rows: list[list[Any]], wanted: int, now: float) -> None:
        """Learn from what a claim of `wanted` jobs brought, and name each row's queue.

        `wanted` is no more than it brought if it was cut short. A row's index of its lane becomes
        the name of its queue.
        """
        counts = Counter(map(_place_of, rows))
        self._learn_looks(choice, rows, counts, wanted, now)
        if self._shares is not None:
            taken = [(choice.lanes[place].queue, jobs) for place, jobs in counts.items()]
            self._shares.took(taken, self._known.values(), now)
        queues = [lane.queue for lane in choice.lanes]
        for row in rows:
            row[_PLACE] = queues[row[_PLACE]]

    def gave_back(self, rows: Iterable[list[Any]]) -> None:
        """Jobs that a claim brought went back without being started."""
        if self._shares is not None:
            self._shares.gave_back(row[_PLACE] for row in rows)

    def look_again(self, *, for_suspects: bool = True) -> None:
        """Somebody called: probe every lane with the next claim."""
        suspects = self._suspects.values() if for_suspects else ()
        for lane in chain(self._known.values(), suspects):
            lane.wet()

    @property
    def knows_suspects(self) -> bool:
        """Whether there are lanes of suspects, though perhaps none in them."""
        return bool(self._suspects)

    @property
    def may_find_suspects(self) -> bool:
        """Whether such a lane was not looked at since somebody called, or since it yielded."""
        return any(not lane.paused and not lane.dry_until for lane in self._suspects.values())

    def suspect_lanes(self) -> list[tuple[str, int, int]]:
        """Those lanes, as waiting_lanes asks about them: part of a queue, number, mark."""
        lanes = self._suspects.values()
        return [(lane.part, lane.number, lane.start) for lane in lanes if not lane.paused]

    def found_suspects(self, waiting: Iterable[WaitingLane]) -> frozenset[str]:
        """Suspects wait there; their queues."""
        parts = {lane.queue for lane in waiting}
        found = [lane for lane in self._suspects.values() if lane.part in parts]
        for lane in found:
            lane.wet()
        return frozenset(lane.queue for lane in found)

    def _learn_looks(
        self,
        choice: Choice,
        rows: list[list[Any]],
        counts: Counter[int],
        wanted: int,
        now: float,
    ) -> None:
        """Go over the lanes as the claim did, up to the one that filled it."""
        looked: list[KnownLane] = []
        dry: set[int] = set()
        taken = 0
        for place, lane in enumerate(choice.lanes):
            if taken == wanted:
                break
            if lane.number == QUARANTINE_LANE and taken:
                continue  # it was left alone, for others were there
            room = min(wanted, wanted if choice.ends is None else choice.ends[place]) - taken
            if room <= 0:
                continue
            jobs = counts[place]
            taken += jobs
            if jobs:
                lane.move(rows[taken - 1][_SEQ], now)
            if jobs == room:
                lane.found_more()
            elif lane.index not in dry:  # to come again in one claim tells it nothing new
                dry.add(lane.index)
                lane.found_dry(now)
            looked.append(lane)
        self._order.looked(looked, now)

    def _refresh(self, now: float) -> None:
        epoch = self._table.epoch
        if epoch == self._epoch:
            return
        self._epoch = epoch  # read before the lanes: what changes meanwhile is read again
        before = len(self._known)
        for lane in self._table:
            self._learn(lane)
        if len(self._known) > before:
            self._order.enter(self._known.values(), now)

    def _learn(self, lane: Lane) -> None:
        lanes = self._suspects if lane.number == QUARANTINE_LANE else self._known
        known = lanes.get(lane.index)
        if known is not None:
            known.learn(lane)
        elif self._serves(lane.queue):
            lanes[lane.index] = KnownLane(lane, self._slot)

    def _serves(self, part: str) -> bool:
        queue, version = read_part(part)
        is_ours = not self._queues or queue in self._queues
        return is_ours and (version is None or version in self._offers)


def _rules(pool: PoolSettings, slot: Slot) -> tuple[Order, Shares | None]:
    weights = pool.queues if isinstance(pool.queues, dict) else None
    places = {queue: place for place, queue in enumerate(pool.queues)}
    order: Order = StrictOrder(places)
    if pool.ageing is not None:
        order = AgeingOrder({} if weights else places, pool.ageing, slot.looks)
    return order, None if weights is None else Shares(weights, slot.shares)
