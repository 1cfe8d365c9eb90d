"""The greenlet that stores outcomes and what jobs say.

An outcome goes out at once when none is under way, so that a chain of jobs waits for no timer.
What gathers meanwhile goes together; after a large batch the next one gathers a little longer,
unless others wait for what those jobs hold.
What jobs say is stored twice a second, and for those that have ended before their outcomes.

The claimer waits while their connection is used here, and the other way round. Where that would
cost anything, jobs are so short that many go in one statement: then they get a connection each
(docs/decisions/0021-at-rest.md).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from taskd.board.layout import LOST
from taskd.errors import DatabaseError
from taskd.events import Events
from taskd.pool.claims import Claims
from taskd.pool.events import LoopFailed
from taskd.pool.illness import Illness
from taskd.pool.journal import Journal
from taskd.pool.levels import Levels
from taskd.pool.outage import Outage
from taskd.pool.outbox import Outbox, pause_after
from taskd.pool.place import Place
from taskd.store.hand_off import HandOff
from taskd.store.pair import Pair

if TYPE_CHECKING:
    from taskd.pool.canary import Canary

AFTER_FAULT_SECONDS = 1.0


HandingOff = Callable[[], AbstractContextManager[HandOff | None]]


class Reporter:
    """Stores what is in the outbox and the journal of one worker, and its levels.

    `is_waiting`: `wake` it after adding to the outbox; the journal calls by itself. `on_let_in` is
    called when jobs have ended for whose resources others may have waited, unless the one who is
    `handing_off` has claimed together with that; `on_illness` when it fails again and again.
    """

    def __init__(self, place: Place, outbox: Outbox, claims: Claims, pair: Pair, events: Events):
        self._place = place
        self._words = place.own.words
        self._outbox = outbox
        self._claims = claims
        self._pair = pair
        self._events = events
        self.journal = Journal(place.name, place.settings.log.job_bytes, events)
        self.journal.on_said = self._hear
        self.levels = Levels(self._words)
        self.canary: Canary | None = None
        self._outage = Outage(place.name, events)
        patience = place.pool_settings.shutdown_timeout
        self._illness = Illness(lambda: self.on_illness(), patience)
        self._news = Event()
        self._empty = Event()
        self._empty.set()
        self.is_waiting = False
        self.on_let_in: Callable[[], None] = lambda: None
        self.handing_off: HandingOff = nullcontext
        self.on_illness: Callable[[], None] = lambda: None
        self._is_resting = False

    def start(self) -> None:
        """Begin to report."""
        gevent.spawn(self._run)

    def wake(self) -> None:
        """Say that there is something in the outbox."""
        self.is_waiting = False
        self._empty.clear()
        self._news.set()

    def wait_until_empty(self) -> None:
        """Block until everything is stored; the master ends a worker that takes too long."""
        self._empty.wait()

    def _run(self) -> None:
        while True:
            if not len(self._outbox) and not self._has_notes:
                self._wait()
            gevent.sleep(self._step_or_recover())

    @property
    def _has_notes(self) -> bool:
        return self.canary is not None and self.canary.has_news

    def _wait(self) -> None:
        """Wait for outcomes, or until the journal wants to be flushed."""
        self._news.clear()
        pause = self.journal.pause()
        if pause is None:
            self._empty.set()
        self._is_resting = pause is None
        self.is_waiting = True
        self._news.wait(pause)

    def _hear(self) -> None:
        """Something was said: look how long it may wait, unless that is known."""
        if self._is_resting:
            self._is_resting = False
            self._news.set()

    def _step_or_recover(self) -> float:
        try:
            pause = self.step()
        except DatabaseError as error:
            return self._outage.failed(error)
        except Exception:
            self._events.emit(LoopFailed(self._place.name, "the reporter", traceback.format_exc()))
            self._illness.failed()
            return AFTER_FAULT_SECONDS
        self._illness.passed()
        return pause

    def step(self) -> float:
        """Store what is there; the seconds to gather more before the next step."""
        with self.handing_off() if len(self._outbox) else nullcontext() as hand_off:
            stored = self._store(hand_off)
        self._words[LOST] = self._outbox.lost
        self._pair.carried(stored)
        is_handed_off = hand_off is not None and hand_off.is_over
        if stored and self._claims.has_holders and not is_handed_off:
            self.on_let_in()
        self._store_findings()
        self._outage.over()
        return pause_after(stored, others_wait=is_handed_off and self._claims.has_holders)

    def _store(self, hand_off: HandOff | None) -> int:
        with self._pair.connection(apart=True) as connection:
            ended = self._outbox.counts()  # what these have said is whole by now
            self.journal.flush(connection, self._claims.worker)
            return self._outbox.flush(connection, self._claims.worker, ended, hand_off)

    def _store_findings(self) -> None:
        """Store what is known of the worker itself; jobs that were handed off wait no more."""
        if not self.levels.has_news and not self._has_notes:
            return
        with self._pair.connection(apart=True) as connection:
            self.levels.flush(connection, self._place.pool, self._claims.worker)
            if self.canary is not None:
                self.canary.flush(connection, self._claims.worker)
