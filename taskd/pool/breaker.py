"""What a greenlet worker does when the master sends SIGUSR1, because its hub stands still.

The handler runs in the greenlet that computes, as soon as Python comes to its next step: at once in
a Python loop, at the end of a call into C. It writes down where that one stands, and raises in it
if that is due. Of a call into C that does not end the master gets the stack alone (DUMP_SIGNAL).
"""

from __future__ import annotations

import faulthandler
import signal
from time import perf_counter
from types import FrameType

from greenlet import getcurrent, greenlet

from taskd.board import Seating, Why
from taskd.board.layout import BEAT, BREAK, BREAK_WHY, LOOK, SEATING, TELL
from taskd.board.seating import DUMP_SIGNAL
from taskd.clock import monotonic_ns
from taskd.errors import HubBlocked, Interrupt, JobCancelled, JobTimeout
from taskd.pool import stacks
from taskd.pool.slots import Seat, Slots
from taskd.pool.told import Told
from taskd.tasks.context import JobAttempt, running_attempt


class Breaker:
    """Breaks the job that has the hub, if its time is over, or the master has found it to block."""

    def __init__(self, words: memoryview, slots: Slots, seating: Seating, told: Told) -> None:
        self._words = words
        self._slots = slots
        self._seating = seating
        self._told = told

    def install(self) -> None:
        """Answer from now on."""
        signal.signal(signal.SIGUSR1, self._on_signal)
        faulthandler.register(DUMP_SIGNAL, self._seating.fd, all_threads=False)
        self._words[SEATING] = self._seating.fd

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        attempt = running_attempt.get(None)  # known also in greenlets that the job has spawned
        if attempt is not None and not attempt.is_open:
            attempt = None  # it has ended, and has left something behind
        whose = "no job" if attempt is None else f"job {attempt.id} {attempt.task}"
        self._seating.write(f"{stacks.format_frames(frame)}{whose}\n")
        if self._words[TELL]:
            self._seating.write(stacks.format_stacks(self.describe))
        seat = next((one for one in self._slots.seats if one.attempt is attempt), None)
        if seat is not None and attempt is not None and attempt.takes_interrupts:
            self._judge(seat, attempt)

    def _judge(self, seat: Seat, attempt: JobAttempt) -> None:
        """Whoever computes now is not to blame unless it has been told so, or is over its time."""
        words = self._words
        is_found = words[BREAK] == attempt.id
        if words[LOOK] == attempt.id or (is_found and words[BREAK_WHY] == Why.CANCEL):
            self._break(seat, attempt, Why.CANCEL, JobCancelled())
        elif perf_counter() >= seat.deadline:
            self._break(seat, attempt, Why.TIMEOUT, JobTimeout(seat.deadline - seat.started))
        elif is_found and words[BREAK_WHY] == Why.HOG:
            blocked = (monotonic_ns() - words[BEAT]) / 1e9
            self._break(seat, attempt, Why.HOG, HubBlocked(blocked))

    def _break(self, seat: Seat, attempt: JobAttempt, why: Why, interrupt: Interrupt) -> None:
        if not self._told.note(attempt, why):
            return
        if seat.greenlet is not getcurrent():  # it computes in a greenlet of the job's own
            self._slots.interrupt(seat, attempt, interrupt)
        raise interrupt

    def describe(self, other: greenlet) -> str | None:
        """Say what a greenlet of this worker is for; None if it is an idle slot."""
        for seat, attempt in self._slots.running():
            if seat.greenlet is other:
                seconds = perf_counter() - seat.started
                return f"job {attempt.id} ({attempt.task}), running for {seconds:.1f} s:"
        is_idle = any(seat.greenlet is other for seat in self._slots.seats)
        return None if is_idle else f"{other!r}:"
