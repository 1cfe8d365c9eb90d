"""The canary itself: when it traces, looks, stores, and has seen enough."""

from __future__ import annotations

import gc
import logging
import traceback
import tracemalloc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf

from taskd.board.layout import CANARY, SEEN_ENOUGH
from taskd.clock import monotonic
from taskd.events import Events
from taskd.pool.canary.ledger import Ledger, traced_job
from taskd.pool.canary.lines import Lines, line_of
from taskd.pool.canary.outcomes import outcome_bytes
from taskd.pool.canary.pieces import FRAMES, pieces
from taskd.pool.canary.survivors import Cohort, Survivors
from taskd.pool.canary.verdict import spare_alike, weigh
from taskd.pool.events import LoopFailed
from taskd.pool.outbox import Outbox
from taskd.pool.place import Place
from taskd.store.connect import Connection
from taskd.store.leaks import ACCUSED_BYTES, Account, write_accounts

SWEEP_JOBS = 50
COST = 20
"""After a collection of garbage, or a look, there is none for so many times as long as it took."""

STORE_SECONDS = 5.0
FIRST_LOOK_JOBS = 40
LOOK_GROWTH = 1.6
"""All that is allocated is looked at with so many times the jobs of the last look."""

LEAST_JOBS, MOST_JOBS = 1000, 10_000
LEAST_JOBS_OF_LEAKER = 150
SURE_SHARE = 0.1
EARLY_SECONDS = 30.0
"""Before LEAST_JOBS nobody is accused, for small caches have yet to fill; but after so long, those
that leave more than others."""

MOST_SECONDS = 1800.0


