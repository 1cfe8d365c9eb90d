"""How a running job is ended, rung by rung: pure, as all of the plan.

                         soft                          hard, when `kill_grace` is over
    process job          SIGUSR1 raises in it          SIGKILL
    greenlet, hub turns  the worker throws             SIGKILL, once the worker says whom it told
    greenlet, hub stands SIGUSR1 raises in the job     SIGKILL, if the same job still computes
                         that computes

A hub that stands still has no voice, so the master asks who computes: by SIGUSR1, and if Python
does not come to answer, by DUMP_SIGNAL, which C code answers. Three things make that job one to be
ended: it was cancelled, it is over its own timeout, or it has let no other job run for `hub_break`.
One that computes in C for ever, and is neither cancelled nor over a timeout, has until `hub_kill`.

Only a worker that burns processor time is held up by a job: one that is stopped or starved, or
waits for a pipe, is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskd.board import Why
from taskd.config.sections import PoolSettings
from taskd.supervisor.actions import Action, Ask, Break, Dump, Kill, Report

ASK_SECONDS = 1.0
"""So often a hub that stands still is asked who computes there."""

ANSWER_SECONDS = 0.3
"""A worker that has not answered by then executes no Python."""

OVERTIME_SECONDS = 0.3
"""For so long a hub must stand still before it matters that some job is over its own time."""

DUMP_SECONDS = 0.25
"""So long a worker gets to write its stacks before it is killed."""

STALE_SECONDS = 5.0
SHORTEST_GRACE = 0.3
"""The board may say for so long that a job runs which has just ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldView:
    """The job that its worker told to end first; `at` as in WorkerView."""

    job: int
    why: Why
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HubView:
    """A hub that stands still, or has just turned again; times as in WorkerView.

    `stands` is for how many seconds, with the same job computing as far as is known; `burns`
    whether the worker used processor time meanwhile. `asked_at` is when it was last asked who
    computes, `asked_c_at` when in C; `answered` whether it has since. `hog` is that job, 0 if it is
    none or not known, `over` why it is to end by rights of its own; `broken_at` is when it was
    first told. `has_due`: some job of the worker, whichever, is over its time or cancelled.
    """

    stands: float
    burns: bool = True
    asked_at: float | None = None
    asked_c_at: float | None = None
    answered: bool = False
    hog: int = 0
    over: Why | None = None
    broken_at: float | None = None
    has_due: bool = False
    reported: bool = False
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Ladder:
    """One worker's jobs on the ladder, at one moment."""

    slot: int
    settings: PoolSettings
    now: float
    dumped: int = 0
    dumped_at: float | None = None

    def about_warned(self, job: int, why: Why, at: float) -> Iterator[Action]:
        """A process worker's job that was told to end by a signal."""
        if self.now >= at + self.settings.kill_grace:
            yield from self._end(job, why)

    def about_told(self, told: ToldView, hub: HubView | None) -> Iterator[Action]:
        """What a job that its worker told to end, and that has not, asks for.

        What the board says is old if the hub stands still because of another job.
        """
        if hub is not None and not hub.is_over and hub.hog != told.job:
            return
        if self.now >= told.at + max(self.settings.kill_grace, SHORTEST_GRACE):
            yield from self._end(told.job, told.why)

    def about_hub(self, hub: HubView) -> Iterator[Action]:
        """What a hub that stands still asks for."""
        if self._is_to_be_told(hub):
            yield Report(self.slot, hub.stands, hub.is_over)
        if hub.is_over:
            return
        if hub.burns and hub.stands >= self.settings.hub_kill:
            yield from self._end(hub.hog, hub.over or Why.HOG)
        elif hub.hog and hub.over is not None and hub.answered and self._is_grace_over(hub):
            yield from self._end(hub.hog, hub.over)
        else:
            yield from self._question(hub)
            yield from self._soft(hub)

    def _soft(self, hub: HubView) -> Iterator[Action]:
        why = hub.over or self._too_long(hub)
        if hub.hog and why is not None and hub.broken_at is None:
            yield Break(self.slot, hub.hog, why)

    def _is_to_be_told(self, hub: HubView) -> bool:
        """Once it is long enough and known who it is; and once more when a long one is over."""
        limit = self.settings.hub_warn
        if not hub.burns or hub.stands < limit:
            return False
        if hub.is_over:
            return not hub.reported or hub.stands >= 2 * limit
        return not hub.reported and (hub.answered or hub.stands >= limit + ASK_SECONDS)

    def _question(self, hub: HubView) -> Iterator[Action]:
        is_suspect = hub.burns and hub.stands >= self.settings.hub_warn / 2
        is_late = hub.has_due and hub.stands >= OVERTIME_SECONDS
        if hub.asked_at is None or self.now >= hub.asked_at + ASK_SECONDS:
            if is_suspect or is_late:
                yield Ask(self.slot)
        elif (
            not hub.answered
            and self.now >= hub.asked_at + ANSWER_SECONDS
            and (hub.asked_c_at is None or hub.asked_c_at < hub.asked_at)
        ):
            yield Ask(self.slot, in_c=True)

    def _too_long(self, hub: HubView) -> Why | None:
        return Why.HOG if hub.burns and hub.stands >= self.settings.hub_break else None

    def _is_grace_over(self, hub: HubView) -> bool:
        began = hub.broken_at
        return began is not None and self.now >= began + self.settings.kill_grace

    def _end(self, job: int, why: Why) -> Iterator[Action]:
        """Kill the worker, after it has written where everybody stands."""
        waited = None if self.dumped_at is None else self.now - self.dumped_at
        if self.dumped != job or waited is None or waited > STALE_SECONDS:
            yield Dump(self.slot, job)
        elif waited >= DUMP_SECONDS:
            yield Kill(self.slot, _reason(job, why), charge=not job, culprit=job, why=why)


def _reason(job: int, why: Why) -> str:
    who = f"job {job}" if job else "something that is no job of its own"
    match why:
        case Why.TIMEOUT:
            return f"{who} ran over its timeout and did not end"
        case Why.CANCEL:
            return f"{who} was cancelled and did not end"
        case Why.HOG:
            return f"{who} let no other job run"
        case Why.MEMORY:
            return f"{who} took too much memory"
