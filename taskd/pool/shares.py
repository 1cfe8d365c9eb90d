"""How queues with weights share a worker: by virtual time, as in start-time fair queuing.

Each job taken moves its queue on by 1 / weight, and the queue that is furthest behind goes first:

    urgent, 5     u 0 ── .2 ── .4 ── .6 ── .8 ── 1       for one job after the other this gives
    mail, 1       m 0 ───────────────────────── 1        u m u u u u  u m u u u u  …

A claim of many jobs is divided: each queue may take its part of it, the one furthest behind first;
what one has not, the next take. So a queue that holds jobs gets its share of jobs, not of claims,
and no worker idles while any queue holds some. A queue that ran empty is moved on with the others,
so that it has saved nothing up when its next jobs come.

The times stand on the board and outlive the worker: where each job has a new one, too, it is the
queues' turn that counts.

Source: Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from zlib import crc32

from taskd.pool.lane import KnownLane

_SECOND = 1_000_000
"""By how much one job moves a queue of weight 1: whole numbers, for they stand on the board."""

_OWNER = 0
"""The first word says whose times follow, each at its queue's place in the configuration."""


class Shares:
    """The shares of one worker's queues; `words` is its part of the board."""

    def __init__(self, weights: Mapping[str, int], words: memoryview) -> None:
        self._weights = weights
        self._words = words
        self._places = {queue: place for place, queue in enumerate(weights, start=1)}
        self._take_over(crc32(repr(list(weights.items())).encode()) + 1)

    def _take_over(self, owner: int) -> None:
        """Go on from the times of the last worker, if it had the same weights."""
        if self._words[_OWNER] != owner:
            for place in self._places.values():
                self._words[place] = 0
            self._words[_OWNER] = owner

    def divide(self, lanes: Iterable[KnownLane], wanted: int) -> tuple[list[KnownLane], list[int]]:
        """The lanes of a claim and, for each, how many jobs may have been taken after it.

        Lanes of a queue stay in their order. Those whose queue may not take all come twice: a
        second time for what the others have left over.
        """
        by_queue: dict[str, list[KnownLane]] = {}
        for lane in lanes:
            by_queue.setdefault(lane.queue, []).append(lane)
        total = sum(self._weights[queue] for queue in by_queue)
        end = 0
        chosen, ends, again = [], [], []
        for queue in sorted(by_queue, key=self._turn):
            end = min(wanted, end - (-wanted * self._weights[queue] // total))  # rounded up
            chosen += by_queue[queue]
            ends += [end] * len(by_queue[queue])
            if end < wanted:
                again += by_queue[queue]
        return chosen + again, ends + [wanted] * len(again)

    def _turn(self, queue: str) -> tuple[int, int]:
        place = self._places[queue]
        return self._words[place], place

    def gave_back(self, queues: Iterable[str]) -> None:
        """Jobs of these queues were taken but not started: take back what they moved them on."""
        for queue, jobs in Counter(queues).items():
            place = self._places[queue]
            self._words[place] = max(self._words[place] - self._cost(queue, jobs), 0)

    def took(
        self, taken: Iterable[tuple[str, int]], lanes: Iterable[KnownLane], now: float
    ) -> None:
        """So many jobs of each queue were taken; `lanes` are all that there are.

        A queue that was found empty just now is moved on to the one that is furthest behind.
        """
        words = self._words
        for queue, jobs in taken:
            words[self._places[queue]] += self._cost(queue, jobs)
        waiting = {lane.queue for lane in lanes if lane.dry_until <= now and not lane.paused}
        times = [words[place] for place in self._places.values()]
        floor = min((words[self._places[queue]] for queue in waiting), default=max(times))
        for place, time in enumerate(times, start=1):
            if time < floor:
                words[place] = floor

    def _cost(self, queue: str, jobs: int) -> int:
        return jobs * _SECOND // self._weights[queue]
