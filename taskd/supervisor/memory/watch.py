"""Looks at the memory of the tree once a second, and keeps what follows from it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from taskd.board import Board, Slot, SlotReading, WorkerState, write_memory
from taskd.board.layout import FAILED, FRESH, RETRIED, SUCCEEDED
from taskd.clock import monotonic
from taskd.config.memory import MemorySettings
from taskd.config.sections import PoolSettings
from taskd.config.units import parse_share, roughly
from taskd.events import Events
from taskd.supervisor.child import Worker, how_it_ended
from taskd.supervisor.memory.budget import Candidate
from taskd.supervisor.memory.canaries import Canaries
from taskd.supervisor.memory.course import Course, look
from taskd.supervisor.memory.events import FreshOverLimit
from taskd.supervisor.memory.machine import Machine
from taskd.supervisor.memory.oom import KernelKills, is_sigkill
from taskd.supervisor.memory.procfs import Process, private_memory
from taskd.supervisor.memory.relief import Relief
from taskd.supervisor.memory.rules import Held, Limits, is_over_hard
from taskd.supervisor.memory.suspicion import Suspicions

LOOK_SECONDS = 1.0
MACHINE_SECONDS = 10.0
"""So often it is looked how much memory there is."""


@dataclass(slots=True, eq=False)
class _Watched:
    process: Process
    course: Course


class MemoryWatch:
    """What each worker holds, by its slot; the board tells it to others."""

    def __init__(self, board: Board, events: Events, machine: Machine | None = None) -> None:
        self._board = board
        self._events = events
        self._machine = machine or Machine()
        self._kernel_kills = KernelKills(self._machine)
        self._there_is = 0
        self._watched: dict[int, _Watched] = {}
        self._over_hard: set[int] = set()
        self._fresh: dict[str, int] = {}
        self._useless: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str, int]] = set()
        self.canaries = Canaries()
        self._suspicions = Suspicions(board, events, self.canaries.suspect)
        self._relief = Relief(self._machine, events)
        self._next_look = self._next_machine = 0.0

    # -- looking ----------------------------------------------------------------------------------

    def look(
        self,
        workers: Sequence[Worker],
        helpers: Sequence[int],
        pools: Mapping[str, PoolSettings],
    ) -> None:
        """Look at all, if it is time to; at a worker that has just become ready in any case.

        `helpers` are the pids of the tree's other processes.
        """
        now = monotonic()
        if now >= self._next_machine:
            self._next_machine = now + MACHINE_SECONDS
            self._there_is = self._machine.total()
            self._kernel_kills.forget()
        is_time = now >= self._next_look
        for worker in workers:
            if worker.pid and (is_time or self._is_news(worker)):
                self._look(worker, pools.get(worker.pool, PoolSettings()))
        if is_time:
            self._next_look = now + LOOK_SECONDS
            self._look_at_all(workers, helpers, pools, now)
            self._suspicions.look(workers)

    def course(self, slot: int) -> Course | None:
        """What the worker of a slot has held; None if it was not looked at yet."""
        watched = self._watched.get(slot)
        return None if watched is None else watched.course

    def how_it_ended(self, slot: int, status: int) -> str:
        """How a worker ended that nobody here has killed, with the part of the kernel in it.

        Of one that a signal has ended also what it held when it was last looked at.
        """
        how = how_it_ended(status)
        if is_sigkill(status) and self._kernel_kills.take():
            how = "killed by the kernel, which had run out of memory"
        course = self.course(slot)
        if course is None or not os.WIFSIGNALED(status):
            return how
        return f"{how}; it last held {roughly(course.now.bytes)}"

    def forget(self, slot: int) -> None:
        """Its worker is gone."""
        self._suspicions.forget(slot)
        self._over_hard.discard(slot)
        watched = self._watched.pop(slot, None)
        if watched is not None:
            watched.process.close()

    def _is_news(self, worker: Worker) -> bool:
        """Whether it is ready now and was not at the last look: nothing has grown in it yet."""
        course = self.course(worker.slot)
        return (course is None or not course.fresh) and self._is_ready(worker)

    def _is_ready(self, worker: Worker) -> bool:
        reading: SlotReading = self._board.slot(worker.slot).read()
        return reading.pid == worker.pid and reading.state >= WorkerState.READY

    def _look(self, worker: Worker, settings: PoolSettings) -> None:
        watched = self._watched.get(worker.slot)
        if watched is None:
            watched = _Watched(Process(worker.pid), Course(worker.pid))
            self._watched[worker.slot] = watched
        limits = self._resolve(settings.memory)
        reading = look(watched.process, (one for one in (limits.soft, limits.hard) if one))
        if reading is None:
            return  # it has ended: what it held last stands
        slot, course = self._board.slot(worker.slot), watched.course
        was_fresh = bool(course.fresh)
        jobs = slot.seated() if limits.hard is not None else ()
        course.take(reading, self._is_ready(worker), jobs, _done(slot), slot.words[FRESH])
        write_memory(slot, course.told)
        if course.fresh and not was_fresh and not worker.is_canary:  # that one holds more
            self._judge(worker.pool, course.fresh, limits)
        if is_over_hard(course.held(), self.limits(worker.pool, settings)):
            self._over_hard.add(worker.slot)
        else:
            self._over_hard.discard(worker.slot)

    # -- limits -----------------------------------------------------------------------------------

    def limits(self, pool: str, settings: PoolSettings) -> Limits:
        """The limits of a pool's workers, but for those that help nobody."""
        limits = self._resolve(settings.memory)
        return Limits(
            soft=None if (pool, "soft") in self._useless else limits.soft,
            hard=None if (pool, "hard") in self._useless else limits.hard,
        )

    def held(self, slot: int) -> Held | None:
        """What a worker holds, as the plan sees it."""
        course = self.course(slot)
        if course is None:
            return None
        return course.held(gives_way=self._relief.why(course.pid))

    @property
    def is_any_over_hard(self) -> bool:
        """Whether some worker is about to be killed."""
        return bool(self._over_hard)

    def _resolve(self, memory: MemorySettings) -> Limits:
        return Limits(soft=self._bytes(memory.soft), hard=self._bytes(memory.hard))

    def _bytes(self, limit: int | str | None) -> int | None:
        if isinstance(limit, str):
            return int(parse_share(limit) * self._there_is) or None
        return limit

    def _judge(self, pool: str, fresh: int, limits: Limits) -> None:
        """See whether a worker that has done nothing yet is over a limit: then it helps nobody."""
        self._fresh[pool] = fresh
        for name, limit in (("soft", limits.soft), ("hard", limits.hard)):
            if limit is None or fresh <= limit:
                self._useless.discard((pool, name))
                continue
            self._useless.add((pool, name))
            if (pool, name, limit) not in self._told:
                self._told.add((pool, name, limit))
                self._events.emit(FreshOverLimit(pool, name, limit, fresh))

    # -- the whole tree ---------------------------------------------------------------------------

    def _look_at_all(
        self,
        workers: Sequence[Worker],
        helpers: Sequence[int],
        pools: Mapping[str, PoolSettings],
        now: float,
    ) -> None:
        held = {pid: private_memory(pid) for pid in helpers}
        held |= {one.course.pid: one.course.now.bytes for one in self._watched.values()}
        budgets = {
            name: budget
            for name, settings in pools.items()
            if (budget := self._bytes(settings.memory.host_budget)) is not None
        }
        self._relief.look(held, list(self._candidates(workers, pools, now)), budgets, now)

    def _candidates(
        self, workers: Iterable[Worker], pools: Mapping[str, PoolSettings], now: float
    ) -> Iterator[Candidate]:
        for worker in workers:
            course = self.course(worker.slot)
            settings = pools.get(worker.pool)
            if course is None or settings is None or not course.fresh or worker.is_leaving:
                continue
            if now - worker.started_at >= settings.memory.min_lifetime:
                yield Candidate(
                    pid=worker.pid,
                    pool=worker.pool,
                    bytes=course.now.bytes,
                    fresh=self._fresh.get(worker.pool, course.fresh),
                )


def _done(slot: Slot) -> int:
    words = slot.words
    return int(words[SUCCEEDED] + words[FAILED] + words[RETRIED])
