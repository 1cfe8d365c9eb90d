"""Which lanes a worker claims from, how many jobs from each, and from which mark on.

lane table ──► known lanes ──► in order ──► divided by weight ──► a claim ──► what it brought
(board)        lane            order        shares                            teaches them all
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from taskd.board import Lane, LaneTable, Slot
from taskd.config.settings import PoolSettings
from taskd.config.versions import read_part
from taskd.pool.lane import KnownLane
from taskd.pool.order import AgeingOrder, Order, StrictOrder
from taskd.pool.shares import Shares, weights_of
from taskd.store.literals import integer_array, text_array

_SEQ, _PLACE = 1, 2
_place_of = itemgetter(_PLACE)


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
        self._epoch = -1

    def choose(self, wanted: int, now: float) -> Choice | None:
        """The lanes to claim `wanted` jobs from now.

        None when all are dry, and were looked at just now.
        """
        self._refresh(now)
        lanes = self._order.open_lanes(now)
        if not lanes:
            return None
        if self._shares is None:
            return Choice(lanes, None)
        return Choice(*self._shares.divide(lanes, wanted))

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

    def look_again(self) -> None:
        """Somebody called: probe every lane with the next claim."""
        for lane in self._known.values():
            lane.wet()

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
        known = self._known.get(lane.index)
        if known is not None:
            known.learn(lane)
        elif self._serves(lane.queue):
            self._known[lane.index] = KnownLane(lane, self._slot)

    def _serves(self, part: str) -> bool:
        queue, version = read_part(part)
        is_ours = not self._queues or queue in self._queues
        return is_ours and (version is None or version in self._offers)


def _rules(pool: PoolSettings, slot: Slot) -> tuple[Order, Shares | None]:
    weights = weights_of(pool.queues)
    places = {queue: place for place, queue in enumerate(pool.queues)}
    order: Order = StrictOrder(places)
    if pool.ageing is not None:
        order = AgeingOrder({} if weights else places, pool.ageing, slot.looks)
    return order, None if weights is None else Shares(weights, slot.shares)
