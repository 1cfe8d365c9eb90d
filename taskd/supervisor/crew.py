"""The workers: account of each, and the actions of the plan carried out on them."""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Callable, Sequence

from taskd.board import Board, SlotReading, Why, WorkerState
from taskd.board.last_words import take_last_words
from taskd.board.layout import CANARY, ILL, NOTED, SEEN_ENOUGH, SHEET, TOLD
from taskd.board.sheet import ASK_IN_C_SIGNAL, ASK_SIGNAL, is_sheet
from taskd.clock import monotonic
from taskd.events import Events
from taskd.supervisor.actions import Action, Drain, Interrupt, Kill, Note, Start
from taskd.supervisor.channel import Message
from taskd.supervisor.child import Forkserver, Worker, how_it_ended, is_crash
from taskd.supervisor.enforcer import MOST_STACK, Enforcer, why_in_words
from taskd.supervisor.events import (
    NoSlotLeft,
    WorkerDied,
    WorkerDrains,
    WorkerEnded,
    WorkerInterrupted,
    WorkerKilled,
    WorkerStarted,
)
from taskd.supervisor.evidence import read_crash
from taskd.supervisor.hubs import Hubs
from taskd.supervisor.job_events import NeighboursTold, StackTold
from taskd.supervisor.memory.events import CanaryStarted, WorkerReplaced
from taskd.supervisor.memory.oom import offer_to_kernel
from taskd.supervisor.memory.watch import MemoryWatch
from taskd.supervisor.nursery import Nursery
from taskd.supervisor.plan import PoolView, WorkerView
from taskd.supervisor.restart import Backoff


