"""In which order a worker looks at its lanes: strictly by priority, or with ageing.

With ageing a lane rises steadily from its priority on, by one in each `ageing` seconds since it was
last looked at. A claim that is filled by the lanes before it does not look at it, so what waits
there, if anything, has waited so long; once it is looked at and dry, or served, it starts anew:

    priority 9, flooded    looked at with every claim: stays at 9
    priority 0             0 ┄┄┄┄ 1 ┄┄┄┄ 2 ┄┄┄ … ┄┄┄ 9, overtakes: one claim, and 0 again
                           ├ageing┤
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, groupby
from typing import Protocol

from taskd.board import GIVEN_BACK_LANE
from taskd.pool.lane import KnownLane

LANES_A_QUEUE = GIVEN_BACK_LANE + 1
_NS = 1_000_000_000


class Order(Protocol):
    """Says which lanes come first. `places` are those of the queues that the pool lists."""

    def enter(self, lanes: Collection[KnownLane], now: float) -> None:
        """Take the lanes that there are now, more than before."""

    def open_lanes(self, now: float) -> list[KnownLane]:
        """The lanes to look at with a claim now, the first first."""

    def looked(self, lanes: Sequence[KnownLane], now: float) -> None:
        """These were looked at, and served as far as the claim had room."""


class StrictOrder:
    """The queues in their order and the lane of higher priority first in each.

    Without an order of queues the higher lanes of all go first. Lanes of one rank go in turn (of
    several queues, of holders and of those that need nothing): who was looked at goes to the end.
    Chance says who begins: a worker may live for one claim.
    """

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places = places
        self._ranks: list[list[KnownLane]] = []
        self._shared: list[list[KnownLane]] = []

    def enter(self, lanes: Collection[KnownLane], now: float) -> None:
        """Sort the lanes once; claims are more frequent than new lanes."""
        ordered = sorted(random.sample(list(lanes), k=len(lanes)), key=self._rank)
        self._ranks = [list(equals) for _, equals in groupby(ordered, key=self._rank)]
        self._shared = [equals for equals in self._ranks if len(equals) > 1]

    def open_lanes(self, now: float) -> list[KnownLane]:
        """The lanes to look at with a claim now, the first first."""
        ordered = chain.from_iterable(self._ranks)
        return [lane for lane in ordered if not lane.paused and lane.dry_until <= now]

    def looked(self, lanes: Sequence[KnownLane], now: float) -> None:
        """Let those of their rank that were not looked at go before these."""
        if self._shared:
            looked = {lane.index for lane in lanes}
            for equals in self._shared:
                equals.sort(key=lambda lane: lane.index in looked)

    def _rank(self, lane: KnownLane) -> tuple[int, int]:
        return (self._places.get(lane.queue, 0), -lane.priority)


class AgeingOrder:
    """The highest level first: a lane's priority and what it has risen.

    The queues' lanes stand on one ladder, the last listed at its foot, so what has risen beyond its
    own queue's lanes goes on among those of the queue before. `looks` is on the board and outlives
    the worker: where workers are often replaced, too, lanes grow old.
    """

    def __init__(self, places: Mapping[str, int], ageing: float, looks: memoryview) -> None:
        last = len(places) - 1
        self._feet = {queue: (last - place) * LANES_A_QUEUE for queue, place in places.items()}
        self._ageing_ns = ageing * _NS
        self._looks = looks
        self._lanes: list[KnownLane] = []

    def enter(self, lanes: Collection[KnownLane], now: float) -> None:
        """Take the lanes; those that nobody has ever looked at begin to age now."""
        self._lanes = list(lanes)
        self.looked([lane for lane in self._lanes if not self._looks[lane.index]], now)

    def open_lanes(self, now: float) -> list[KnownLane]:
        """The lanes to look at with a claim now, the first first."""
        lanes = [lane for lane in self._lanes if not lane.paused and lane.dry_until <= now]
        levels = {lane.index: self._level(lane, now) for lane in lanes}
        for lane in lanes:
            if lane.number == GIVEN_BACK_LANE:  # no other of its queue goes before it
                levels[lane.index] = max(
                    levels[other.index] for other in lanes if other.queue == lane.queue
                )
        return sorted(lanes, key=lambda lane: (-levels[lane.index], -lane.priority))

    def looked(self, lanes: Sequence[KnownLane], now: float) -> None:
        """Let these start anew."""
        moment = int(now * _NS)
        for lane in lanes:
            self._looks[lane.index] = moment

    def _level(self, lane: KnownLane, now: float) -> float:
        waited = now * _NS - self._looks[lane.index]
        return self._feet.get(lane.queue, 0) + lane.priority + waited / self._ageing_ns
