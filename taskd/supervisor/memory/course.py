"""The memory of one worker, from its first look to its last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from taskd.board.memory import WINDOW_SECONDS, SlotMemory
from taskd.supervisor.memory.procfs import Process, private_memory, proportional_memory
from taskd.supervisor.memory.rules import Held


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes that a worker holds for itself, and those that all processes below it hold."""

    own: int
    children: int = 0

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.own + self.children


@dataclass(slots=True, eq=False)
class Course:
    """What one worker has held; `fresh` is what it held when it was ready, 0 before that.

    `before` is what it held just before each of its running jobs began. `alone` is the job that no
    other has run beside or ended beside since the worker held `alone_from`; 0 if there is none.
    """

    pid: int
    now: Reading = field(default_factory=lambda: Reading(0))
    peak: int = 0
    fresh: int = 0
    window: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW_SECONDS))
    before: dict[int, int] = field(default_factory=dict)
    alone: int = 0
    alone_from: int = 0
    done: int = 0

    def take(
        self,
        reading: Reading,
        is_ready: bool,
        jobs: Sequence[int] = (),
        done: int = 0,
        fresh: int = 0,
    ) -> None:
        """Take one more reading, at which these jobs run and so many have ended.

        `fresh` is what the worker says that it held when it was ready; 0: it does not say.
        """
        earlier = self.now.bytes if self.window else reading.bytes
        self._see_who_is_alone(jobs, done, earlier, reading.bytes)
        self.before = {job: self.before.get(job, earlier) for job in jobs}
        self.now = reading
        self.peak = max(self.peak, reading.bytes)
        self.window.append(reading.bytes)
        if is_ready and not self.fresh:
            self.fresh = min(fresh + reading.children, reading.bytes) if fresh else reading.bytes

    def _see_who_is_alone(self, jobs: Sequence[int], done: int, earlier: int, now: int) -> None:
        """What grew since the last reading may be another job's, that has run meanwhile."""
        only = jobs[0] if len(jobs) == 1 else 0
        had_company = done != self.done or any(job != only for job in self.before)
        if had_company:
            self.alone_from = now
        elif only != self.alone:
            self.alone_from = earlier
        self.alone, self.done = only, done

    def held(self, gives_way: str = "") -> Held | None:
        """How the plan sees it; nothing before the worker was ready."""
        if not self.fresh:
            return None
        held = self.now.bytes
        grown = max(held - self.fresh, 1)
        suspects = (job for job, before in self.before.items() if 2 * (held - before) >= grown)
        is_alone = self.alone != 0 and 2 * (held - self.alone_from) >= grown
        return Held(
            bytes=held,
            suspects=tuple(suspects),
            is_alone=is_alone,
            gives_way=gives_way,
        )

    @property
    def told(self) -> SlotMemory:
        """What the board is to tell."""
        return SlotMemory(
            bytes=self.now.bytes,
            children=self.now.children,
            low=min(self.window, default=0),
            high=max(self.window, default=0),
            peak=self.peak,
        )


def look(process: Process, limits: Iterable[int] = ()) -> Reading | None:
    """Look at a worker and at all below it; None if it is gone.

    A child that was forked shares pages with its parent, which would count twice. So where children
    make the difference to one of the limits, they are looked at more closely, which takes a
    millisecond each.
    """
    own = process.private()
    if own is None:
        return None
    children = list(process.descendants())
    reading = Reading(own, sum(map(private_memory, children)))
    if children and any(own <= limit < reading.bytes for limit in limits):
        return Reading(own, sum(map(proportional_memory, children)))
    return reading