class Crew:
    """All workers by their slots."""

    def __init__(self, board: Board, nursery: Nursery, events: Events) -> None:
        self.workers: dict[int, Worker] = {}
        self.extra: dict[str, int] = {}
        self.dsn = ""
        self.on_recycled: Callable[[str], None] = lambda pool: None
        self._board = board
        self._nursery = nursery
        self._events = events
        self._backoffs: dict[str, Backoff] = {}
        self._is_told_full = False
        self._hubs = Hubs(board)
        self._memory = MemoryWatch(board, events)
        self._enforcer = Enforcer(board, self._hubs, events)

    # -- what is there ----------------------------------------------------------------------------

    def pool_views(self) -> dict[str, PoolView]:
        """The pools as they are wanted now."""
        now = monotonic()
        views = {}
        for name, settings in self._nursery.settings.pools.items():
            wanted = max(1, settings.processes + self.extra.get(name, 0))
            views[name] = PoolView(
                settings=settings,
                processes=wanted,
                generation=self._nursery.broods[name].generation if self.dsn else None,
                may_start=self._backoff(name).may_start(now),
                limits=self._memory.limits(name, settings),
                wants_canary=self._memory.canaries.wants(name),
            )
        return views

    def worker_views(self) -> list[WorkerView]:
        """The workers as their slots describe them now."""
        return [self._view(worker) for worker in self.workers.values()]

    def _view(self, worker: Worker) -> WorkerView:
        reading = self._read(worker)
        hub = self._hubs.look(worker, reading)
        return worker.view(reading, hub, self._memory.held(worker.slot))

    @property
    def is_starting(self) -> bool:
        """Whether a worker is on its way to being ready, which only the board will tell."""
        return any(view.is_live and view.state < WorkerState.READY for view in self.worker_views())

    @property
    def is_troubled(self) -> bool:
        """Whether a hub stands still, or a job or worker is to end: look again soon."""
        return (
            self._hubs.is_any_still
            or self._memory.is_any_over_hard
            or any(self._board.slot(slot).words[TOLD] for slot in self.workers)
        )

    def watch_memory(self, helpers: Sequence[int]) -> None:
        """Look what the workers hold, if it is time to; `helpers` are the tree's other pids."""
        pools = self._nursery.settings.pools
        self._memory.look(list(self.workers.values()), helpers, pools)

    def hunt(self, pool: str) -> None:
        """Somebody wants to know what leaks in a pool."""
        self._memory.canaries.hunt(pool)

    def excuse(self) -> None:
        """The master stood still: what looks late may be fresh."""
        self._hubs.excuse()

    @property
    def is_leaving(self) -> bool:
        """Whether a worker is on its way out, within the times that it has for that."""
        return any(not view.is_live for view in self.worker_views())

    def pause(self, now: float) -> float:
        """Seconds until the next pool may start workers again; infinite if none has to wait."""
        return min((backoff.pause(now) for backoff in self._backoffs.values()), default=math.inf)

    def _read(self, worker: Worker) -> SlotReading:
        return self._board.slot(worker.slot).read()

    def _backoff(self, pool: str) -> Backoff:
        return self._backoffs.setdefault(pool, Backoff())

    # -- what is done -----------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Carry out one action of the plan."""
        match action:
            case Start():
                self._start(action)
            case Drain():
                self._drain(self.workers[action.slot], action.reason)
            case Note():
                self._note_drain(self.workers[action.slot])
            case Interrupt():
                self._interrupt(self.workers[action.slot])
            case Kill():
                self._kill(self.workers[action.slot], action)
            case about_a_job:
                self._enforcer.act(self.workers[about_a_job.slot], about_a_job)

    def cancel(self, slot: int, pid: int, job: int) -> None:
        """End a cancelled job of a worker that has not heard of it."""
        worker = self.workers.get(slot)
        if worker is not None and worker.pid == pid:
            self._enforcer.cancel(worker, job)

    def drain(self, slot: int, pid: int, now: bool) -> None:
        """Let another take a worker's place, because somebody has ordered it; `now`: at once."""
        worker = self.workers.get(slot)
        if worker is not None and pid and worker.pid == pid:
            worker.is_unwanted = True
            worker.is_to_stop = worker.is_to_stop or now

    def ask(self, slot: int, pid: int, in_c: bool) -> None:
        """Have a worker answer what it is asked on the board; `in_c`: it executes no Python."""
        worker = self.workers.get(slot)
        sheet = self._board.slot(slot).words[SHEET]
        if worker is not None and worker.pid == pid and sheet:  # before, the signal would end it
            if not in_c:
                worker.signal(ASK_SIGNAL)
            elif is_sheet(pid, sheet):
                worker.signal(ASK_IN_C_SIGNAL)

    def _start(self, action: Start) -> None:
        slot = next((n for n in range(self._board.slots) if n not in self.workers), None)
        if slot is None:
            if not self._is_told_full:
                self._is_told_full = True
                self._events.emit(NoSlotLeft(action.pool, self._board.slots))
            return
        forkserver = self._nursery.broods[action.pool].current
        if forkserver is None:
            return
        if action.replaces is not None and action.why:
            self._events.emit(WorkerReplaced(action.pool, action.replaces, action.why))
            self.on_recycled(action.pool)
        memory = self._nursery.settings.pools[action.pool].memory
        share = random.uniform(1 - memory.jitter, 1.0)  # so that not all of a pool end at once
        most = memory.max_lifetime
        lives_until = None if most is None else monotonic() + most * share
        self.workers[slot] = Worker(
            slot=slot,
            parent=forkserver,
            share=share,
            lives_until=lives_until,
            replaces=action.replaces,
            is_canary=action.is_canary,
        )
        if action.is_canary:
            self._memory.canaries.started(action.pool)
            self._events.emit(CanaryStarted(action.pool, slot))
        forkserver.channel.send(
            "fork",
            slot=slot,
            generation=forkserver.generation,
            dsn=self.dsn,
            is_canary=action.is_canary,
        )

    def _drain(self, worker: Worker, reason: str) -> None:
        if worker.drained_at is not None:
            return  # a second signal would interrupt it
        self._begin_drain(worker, reason)
        worker.drain_reason = reason
        worker.signal(signal.SIGTERM)

    def _note_drain(self, worker: Worker) -> None:
        self._begin_drain(worker, "it has begun to by itself")
        slot = self._board.slot(worker.slot)
        if slot.words[ILL]:
            worker.is_ill, worker.suspects = True, tuple(slot.seated())
        slot.words[NOTED] = 1

    def _begin_drain(self, worker: Worker, reason: str) -> None:
        self._events.emit(WorkerDrains(worker.pool, worker.slot, reason))
        worker.drained_at = monotonic()
        self._forget_replacement_of(worker.slot)

    def _interrupt(self, worker: Worker) -> None:
        in_flight = self._read(worker).in_flight
        if in_flight:
            self._events.emit(WorkerInterrupted(worker.pool, worker.slot, in_flight))
        worker.interrupted_at = monotonic()
        worker.signal(signal.SIGTERM)

    def _kill(self, worker: Worker, action: Kill) -> None:
        self._events.emit(WorkerKilled(worker.pool, worker.slot, action.reason))
        worker.end_reason, worker.charge = action.reason, action.charge
        if action.why is Why.MEMORY:
            self.on_recycled(worker.pool)
        if action.why is not None:
            worker.culprit, worker.why = action.culprit, action.why
            worker.suspects = action.suspects
        if worker.dumped_at is not None and action.why is not None:
            self._tell_stacks(worker)
        worker.signal(signal.SIGKILL)
        if worker.pid == 0:
            worker.parent.signal(signal.SIGKILL)  # it was to fork, and has not: it hangs

    def _tell_stacks(self, worker: Worker) -> None:
        worker.stack, others = self._enforcer.stacks(worker, worker.culprit)
        if worker.stack:
            self._events.emit(StackTold(worker.pool, worker.slot, worker.culprit, worker.stack))
        if others:
            self._events.emit(NeighboursTold(worker.pool, worker.slot, others))

    def _forget_replacement_of(self, slot: int) -> None:
        for worker in self.workers.values():
            if worker.replaces == slot:
                worker.replaces = None

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every worker."""
        for worker in self.workers.values():
            worker.signal(number)

    def forget_pauses(self) -> None:
        """Start at once what had to wait."""
        for backoff in self._backoffs.values():
            backoff.forget()
        self._memory.canaries.forget_rests()

    def resize(self, by: int) -> None:
        """One worker more or less, in the first greenlet pool (or the first of all)."""
        pools = self._nursery.settings.pools
        first = next((name for name, pool in pools.items() if pool.greenlets), next(iter(pools)))
        extra = self.extra.get(first, 0) + by
        self.extra[first] = max(extra, 1 - pools[first].processes)

    # -- how they come and go ---------------------------------------------------------------------

    def forked(self, parent: Forkserver, message: Message) -> None:
        """A worker's pid has become known; what it was told before it could hear, it hears now."""
        worker = self.workers.get(message["slot"])
        if worker is None or worker.parent is not parent or worker.pid:
            return  # nobody waits for it any more: it is a stranger, and will be ended as one
        worker.pid = message["pid"]
        offer_to_kernel(worker.pid)
        self._events.emit(
            WorkerStarted(worker.pool, worker.slot, worker.pid, worker.parent.generation)
        )
        if worker.end_reason is not None:
            worker.signal(signal.SIGKILL)
        elif worker.drained_at is not None:
            worker.signal(signal.SIGTERM)

    def ended(self, pid: int, status: int) -> Message | None:
        """A child ended: what maintenance is to be told, or None if it was no worker of ours."""
        worker = next((one for one in self.workers.values() if one.pid == pid), None)
        if worker is None:
            return None
        if worker.is_process:
            _end_group(pid)
        death = self._account_for(worker, status)
        self._forget(worker)
        return death

    def _account_for(self, worker: Worker, status: int) -> Message:
        reading = self._read(worker)
        own = reading.pid == worker.pid
        is_killed = worker.end_reason is not None
        how = how_it_ended(status) if is_killed else self._memory.how_it_ended(worker.slot, status)
        said_goodbye = status == 0 and reading.state is WorkerState.EXITING  # a job may _exit(0)
        clean = worker.was_ordered_to_end or said_goodbye
        crasher = self._hear_last_words(worker, status)
        has_seen_enough = own and self._board.slot(worker.slot).words[CANARY] == SEEN_ENOUGH
        if worker.is_canary and (worker.is_unwanted or has_seen_enough):
            self._memory.canaries.ended(worker.pool)
        if clean:
            self._events.emit(WorkerEnded(worker.pool, worker.slot, worker.pid, how))
        else:
            was_ready = own and reading.state >= WorkerState.READY
            lived = worker.lived if was_ready else 0.0
            pause = self._backoff(worker.pool).ended(lived, monotonic())
            self._events.emit(
                WorkerDied(worker.pool, worker.slot, worker.pid, how, reading.in_flight, pause)
            )
        return {
            "slot": worker.slot,
            "pid": worker.pid,
            "worker": reading.worker if own else 0,
            "reason": worker.end_reason or how,
            "ended": worker.end_reason or worker.drain_reason or how,
            "charge": worker.charge or not clean,
            "culprit": worker.culprit,
            "why": why_in_words(worker.why),
            "stack": worker.stack,
            "stood": worker.culprit or crasher,
            "interrupted": worker.interrupted_at is not None,
            "begun": list(worker.suspects)
            or (self._board.slot(worker.slot).seated() if own else []),
        }

    def _hear_last_words(self, worker: Worker, status: int) -> int:
        """The job whose code crashed a worker, if its stack tells that; the stack is kept."""
        text = take_last_words(self._board, worker.slot)
        if worker.end_reason is not None or not is_crash(status):
            return 0
        job, stack = read_crash(text, self._board.slot(worker.slot).seats)
        worker.stack = stack[:MOST_STACK]
        if stack:
            self._events.emit(StackTold(worker.pool, worker.slot, job, worker.stack))
        return job

    def forget_lost(self) -> None:
        """Free the slots of workers that were ordered from forkservers that are no more."""
        for worker in list(self.workers.values()):
            if worker.was_lost:
                self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        del self.workers[worker.slot]
        worker.close()
        self._hubs.forget(worker.slot)
        self._memory.forget(worker.slot)
        self._forget_replacement_of(worker.slot)
        # Nobody is to be woken there, nor waited for; the marks stay for the slot's next worker.
        self._board.slot(worker.slot).clear()


def _end_group(pid: int) -> None:
    """What a process worker's job started ends with it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody is left of it
    except PermissionError:
        return  # what is left has become another user's
