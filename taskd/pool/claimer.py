"""The greenlet that claims jobs for the slots of its worker, and hears who calls.

    claim what the appetite says ─► got all of it: more is there; again when half of it has begun
                                 ─► got less:      write IDLE on the board, call maintenance, and
                                                   sleep until somebody has news

Whoever has news (maintenance of jobs and orders, a slot of room) sets the alarm. Jobs that were
claimed are given back if they would wait too long here, if a neighbour is idle, or if a drain finds
them not begun.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from taskd.board.layout import FAILED, RETRIED, SUCCEEDED
from taskd.clock import monotonic
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.pool.appetite import Appetite
from taskd.pool.claims import Batch, Claims, Offer, Row
from taskd.pool.events import LoopFailed
from taskd.pool.illness import Illness
from taskd.pool.outage import Outage
from taskd.pool.place import Place
from taskd.pool.quarantine import LOOK_SECONDS, Quarantine
from taskd.pool.slots import Slots
from taskd.store.hand_off import HandOff

MOST_UNREPORTED = 10_000
"""With more outcomes than this in memory a worker claims nothing: the database is away."""

REST_SECONDS = 5.0
SHARE_SECONDS = 0.01
NO_HOST_SECONDS = 0.05
UNREPORTED_SECONDS = 0.1
HAND_OFF_SECONDS = 0.05
"""So long an end waits for a claim that is under way: it costs more to claim for it afterwards."""

TURN_SECONDS = 0.2
"""So long the claimer waits for a hand-off before it looks for orders."""

MOST_HANDED_OFF = 50
"""Jobs in a hand-off: as long as it lasts nobody else can let jobs in."""

AFTER_FAULT_SECONDS = 1.0
_READ = 1


class Claimer:
    """Claims for one worker. `unreported` says how many outcomes wait to be stored.

    `on_cancel` is called with each job that is to be cancelled, `on_claimed` with how many a claim
    has brought.
    """

    def __init__(
        self,
        place: Place,
        claims: Claims,
        slots: Slots,
        unreported: Callable[[], int],
        events: Events,
    ) -> None:
        self._place = place
        self._words = place.own.words
        self._claims = claims
        self._slots = slots
        self._unreported = unreported
        self._events = events
        self._outage = Outage(place.name, events)
        patience = place.pool_settings.shutdown_timeout
        self._illness = Illness(lambda: self.on_illness(), patience)
        self._appetite = Appetite(slots.count)
        self._quarantine = Quarantine(place, claims, slots)
        self._alarm = Event()
        self._claiming = BoundedSemaphore()  # whoever claims, here or by a hand-off, holds it
        self._is_slow = False  # a hand-off has waited for it in vain, and nobody had it since
        self._hands_off_at = 0.0
        self._called = False
        self._has_let_in = False
        self._is_draining = False
        self._is_dry = False
        self._returning: list[Row] = []
        self._early: list[int] = []  # to be cancelled, and perhaps on their way to us then
        self._empty_handed = Event()
        self.on_cancel: Callable[[int], None] = lambda job: None
        self.on_illness: Callable[[], None] = lambda: None
        self.on_claimed: Callable[[int], None] = lambda jobs: None
        self.claimed_at = monotonic()
        slots.on_room = self._alarm.set

    def start(self) -> None:
        """Begin to claim."""
        loop = gevent.get_hub().loop
        self._ear = loop.io(self._place.wakeups.fds[self._place.slot], _READ)
        self._ear.start(self._hear)
        gevent.spawn(self._run)

    def look(self) -> None:
        """Look into the queue now, as if somebody had called."""
        self._called = True
        self._alarm.set()

    def expect(self) -> None:
        """Claim now if there is room: what has ended here may have let others into the queue."""
        self._has_let_in = True
        self._alarm.set()

    @contextmanager
    def handing_off(self) -> Iterator[HandOff | None]:
        """Let the block that ends jobs claim others with them, after a claim that is under way.

        None: nothing is to be claimed now, that claim takes long, or the last hand-off has failed,
        perhaps because of its claim.
        """
        offer = self._offer_in_turn()
        if offer is None:
            yield None
            return
        hand_off = offer.hand_off
        try:
            with self._claims.hand_off(offer):
                yield hand_off
            if hand_off.is_over and self._take(self._claims.accept(offer)) < REST_SECONDS:
                self._alarm.set()
        finally:
            if self._claims.is_unsure or (hand_off.is_begun and not hand_off.is_over):
                self._hands_off_at = monotonic() + REST_SECONDS
            self._claiming.release()
            if self._claims.is_unsure:
                self.look()

    def _offer_in_turn(self) -> Offer | None:
        """What to claim with the next ends; it is nobody else's turn then."""
        is_useful = self._claims.has_holders and not self._is_draining
        if not is_useful or monotonic() < self._hands_off_at or not self._has_turn():
            return None
        offer = None
        try:
            offer = self._offer()
        except DatabaseError:
            return None  # the report that is to come meets it, too
        except Exception:  # a border: outcomes are stored all the same
            self._events.emit(LoopFailed(self._place.name, "a hand-off", traceback.format_exc()))
            self._hands_off_at = monotonic() + REST_SECONDS
            return None
        finally:
            if offer is None:
                self._claiming.release()
        return offer

    def _has_turn(self) -> bool:
        """Wait for a claim that is under way, but not again with each report if it takes long."""
        patience = 0.0 if self._is_slow else HAND_OFF_SECONDS
        self._is_slow = not self._claiming.acquire(timeout=patience)
        return not self._is_slow

    def _offer(self) -> Offer | None:
        is_held = self._is_draining or self._returning or self._quarantine.has_work
        is_late = self._unreported() > MOST_UNREPORTED
        if is_held or is_late or self._keeps_others_away():
            return None
        wanted = min(self._wanted(), self._slots.free, MOST_HANDED_OFF)
        return self._claims.offer(wanted) if wanted else None

    def drain(self) -> None:
        """Claim no more and give back what has not begun; orders are still heard."""
        self._is_draining = True
        self._claims.show_idle(0)
        self._returning += self._slots.drain()
        self._alarm.set()

    def wait_until_empty_handed(self) -> None:
        """Block until all that was not begun is given back, after `drain`."""
        self._empty_handed.wait()

    @property
    def returning(self) -> Sequence[Row]:
        """The jobs that wait to be given back."""
        return self._returning

    def review(self) -> None:
        """Give back jobs that wait here too long because those before them became slow."""
        self._measure()
        hoarded = self._appetite.hoarded(self._slots.open, self._slots.waiting)
        if hoarded:
            self._returning += self._slots.take_back(keep=self._slots.waiting - hoarded)
            self._alarm.set()

    def _hear(self) -> None:
        self._place.wakeups.clear(self._place.slot)
        self.look()

    def _run(self) -> None:
        while True:
            self._alarm.clear()
            pause = self._step_or_recover()
            if pause and not self._alarm.wait(pause):
                self._wonder()

    def _step_or_recover(self) -> float:
        try:
            pause = self._step_in_turn()
        except DatabaseError as error:
            gevent.sleep(self._outage.failed(error))
        except Exception:
            self._events.emit(LoopFailed(self._place.name, "the claimer", traceback.format_exc()))
            self._illness.failed()
            gevent.sleep(AFTER_FAULT_SECONDS)
        else:
            self._illness.passed()
            return pause
        self._called = True  # whoever called was not heard to the end
        return 0.0

    def _step_in_turn(self) -> float:
        if not self._claiming.acquire(timeout=TURN_SECONDS):
            self._early += self._obey()
            return 0.0
        try:
            return self.step()
        finally:
            self._claiming.release()

    def step(self) -> float:
        """Do what is to be done now; after how many seconds to come again, if nobody calls."""
        called, self._called = self._called, False
        let_in, self._has_let_in = self._has_let_in, False
        self._claims.recover()
        self._give_back()
        if called:
            self._heed()
        elif let_in:
            self._claims.look_again()
            self._is_dry = False
        if self._is_draining:
            self._empty_handed.set()
            return REST_SECONDS
        if self._unreported() > MOST_UNREPORTED:
            return UNREPORTED_SECONDS
        self._share()
        if self._keeps_others_away():
            self._claims.show_idle(0)
            return LOOK_SECONDS
        wanted = self._wanted()
        is_news = called or let_in or self._quarantine.has_work
        waits_for_news = self._claims.shows_idle and not is_news
        if not wanted or waits_for_news:
            self._claims.show_idle(self._slots.free if self._claims.shows_idle else 0)
            return SHARE_SECONDS if self._slots.waiting else REST_SECONDS
        if not self._claims.is_registered and not self._claims.register():
            return NO_HOST_SECONDS
        return self._claim(wanted)

    def _claim(self, wanted: int) -> float:
        return self._take(self._claims.claim(wanted, self._quarantine.turn(monotonic())))

    def _take(self, batch: Batch) -> float:
        rows, has_more, is_suspect = batch
        self._outage.over()
        if self._is_draining:
            self._returning += rows
            return 0.0
        if rows:
            self.claimed_at = monotonic()
            self._slots.feed(rows)
            self.on_claimed(len(rows))
            while self._early:  # perhaps of these
                self.on_cancel(self._early.pop())
        if is_suspect:
            self._quarantine.begin(self.claimed_at)
        if not self._claims.is_registered:
            self._claims.show_idle(0)
            return NO_HOST_SECONDS
        self._is_dry = not has_more
        if not self._is_dry:
            self._claims.show_idle(0)
            return 0.0
        self._claims.show_idle(self._slots.free)
        self._ask_for_jobs()
        return REST_SECONDS

    def _keeps_others_away(self) -> bool:
        """Whether nothing is to be claimed because a suspect is alone here, or is to be so."""
        now = monotonic()
        return self._quarantine.is_on(now) or self._quarantine.stands_back(now)

    def _share(self) -> None:
        """Hold no jobs ready that an idle neighbour would begin: to him the queue is empty."""
        if not self._slots.waiting or self._slots.open:
            return
        neighbours = self._place.idle_neighbours(self._slots.waiting_queues)
        if neighbours:
            self._is_dry = True
            keep = max(0, self._slots.waiting - sum(neighbours.values()))
            self._returning += self._slots.take_back(keep)
            self._give_back()
            for slot in neighbours:
                self._place.wakeups.wake(slot)

    def _ask_for_jobs(self) -> None:
        """Call the neighbour who holds the most jobs ready, so that he shares them at once."""
        if self._slots.free:
            fullest = self._place.fullest_neighbour()
            if fullest is not None:
                self._place.wakeups.wake(fullest)

    def _give_back(self) -> None:
        while self._returning:
            rows = list(self._returning)
            self._claims.give_back(rows)
            del self._returning[: len(rows)]

    def _heed(self) -> None:
        self._claims.look_again()
        self._obey()

    def _obey(self) -> list[int]:
        jobs = self._claims.take_cancellations()
        for job in jobs:
            self.on_cancel(job)
        return jobs

    def _wanted(self) -> int:
        self._measure()
        open_slots, waiting = self._slots.open, self._slots.waiting
        if self._is_dry:  # what there is to be had is for slots that are free now
            self._slots.refill_at = 0
            return self._slots.free
        self._slots.refill_at = self._appetite.limit(open_slots) // 2
        return self._appetite.wanted(open_slots, waiting)

    def _measure(self) -> None:
        w = self._words
        ended = w[SUCCEEDED] + w[FAILED] + w[RETRIED]
        self._appetite.measure(ended, self._slots.spent, monotonic())

    def _wonder(self) -> None:
        """Nobody called. That means that nothing is there, as long as somebody would."""
        if not self._place.has_maintenance:
            self._called = True
