"""One worker's dealings with the queue: it registers, claims, takes orders, gives back.

Each method is one step that waits for the database and returns; the loops around it are the
claimer's (greenlet workers) and the process worker's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from taskd.board import LaneTable, write_offers
from taskd.board.layout import FAILED, IDLE, LOOK, WORKER
from taskd.clock import monotonic
from taskd.errors import ClaimUnreadable
from taskd.events import Events
from taskd.pool.events import ArgumentsUnreadable, ClaimRecovered, RegistrationLost
from taskd.pool.lanes import Choice, Lanes, Suspects
from taskd.pool.place import Place
from taskd.store.connect import Connection
from taskd.store.hand_off import HandOff
from taskd.store.hosts import register_worker, take_requests
from taskd.store.jobs import (
    Claimed,
    claim_jobs,
    complete_jobs,
    decode_claimed,
    give_back_jobs,
    recover_claims,
    unread_jobs,
    waiting_lanes,
)
from taskd.store.link import Link
from taskd.store.pair import Pair
from taskd.store.rows import JobEnd
from taskd.tasks.offers import offered_versions

Row = list[Any]
"""A claimed job: [id, seq, queue, fence, attempt, max_attempts, timeout, task, args, kwargs,
extra]."""

_EXTRA = 10


class Batch(NamedTuple):
    """What a claim brought; `has_more`: there may be more to be had at once.

    `is_suspect`: it is one job, beside which none may run.
    """

    rows: list[Row]
    has_more: bool = False
    is_suspect: bool = False


class Offer(NamedTuple):
    """A claim that is to be made together with the ends of jobs."""

    choice: Choice
    wanted: int
    hand_off: HandOff


class Claims:
    """What one worker claims, and under which registration.

    `held` gives the fences of all the jobs that the worker has in its hands, begun or not, until
    their outcomes are stored.
    """

    def __init__(
        self, place: Place, link: Link | Pair, events: Events, held: Callable[[], list[int]]
    ) -> None:
        self._place = place
        self._link = link
        self._events = events
        self._held = held
        self._recoveries = 0
        self._is_unsure = False  # a claim has failed, and may have been committed all the same
        self._words = place.own.words
        self._offers = offered_versions(place.settings)
        write_offers(place.own, self._offers)
        self._lanes = Lanes(LaneTable(place.board), place.own, place.pool_settings, self._offers)
        self._dead_host = 0
        self.has_holders = False  # in the last batch: the end of one may let others in
        self.is_registered = False  # the id outlives it, for what is still to be reported

    @property
    def worker(self) -> int:
        """The id under which jobs are claimed and reported; 0 before the first registration."""
        return int(self._words[WORKER])

    def register(self) -> bool:
        """Enter the worker below its host; False while there is no living host to be had."""
        host = self._place.board.host
        if host in (0, self._dead_host):
            return False
        place = self._place
        with self._link.connection() as connection:
            worker = register_worker(
                connection,
                host,
                os.getpid(),
                place.pool,
                place.slot,
                place.generation,
                sorted(self._offers),
                place.pool_settings.greenlets or 1,
                place.pool_settings.queues,
            )
        if worker is None:
            self._dead_host = host
            return False
        self._words[WORKER] = worker
        self.is_registered = True
        return True

    def claim(self, wanted: int, suspects: Suspects = Suspects.LEAVE) -> Batch:
        """Claim at most `wanted` jobs, or, unless they are to be left, one suspect and no other."""
        choice = self._lanes.choose(wanted, monotonic(), suspects)
        if choice is None:
            return Batch([])
        self.recover()
        with self._link.connection() as connection:
            self._is_unsure = True
            try:
                batch = self._claim(connection, choice, wanted)
            except ClaimUnreadable:
                batch = self._read_one_by_one(connection)
            self._is_unsure = False
        return batch

    def _claim(self, connection: Connection, choice: Choice, wanted: int) -> Batch:
        rows = claim_jobs(
            connection,
            self.worker,
            choice.literals,
            wanted,
            choice.ends_literal,
            recoveries=self._recoveries,
        )
        return self._learn(choice, wanted, rows)

    def offer(self, wanted: int) -> Offer | None:
        """A claim of `wanted` jobs for `hand_off`; None if there is nothing to be asked for."""
        if self._is_unsure or not self.is_registered:
            return None
        self._lanes.look_again(for_suspects=False)  # what ends may let jobs into any lane
        choice = self._lanes.choose(wanted, monotonic())
        if choice is None:
            return None
        literals, ends = choice.literals, choice.ends_literal
        return Offer(choice, wanted, HandOff(literals, wanted, ends, self._recoveries))

    @contextmanager
    def hand_off(self, offer: Offer) -> Iterator[None]:
        """While the block ends jobs with an offer; `accept` it then, if it is over.

        The block may fail after it was committed, and so may what follows.
        """
        self._is_unsure = True
        yield
        self._is_unsure = offer.hand_off.is_over

    def accept(self, offer: Offer) -> Batch:
        """What a hand-off that is over has brought."""
        try:
            rows = decode_claimed(offer.hand_off.claimed)
            batch = self._learn(offer.choice, offer.wanted, rows)
        except ClaimUnreadable:
            with self._link.connection() as connection:
                batch = self._read_one_by_one(connection)
        self._is_unsure = False
        return batch

    def _learn(self, choice: Choice, wanted: int, rows: Claimed | None) -> Batch:
        if rows is None:
            self.is_registered = False
            self._events.emit(RegistrationLost(self._place.name, self.worker))
            return Batch([])
        is_suspect = choice.is_suspect(rows)
        most = len(rows) if rows.is_cut or is_suspect else wanted
        self._lanes.took(choice, rows, most, monotonic())
        if rows:
            self.has_holders = any(row[_EXTRA] and "holds" in row[_EXTRA] for row in rows)
        return Batch(rows, len(rows) >= most, is_suspect)

    def _read_one_by_one(self, connection: Connection) -> Batch:
        """Take what was claimed a job at a time, and fail those of which nothing can be made."""
        rows, bad = unread_jobs(connection, self.worker, self._held())
        for (job, _), reason in bad.items():
            self._events.emit(ArgumentsUnreadable(job, reason))
        if bad:
            error = "its arguments cannot be decoded, so it was not begun: {}"
            ends = [JobEnd(*key, None, "f", None, error.format(why)) for key, why in bad.items()]
            complete_jobs(connection, self.worker, ends)
            self._words[FAILED] += len(bad)
        return Batch(rows, has_more=True)

    def recover(self) -> None:
        """Give back what the last claim took, if it failed on its way: nobody here knows of it."""
        if not self._is_unsure:
            return
        self._recoveries += 1
        with self._link.connection() as connection:
            jobs = recover_claims(connection, self.worker, self._recoveries, self._held())
        self._is_unsure = False
        if jobs:
            self._events.emit(ClaimRecovered(self._place.name, jobs))

    @property
    def is_unsure(self) -> bool:
        """Whether there is something to recover."""
        return self._is_unsure

    def look_again(self) -> None:
        """Let the next claim look into every lane, also those that were dry just now."""
        self._lanes.look_again()

    @property
    def knows_suspects(self) -> bool:
        """Whether this host has ever had suspects that the worker could run."""
        return self._lanes.knows_suspects

    @property
    def may_find_suspects(self) -> bool:
        """Whether some may wait that were not looked for yet."""
        return self._lanes.may_find_suspects

    def find_suspects(self) -> frozenset[str]:
        """The queues where suspects wait now."""
        literals = self._lanes.suspect_lanes()
        if not literals:
            return frozenset()
        with self._link.connection() as connection:
            found = waiting_lanes(connection, *zip(*literals, strict=True))
        return self._lanes.found_suspects(found)

    def take_cancellations(self) -> list[int]:
        """The jobs of this worker that are to be cancelled; asks only if the board says so."""
        if not self._words[LOOK] or not self.worker:
            return []
        with self._link.connection() as connection:
            requests = take_requests(connection, [self.worker])
        return [r.job for r in requests if r.kind == "cancel" and r.job is not None]

    def show_idle(self, free: int) -> None:
        """Say on the board how many slots wait for jobs: as long as it is not 0, news will come."""
        before = self._words[IDLE]
        self._words[IDLE] = free
        if free and not before:
            self._place.kick()

    @property
    def shows_idle(self) -> bool:
        """Whether maintenance would call if there were jobs."""
        return bool(self._words[IDLE])

    def give_back(self, rows: Sequence[Row]) -> None:
        """Return jobs that were claimed but not started."""
        if rows:
            with self._link.connection() as connection:
                give_back_jobs(connection, self.worker, [r[0] for r in rows], [r[3] for r in rows])
            self._lanes.gave_back(rows)