class Canary:
    """The account of one canary, and what is done when; in one thread.

    If it fails, that is told and it has seen enough: its worker has jobs that are worth more.
    """

    def __init__(self, place: Place, events: Events) -> None:
        self._place = place
        self._events = events
        self._lines = Lines(place.settings.imports)
        self._survivors = Survivors()
        self._where: dict[str, str] = {}
        self._unstored: list[Account] = []
        self._told: list[Account] = []
        self._store_at = self._sweep_at = self._look_at = -inf
        self._look_jobs = float(FIRST_LOOK_JOBS)
        self._looked_jobs = 0
        self._began_at = monotonic()
        self._is_early = True
        self._is_line_known = False
        self._words = place.own.words
        # Before the ledger is asked for anything: what there is by now nobody has leaked.
        tracemalloc.start(FRAMES)
        self.ledger = Ledger()
        gc.callbacks.append(self._on_collection)
        self._words[CANARY] = 1

    def trace_switches(self) -> None:
        """Charge whoever ran at each switch of greenlets."""
        from greenlet import settrace

        settrace(self._on_switch)

    def leave_out(self, handler: logging.Handler) -> None:
        """Charge nobody with what a handler keeps: lines of logs, until they are stored."""
        emit = handler.emit

        def emit_aside(record: logging.LogRecord) -> None:
            self.ledger.charge(traced_job.get())
            emit(record)
            self.ledger.forget()

        handler.emit = emit_aside  # type: ignore[method-assign]  # this one handler's alone

    def begin(self, fence: int, task: str) -> Cohort:
        """A job begins here; what it does is to be called by its cohort."""
        cohort = self._survivors.begin(task)
        self.ledger.begin(fence)
        return cohort

    def end(self, fence: int, cohort: Cohort, outbox: Outbox) -> None:
        """The job here has ended; its outcome is in the outbox."""
        self.ledger.end(fence, cohort.task, outcome_bytes(outbox, fence))
        cohort.ended += 1

    @property
    def has_seen_enough(self) -> bool:
        """Whether its worker may drain; the master reads on the board whether that was why."""
        return bool(self._words[CANARY] == SEEN_ENOUGH)

    @property
    def has_news(self) -> bool:
        """Whether there is something to be stored."""
        return bool(self._unstored)

    def beat(self) -> bool:
        """Do what is due; whether there is something to be stored now, or it has seen enough."""
        try:
            return self._beat()
        except Exception:  # a border: what it looks at is the users' code
            return self._fail()

    def finish(self) -> None:
        """Look for the last time, when no job runs any more."""
        try:
            self._finish()
        except Exception:  # the same
            self._fail()

    def _fail(self) -> bool:
        self._events.emit(LoopFailed(self._place.name, "the canary", traceback.format_exc()))
        self._words[CANARY] = SEEN_ENOUGH
        self._unstored = []
        return True

    def _beat(self) -> bool:
        ledger, now = self.ledger, monotonic()
        if ledger.unswept >= SWEEP_JOBS and now >= self._sweep_at:
            self._sweep()
        was_early, self._is_early = self._is_early, self._is_early_at(now)
        is_time = was_early and not self._is_early
        if is_time or (ledger.jobs >= self._look_jobs and now >= self._look_at):
            self._look()
        if now < self._store_at:
            return False
        self._store_at = now + STORE_SECONDS
        if self._is_enough(self._sum_up(), now):
            self._words[CANARY] = SEEN_ENOUGH
        ledger.forget()
        return bool(self._unstored)

    def _is_early_at(self, now: float) -> bool:
        return self.ledger.jobs < LEAST_JOBS and now < self._began_at + EARLY_SECONDS

    def _finish(self) -> None:
        self._look()
        self._sum_up()

    def _look(self) -> None:
        """See what is alive, and where it was allocated."""
        began = monotonic()
        self._sweep()
        places = self._survivors.look(pieces())
        if not self._is_line_known:
            self._lines.look(places)
        self.ledger.forget()
        self._looked_jobs = jobs = self.ledger.jobs
        self._look_jobs = jobs * LOOK_GROWTH
        if jobs < LEAST_JOBS:
            self._look_jobs = min(self._look_jobs, LEAST_JOBS)
        self._look_at = monotonic() + COST * (monotonic() - began)

    def _sum_up(self) -> list[Account]:
        """Note what is to be stored."""
        accounts = weigh(self.ledger.charges(), self._survivors.estimates())
        if self._is_early:
            accounts = [replace(one, low=0.0) for one in accounts]
        elif self._looked_jobs < LEAST_JOBS:
            accounts = spare_alike(accounts)
        if not self._is_line_known:
            self._find_lines([one for one in accounts if one.bytes >= ACCUSED_BYTES])
        told = [replace(one, line=self._where.get(one.task)) for one in accounts]
        if told != self._told:  # an idle one has no news
            self._told = self._unstored = told
        return accounts

    def _find_lines(self, leaking: Sequence[Account]) -> None:
        self._where |= self._lines.find(one.task for one in leaking)
        survived = self._survivors.estimates()
        for one in leaking:
            if one.task in survived and survived[one.task].value >= one.bytes / 2:
                line = line_of(self._survivors.places(one.task))
                self._where |= {one.task: line} if line else {}

    def flush(self, connection: Connection, worker: int) -> None:
        """Store what was seen, if there is news; what fails comes again."""
        accounts = self._unstored
        if accounts:
            write_accounts(connection, self._place.pool, worker, accounts)
            if self._unstored is accounts:
                self._unstored = []

    def _sweep(self) -> None:
        began = monotonic()
        gc.collect()
        self.ledger.sweep()
        self.ledger.forget()
        self._sweep_at = monotonic() + COST * (monotonic() - began)

    def _is_enough(self, accounts: list[Account], now: float) -> bool:
        jobs = self.ledger.jobs
        if jobs >= MOST_JOBS or now >= self._began_at + MOST_SECONDS:
            return True
        leaking = [one for one in accounts if one.low >= ACCUSED_BYTES]
        if not leaking:
            return False
        worst = max(leaking, key=lambda one: one.bytes * one.jobs)
        is_sure = worst.high - worst.bytes <= SURE_SHARE * worst.bytes
        self._is_line_known = is_sure and worst.task in self._where
        return self._is_line_known and jobs >= LEAST_JOBS and worst.jobs >= LEAST_JOBS_OF_LEAKER

    # -- called from everywhere -------------------------------------------------------------------

    def _on_switch(self, event: str, args: tuple[object, object]) -> None:
        """Called by greenlet, in the one that runs now: charge the one that ran.

        A greenlet that waits has its stack copied to the heap. It is freed when the hub lets it go
        on; so what happens in the hub then is put down to who goes on.
        """
        context = getattr(args[0], "gr_context", None)
        ran = 0 if context is None else context.get(traced_job, 0)
        self.ledger.charge(ran or traced_job.get())

    def _on_collection(self, phase: str, info: Mapping[str, int]) -> None:
        """Called by the collector, in whoever runs."""
        if phase == "start":
            self.ledger.charge(traced_job.get())
        else:
            self.ledger.collected()

    def stop(self) -> None:
        """Trace no more."""
        with suppress(ValueError):  # it was stopped before
            gc.callbacks.remove(self._on_collection)
        tracemalloc.stop()
