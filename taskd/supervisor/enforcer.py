"""Carries out what the plan says about running jobs: signals, questions, sentences for people."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import assert_never

from taskd.board import Board, SlotReading, Why
from taskd.board.layout import BREAK, BREAK_WHY, TELL
from taskd.board.seating import DUMP_SIGNAL
from taskd.clock import monotonic
from taskd.events import Events
from taskd.supervisor.actions import Ask, Break, Dump, Report, Warn
from taskd.supervisor.child import Worker
from taskd.supervisor.events import JobOverTime
from taskd.supervisor.evidence import Evidence, others_of, stack_of
from taskd.supervisor.hubs import Hubs, Standstill
from taskd.supervisor.job_events import HubBlocked, HubTurnsAgain, JobBroken

JobAction = Warn | Ask | Report | Break | Dump

QUIET_SECONDS = 60.0
"""Of the same line of the same task there is no more than one warning in so long."""

MOST_REMEMBERED = 1000
MOST_STACK = 20_000
NOBODY = Evidence(0, "", "")


@dataclass(slots=True)
class _Reports:
    """Keeps a task that blocks its hub again and again from filling the log."""

    told: dict[tuple[str, str, str], float] = field(default_factory=dict)
    silent: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def admit(self, key: tuple[str, str, str], now: float) -> int | None:
        """How many were kept quiet since the last one; None: keep this one quiet, too."""
        if len(self.told) > MOST_REMEMBERED:
            self.told.clear()
        if now < self.told.get(key, 0.0):
            self.silent[key] = self.silent.get(key, 0) + 1
            return None
        self.told[key] = now + QUIET_SECONDS
        return self.silent.pop(key, 0)


class Enforcer:
    """The long arm of the plan."""

    def __init__(self, board: Board, hubs: Hubs, events: Events) -> None:
        self._board = board
        self._hubs = hubs
        self._events = events
        self._reports = _Reports()

    def act(self, worker: Worker, action: JobAction) -> None:
        """Carry out one action of the plan."""
        match action:
            case Warn():
                self._warn(worker, action)
            case Ask():
                self._ask(worker, action)
            case Report():
                self._report(worker, action)
            case Break():
                self._break(worker, action)
            case Dump():
                self._dump(worker, action)
            case unknown:
                assert_never(unknown)

    def cancel(self, worker: Worker, job: int) -> None:
        """End a cancelled job whose worker does not hear: it computes, or its hub stands still.

        A hub that turns hears of it by itself; one that stands is asked who computes there.
        """
        now = monotonic()
        if worker.is_process:
            worker.cancels = {job: worker.cancels.get(job, now)}
        else:
            worker.cancels.setdefault(job, now)
        if worker.is_process or not self._read(worker).due:
            worker.signal(signal.SIGUSR1)

    def stacks(self, worker: Worker, job: int) -> tuple[str, str]:
        """Where a job stood and where the others waited, as far as its worker has written it."""
        seating = worker.open_seating(self._read(worker).seating)
        if seating is None:
            return "", ""
        text = seating.read()
        known = self._hubs[worker.slot]
        if known is not None and not stack_of(text, job):
            text = known.text  # what it answered last
        return stack_of(text, job)[:MOST_STACK], others_of(text, job)[:MOST_STACK]

    def _warn(self, worker: Worker, action: Warn) -> None:
        self._events.emit(JobOverTime(worker.pool, worker.slot, action.job))
        worker.warned, worker.warned_at = action.attempt, monotonic()
        worker.signal(signal.SIGUSR1)

    def _ask(self, worker: Worker, action: Ask) -> None:
        known = self._hubs[worker.slot]
        reading = self._read(worker)
        seating = worker.open_seating(reading.seating)
        if known is None or seating is None:
            return
        now = monotonic()
        if action.in_c:
            known.asked_c_at = now
            self._ask_in_c(worker, reading)
        else:
            known.asked_at, known.answered = now, False
            seating.empty()
            self._signal(worker, tell=False)

    def _break(self, worker: Worker, action: Break) -> None:
        known = self._hubs[worker.slot]
        if known is None:
            return
        known.broken, known.broken_at = action.job, monotonic()
        words = self._board.slot(worker.slot).words
        words[BREAK] = 0
        words[BREAK_WHY] = action.why
        words[BREAK] = action.job
        self._signal(worker, tell=False)
        seconds = monotonic() - known.since
        who = known.evidence or NOBODY
        self._events.emit(
            JobBroken(
                worker.pool, worker.slot, action.job, who.task, who.place, action.why.name, seconds
            )
        )

    def _dump(self, worker: Worker, action: Dump) -> None:
        worker.dumped, worker.dumped_at = action.job, monotonic()
        reading = self._read(worker)
        seating = worker.open_seating(reading.seating)
        if seating is None:
            return
        seating.empty()
        if not worker.is_process:
            self._signal(worker, tell=True)
        if worker.is_process or self._hubs[worker.slot] is not None:
            self._ask_in_c(worker, reading)

    def _signal(self, worker: Worker, tell: bool) -> None:
        self._board.slot(worker.slot).words[TELL] = int(tell)
        worker.signal(signal.SIGUSR1)

    def _ask_in_c(self, worker: Worker, reading: SlotReading) -> None:
        if worker.may_dump(reading.seating):
            worker.signal(DUMP_SIGNAL)

    def _report(self, worker: Worker, action: Report) -> None:
        known = self._hubs[worker.slot]
        if known is None:
            return
        if action.is_over and known.reported:
            self._events.emit(HubTurnsAgain(worker.pool, worker.slot, action.seconds))
            return
        known.reported = True
        self._tell_hog(worker, known, action.seconds)

    def _tell_hog(self, worker: Worker, known: Standstill, seconds: float) -> None:
        who = known.evidence or NOBODY
        earlier = self._reports.admit((worker.pool, who.task, who.place), monotonic())
        if earlier is not None:
            self._events.emit(
                HubBlocked(worker.pool, worker.slot, who.job, who.task, who.place, seconds, earlier)
            )

    def _read(self, worker: Worker) -> SlotReading:
        return self._board.slot(worker.slot).read()


def why_in_words(why: Why | None) -> str:
    """The word that maintenance is told."""
    return "" if why is None else why.name.lower()
