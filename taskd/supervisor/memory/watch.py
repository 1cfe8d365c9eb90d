"""Looks at the memory of the tree once a second, and keeps what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskd.board import Board, SlotReading, WorkerState, write_memory
from taskd.clock import monotonic
from taskd.config.memory import MemorySettings
from taskd.config.sections import PoolSettings
from taskd.config.units import parse_share, roughly
from taskd.events import Events
from taskd.supervisor.child import Worker, how_it_ended
from taskd.supervisor.memory.budget import SETTLE_SECONDS, Candidate, want_of, who_gives_way
from taskd.supervisor.memory.course import Course, look
from taskd.supervisor.memory.events import FreshOverLimit, NobodyGivesWay
from taskd.supervisor.memory.machine import Machine
from taskd.supervisor.memory.oom import KernelKills, is_sigkill
from taskd.supervisor.memory.procfs import Process, private_memory, proportional_memory
from taskd.supervisor.memory.rules import Held, Limits, is_over_hard
from taskd.supervisor.memory.suspicion import Suspicions

LOOK_SECONDS = 1.0
MACHINE_SECONDS = 10.0
"""So often it is looked how much memory there is."""

EXACT_SECONDS = 30.0
EXACT_PROCESSES = 8
"""So often, and for so many of the largest processes, shared pages are told from others."""


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
        self._fresh: dict[str, int] = {}
        self._useless: set[tuple[str, str]] = set()
        self._told: set[FreshOverLimit] = set()
        self._suspicions = Suspicions(board, events)
        self._giving_way: tuple[int, int, str] | None = None
        self._settled_at = 0.0
        self._is_told_short = False
        self._own_share, self._own_share_at = 1.0, 0.0
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
        """How a worker ended that nobody here has killed, with the part of the kernel in it."""
        course = self.course(slot)
        if not is_sigkill(status) or not self._kernel_kills.take():
            return how_it_ended(status)
        held = f"; it last held {roughly(course.now.bytes)}" if course is not None else ""
        return f"killed by the kernel, which had run out of memory{held}"

    def forget(self, slot: int) -> None:
        """Its worker is gone."""
        self._suspicions.forget(slot)
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
        lowest = min((one for one in (limits.soft, limits.hard) if one is not None), default=None)
        reading = look(watched.process, lowest)
        if reading is None:
            return  # it has ended: what it held last stands
        slot, course = self._board.slot(worker.slot), watched.course
        was_fresh = bool(course.fresh)
        jobs = slot.seated() if limits.hard is not None else ()
        course.take(reading, self._is_ready(worker), jobs)
        write_memory(slot, course.told)
        if course.fresh and not was_fresh:
            self._judge(worker.pool, course.fresh, limits)

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
        giving = self._giving_way
        if giving is None or giving[:2] != (slot, course.pid):
            return course.held()
        return course.held(gives_way=f"it has grown most, and {giving[2]}")

    def is_over_hard(self, slot: int, pool: str, settings: PoolSettings) -> bool:
        """Whether a worker is about to be killed."""
        return is_over_hard(self.held(slot), self.limits(pool, settings))

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
            if not any(
                (one.pool, one.limit, one.size) == (pool, name, limit) for one in self._told
            ):
                told = FreshOverLimit(pool, name, limit, fresh)
                self._told.add(told)
                self._events.emit(told)

    # -- the whole tree ---------------------------------------------------------------------------

    def _look_at_all(
        self,
        workers: Sequence[Worker],
        helpers: Sequence[int],
        pools: Mapping[str, PoolSettings],
        now: float,
    ) -> None:
        if self._is_giving_way(now) or now < self._settled_at:
            return
        budgets = {
            name: budget
            for name, settings in pools.items()
            if (budget := self._bytes(settings.memory.host_budget)) is not None
        }
        total = self._total(helpers, budgets, now)
        want = want_of(total, budgets, self._machine.pressure())
        if want is None:
            self._is_told_short = False
            return
        chosen = who_gives_way(want, self._candidates(workers, pools, now))
        if chosen is not None:
            self._giving_way = (chosen.slot, self._watched[chosen.slot].course.pid, want.why)
        elif not self._is_told_short:
            self._is_told_short = True
            self._events.emit(NobodyGivesWay(want.why))

    def _is_giving_way(self, now: float) -> bool:
        """Whether the one that was chosen is still there."""
        if self._giving_way is None:
            return False
        slot, pid, _ = self._giving_way
        course = self.course(slot)
        if course is not None and course.pid == pid:
            return True
        self._giving_way = None
        self._settled_at = now + SETTLE_SECONDS
        return False

    def _total(self, helpers: Iterable[int], budgets: Mapping[str, int], now: float) -> int:
        """What the tree holds.

        Pages that workers share with what they were forked from count in each of them, until that
        makes a difference: then it is looked how much of the largest is their own.
        """
        held = {pid: private_memory(pid) for pid in helpers}
        held |= {one.course.pid: one.course.now.bytes for one in self._watched.values()}
        total = sum(held.values())
        if total > min(budgets.values(), default=total) and now >= self._own_share_at:
            self._own_share_at = now + EXACT_SECONDS
            largest = sorted(held, key=lambda pid: held[pid])[-EXACT_PROCESSES:]
            exact = sum(proportional_memory(pid) for pid in largest)
            shown = sum(private_memory(pid) for pid in largest)
            self._own_share = min(exact / shown, 1.0) if exact and shown else 1.0
        return int(total * self._own_share)

    def _candidates(
        self, workers: Iterable[Worker], pools: Mapping[str, PoolSettings], now: float
    ) -> Iterable[Candidate]:
        for worker in workers:
            course = self.course(worker.slot)
            settings = pools.get(worker.pool)
            if course is None or settings is None or not course.fresh or worker.was_ordered_to_end:
                continue
            if now - worker.started_at >= settings.memory.min_lifetime:
                yield Candidate(
                    slot=worker.slot,
                    pool=worker.pool,
                    bytes=course.now.bytes,
                    fresh=self._fresh.get(worker.pool, course.fresh),
                )
