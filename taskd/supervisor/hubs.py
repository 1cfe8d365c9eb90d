"""Watches the hubs of greenlet workers: whether they turn, and who computes when they do not.

A worker says with each beat when the next one is due. When that has passed, its hub stands still,
and the master notes what processor time the worker burns, and reads from the worker's Seating what
it answers when it is asked. What follows from it is the plan's to say (`ladder`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from taskd.board import Board, SlotReading, Why, WorkerState
from taskd.clock import monotonic
from taskd.supervisor.child import Worker
from taskd.supervisor.evidence import Evidence, read_evidence
from taskd.supervisor.ladder import HubView

NOTICE_SECONDS = 0.1
"""A beat may be late by so much, and nobody looks closer."""

BURNING_SHARE = 0.1
WANTING_SHARE, WANTING_SECONDS = 0.5, 0.25
"""Who burns such a part of the time computes. On a crowded machine, so does whoever has burned so
many seconds and wanted the processor for such a part of the time."""

WRITTEN_SECONDS = 0.3
_NS = 1_000_000_000
_TICKS = os.sysconf("SC_CLK_TCK")
_STATE, _UTIME, _STIME = 0, 11, 12  # fields of /proc/PID/stat, counted after the name


@dataclass(frozen=True, slots=True)
class Process:
    """What the kernel says of a process.

    ran, waited: how long its first thread, which has the hub, was on a processor, and wanted one.
    Where the kernel does not tell, both are 0.
    """

    processor_seconds: float
    is_stopped: bool
    ran: float = 0.0
    waited: float = 0.0


@dataclass(slots=True, kw_only=True)
class Standstill:
    """One hub from the moment its beat was due; times are seconds of the monotonic clock."""

    pid: int
    beat: int
    since: float
    noticed_at: float
    process: Process
    """As it was then."""

    burns: bool = False
    asked_at: float | None = None
    asked_c_at: float | None = None
    text: str = ""
    text_at: float = 0.0
    evidence: Evidence | None = None
    answered: bool = False
    over: Why | None = None
    has_due: bool = False
    broken: int = 0
    broken_at: float = 0.0
    reported: bool = False
    ended_after: float | None = None

    @property
    def hog(self) -> int:
        """The job that computes; 0 if it is none, or not known."""
        return 0 if self.evidence is None else self.evidence.job

    def view(self, now: float) -> HubView:
        """How the plan sees it."""
        return HubView(
            stands=now - self.since if self.ended_after is None else self.ended_after,
            burns=self.burns,
            asked_at=self.asked_at,
            asked_c_at=self.asked_c_at,
            answered=self.answered,
            hog=self.hog,
            over=self.over,
            broken_at=self.broken_at if self.broken == self.hog != 0 else None,
            has_due=self.has_due,
            reported=self.reported,
            is_over=self.ended_after is not None,
        )

    def hears(self, text: str, jobs: Sequence[int], process: Process, now: float) -> None:
        """Take the answer. If another job computes now, nobody has done so for long.

        An answer that names no job may be one that is still being written.
        """
        if text != self.text:
            self.text, self.text_at = text, now
        evidence = read_evidence(text, jobs)
        if evidence is None or not (evidence.is_whole or now >= self.text_at + WRITTEN_SECONDS):
            return
        if self.hog not in (0, evidence.job):
            self.since = self.noticed_at = now
            self.process, self.burns = process, False
        self.evidence, self.answered = evidence, True

    def measure(self, process: Process, now: float) -> None:
        """See whether the process has computed since it was noticed."""
        seconds = now - self.noticed_at
        ran = process.ran - self.process.ran
        wanted = ran + process.waited - self.process.waited
        is_crowded_out = ran > WANTING_SECONDS and wanted > WANTING_SHARE * seconds
        burned = process.processor_seconds - self.process.processor_seconds
        self.burns = burned > BURNING_SHARE * seconds or is_crowded_out


class Hubs:
    """What is known of each hub that stands still, by its worker's slot."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._standstills: dict[int, Standstill] = {}
        self._excused_at = 0.0

    def __getitem__(self, slot: int) -> Standstill | None:
        return self._standstills.get(slot)

    @property
    def is_any_still(self) -> bool:
        """Whether some hub stands still, so that the master should look again soon."""
        return bool(self._standstills)

    def excuse(self) -> None:
        """The master itself stood still: what looks late may have been in time, so begin anew."""
        self._standstills.clear()
        self._excused_at = monotonic()

    def forget(self, slot: int) -> None:
        """Its worker is gone."""
        self._standstills.pop(slot, None)

    def look(self, worker: Worker, reading: SlotReading) -> HubView | None:
        """How a hub stands; None while it turns. One that turns again is seen once more."""
        if worker.is_process or reading.pid != worker.pid or not reading.due:
            return None
        now = monotonic()
        known = self._standstills.get(worker.slot)
        if known is None or known.pid != worker.pid or known.ended_after is not None:
            self.forget(worker.slot)
            if reading.state is not WorkerState.EXITING:
                self._notice(worker, reading, now)
            return None
        process = look_at_process(worker.pid)
        if process is None or process.is_stopped:
            self.forget(worker.slot)
            return None
        if known.beat != reading.beat:
            known.ended_after = reading.stood / _NS
        self._observe(worker, known, reading, process, now)
        if known.ended_after is None:
            known.measure(process, now)
        return known.view(now)

    def _notice(self, worker: Worker, reading: SlotReading, now: float) -> None:
        """Begin to watch a hub whose beat is late."""
        if now < reading.due / _NS + NOTICE_SECONDS:
            worker.cancels.clear()  # it hears of them itself
            return
        process = look_at_process(worker.pid)
        if process is not None and not process.is_stopped:
            self._standstills[worker.slot] = Standstill(
                pid=worker.pid,
                beat=reading.beat,
                since=max(reading.due / _NS, self._excused_at),
                noticed_at=now,
                process=process,
            )

    def _observe(
        self,
        worker: Worker,
        known: Standstill,
        reading: SlotReading,
        process: Process,
        now: float,
    ) -> None:
        """Read what the worker has answered, and what its seats say."""
        seating = worker.open_seating(reading.seating)
        jobs = self._board.slot(worker.slot).seats
        if seating is not None and known.asked_at is not None:
            known.hears(seating.read(), jobs, process, now)
        if seating is None:
            return
        now_ns = int(now * _NS)
        overdue = {
            job
            for job, deadline in zip(jobs[: seating.seats], seating.deadlines, strict=True)
            if 0 < deadline < now_ns
        }
        known.has_due = bool(overdue or worker.cancels or reading.told)
        known.over = None
        if known.hog in worker.cancels:
            known.over = Why.CANCEL
        elif known.hog in overdue:
            known.over = Why.TIMEOUT


def look_at_process(pid: int) -> Process | None:
    """Look at a process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    seconds = (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS
    return Process(seconds, fields[_STATE] in ("T", "t"), *_look_at_first_thread(pid))


def _look_at_first_thread(pid: int) -> tuple[float, float]:
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as schedstat:
            ran, waited, _ = map(int, schedstat.read().split())
    except (OSError, ValueError):
        return 0.0, 0.0
    return ran / _NS, waited / _NS
