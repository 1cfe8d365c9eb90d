"""The master's loop."""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Callable

from taskd.board import Board, Wakeups, WorkerState
from taskd.clock import monotonic
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.logs import LogWriter
from taskd.supervisor.channel import Message
from taskd.supervisor.child import Forkserver, Seed
from taskd.supervisor.crew import Crew
from taskd.supervisor.events import (
    Fatal,
    GenerationComplete,
    Reloaded,
    ReloadFailed,
    Said,
    Started,
    Stops,
)
from taskd.supervisor.incarnation import Incarnation
from taskd.supervisor.nursery import Inheritance, Nursery
from taskd.supervisor.plan import Urgency, decide
from taskd.supervisor.reload import Resolution
from taskd.supervisor.signals import SignalInbox
from taskd.supervisor.state import describe_state
from taskd.supervisor.steward import Steward
from taskd.supervisor.strangers import Strangers

TICK_SECONDS = 1.0
DEADLINE_TICK_SECONDS = 0.2
BUSY_TICK_SECONDS = 0.05
SURVIVORS_SECONDS = 10.0
STOOD_STILL_SECONDS = 3.0
GOODBYE_SECONDS = 15.0
_PR_SET_CHILD_SUBREAPER = 36


class Master:
    """The root of the tree; `run` returns the exit status when all has ended."""

    def __init__(self, settings: Settings, events: Events, writer: LogWriter) -> None:
        self.settings = settings
        self._events = events
        self._writer = writer
        workers = sum(pool.processes for pool in settings.pools.values())
        self._board = Board.create(slots=2 * workers + 8)
        self._incarnation = Incarnation(settings.state_dir)
        inheritance = Inheritance(
            board=self._board,
            wakeups=Wakeups.create(self._board.slots),
            kick_fd=_inheritable_eventfd(),
            tree_fd=self._incarnation.tree_fd,
        )
        self._nursery = Nursery(settings, inheritance, events)
        self._crew = Crew(self._board, self._nursery, events)
        self._steward = Steward(settings, self._board, self._incarnation.id, events)
        self._strangers = Strangers()
        self._signals = SignalInbox()
        self._resolution: Resolution | None = None
        self._to_end = self._incarnation.dead()
        self._urgency = Urgency.NONE
        self._status = 0
        self._born_at = self._turned_at = monotonic()
        self._announced = 0
        self._goodbye_until: float | None = None
        self._connect_parts()

    def _connect_parts(self) -> None:
        self._nursery.on_tasks = self._steward.tell_tasks
        self._nursery.on_maintenance_forked = self._steward.forked
        self._steward.on_rescued = self._incarnation.forget

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> int:
        """Keep the tree until told to stop; blocks. The exit status."""
        _become_subreaper()
        self._signals.open()
        try:
            while not self._is_over:
                self.turn()
        finally:
            self._signals.close()
        if self._status == 0:
            self._incarnation.end()
        return self._status

    def turn(self) -> None:
        """One round: wait for news or the next tick, hear, decide, act."""
        self._wait()
        self._read_signals()
        self._hear()
        self._reap()
        self._tend()
        self._decide()
        self._announce()

    @property
    def _is_over(self) -> bool:
        if self._urgency is Urgency.NONE or self._crew.workers:
            return False
        if self._goodbye_until is None:
            self._steward.stop()
            self._goodbye_until = monotonic() + GOODBYE_SECONDS
        if self._steward.process is not None and monotonic() < self._goodbye_until:
            return False
        self._nursery.stop()
        return True

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        for talker in self._nursery.talkers():
            if not talker.channel.is_closed:
                poll.register(talker.channel, select.POLLIN)
        maintenance = self._steward.process
        if maintenance is not None and not maintenance.channel.is_closed:
            poll.register(maintenance.channel, select.POLLIN)
        poll.poll(self._tick * 1000)
        now = monotonic()
        if now - self._turned_at > self._tick + STOOD_STILL_SECONDS:
            self._steward.excuse()  # we were stopped or starved: what looks old may be fresh
        self._turned_at = now

    @property
    def _tick(self) -> float:
        """Short while something is under way that only the board tells."""
        if self._urgency is not Urgency.NONE or self._announced != self._nursery.generation:
            return BUSY_TICK_SECONDS
        return DEADLINE_TICK_SECONDS if self._has_process_pool else TICK_SECONDS

    @property
    def _has_process_pool(self) -> bool:
        return any(pool.greenlets is None for pool in self.settings.pools.values())

    # -- signals ----------------------------------------------------------------------------------

    def _read_signals(self) -> None:
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self._handle_term,
            signal.SIGINT: self._handle_int,
            signal.SIGQUIT: self._handle_quit,
            signal.SIGHUP: self._handle_hup,
            signal.SIGUSR1: self._writer.reopen,
            signal.SIGUSR2: self._handle_usr2,
            signal.SIGTTIN: lambda: self._crew.resize(+1),
            signal.SIGTTOU: lambda: self._crew.resize(-1),
        }
        for number in self._signals.take():
            if number in handlers:
                handlers[number]()

    def _handle_term(self) -> None:
        self._stop("told to stop", Urgency.DRAIN)

    def _handle_int(self) -> None:
        sentences = {
            Urgency.DRAIN: "interrupted (once more: what runs is given back; a third time: killed)",
            Urgency.INTERRUPT: "interrupted again, what runs is given back",
            Urgency.KILL: "interrupted a third time, what runs is killed",
        }
        urgency = Urgency(min(self._urgency + 1, Urgency.KILL))
        self._stop(sentences[urgency], urgency)

    def _handle_quit(self) -> None:
        self._stop("told to quit, what runs is given back", Urgency.INTERRUPT)

    def _handle_hup(self) -> None:
        if self._resolution is None and self._urgency is Urgency.NONE:
            self._resolution = Resolution(self.settings)

    def _handle_usr2(self) -> None:
        for line in describe_state(self._crew, self._nursery, self._steward):
            self._events.emit(Said(line))
        self._crew.signal_all(signal.SIGUSR2)

    def _stop(self, why: str, urgency: Urgency) -> None:
        if urgency > self._urgency:
            self._urgency = urgency
            self._events.emit(Stops(why))

    def _fail(self, error: str) -> None:
        if self._status == 0:
            self._events.emit(Fatal(error))
        self._status = 1
        self._urgency = max(self._urgency, Urgency.DRAIN)

    # -- news from children -----------------------------------------------------------------------

    def _hear(self) -> None:
        for talker in self._nursery.talkers():
            talker.channel.flush()
            for message in talker.channel.receive():
                self._hear_one(talker, message)
        self._steward.hear()
        self._act_on_findings()

    def _hear_one(self, talker: Seed | Forkserver, message: Message) -> None:
        if isinstance(talker, Seed):
            self._nursery.hear_seed(talker, message)
        elif message["op"] == "forked":
            self._tell_death(self._crew.forked(message))
        else:
            self._nursery.hear_forkserver(talker, message)

    def _act_on_findings(self) -> None:
        findings = self._steward.findings
        if findings.opened is not None:
            self._crew.dsn = findings.opened.dsn
        if findings.fatal is not None:
            self._fail(findings.fatal)
        if findings.drained is not None:
            self._end_burst(findings.drained)
        orders, findings.orders = findings.orders, []
        for order in orders:
            self._interrupt_job(order)
        refused = self._nursery.nothing_imports
        if refused is not None:
            self._fail(f"the code of pool {refused} does not import: mend it and start again")

    def _end_burst(self, drained: Message) -> None:
        self._steward.findings.drained = None
        for line in drained["left"]:
            self._events.emit(Said(f"left: {line}"))
        failed = drained["failed"]
        outcome = f"{failed} failed" if failed else "nothing failed"
        self._status = 1 if failed else 0
        self._stop(f"the queues are drained, {outcome}", Urgency.DRAIN)

    def _interrupt_job(self, order: Message) -> None:
        """A cancelled job whose worker does not hear: it computes, or its hub is blocked."""
        worker = self._crew.workers.get(order["slot"])
        if worker is not None and worker.pid == order["pid"]:
            worker.signal(signal.SIGUSR1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        if self._resolution is not None and self._resolution.pid == pid:
            self._reload(self._resolution.finish(status))
        elif self._steward.ended(pid, status):
            self._act_on_findings()
        else:
            pools = {name: brood.current for name, brood in self._nursery.broods.items()}
            if self._nursery.reaped(pid, status):
                for name, current in pools.items():
                    if current is not None and current.pid == pid:
                        self._crew.forget_orders(name)
                self._steward.orphaned()
            else:
                self._tell_death(self._crew.ended(pid, status))

    def _tell_death(self, death: Message | None) -> None:
        if death is not None:
            self._steward.tell_death(death)

    # -- keeping things as they should be ---------------------------------------------------------

    def _tend(self) -> None:
        self._end_survivors()
        self._nursery.tend()
        if not self._to_end or monotonic() > self._born_at + SURVIVORS_SECONDS:
            self._steward.tend(self._nursery.seed_for_maintenance())
        self._steward.watch()
        self._steward.tell_tree(self._tree())
        self._crew.forget_early()
        if not self._crew.is_forking and self._resolution is None:
            self._strangers.look(self._known())

    def _end_survivors(self) -> None:
        """Earlier masters' children are ended before their jobs are given back."""
        for dead in list(self._to_end):
            if self._incarnation.end_survivors(dead):
                self._to_end.remove(dead)
                self._steward.add_dead_incarnation(dead)

    def _decide(self) -> None:
        pools, workers = self._crew.pool_views(), self._crew.worker_views()
        for action in decide(pools, workers, self._urgency, monotonic()):
            self._crew.act(action)

    def _reload(self, resolved: Settings | str) -> None:
        self._resolution = None
        if isinstance(resolved, str):
            self._events.emit(ReloadFailed(resolved))
            return
        self.settings = resolved
        self._nursery.reload(resolved)
        self._steward.tell_settings(resolved)
        self._events.emit(Reloaded(self._nursery.generation))

    def _announce(self) -> None:
        """Say it once when a generation is complete: all workers ready, nobody left of the old."""
        generation = self._nursery.generation
        if self._announced == generation or self._urgency is not Urgency.NONE:
            return
        views = self._crew.worker_views()
        wanted = sum(pool.processes for pool in self._crew.pool_views().values())
        current = [view for view in views if view.generation == generation and view.is_live]
        if len(current) == len(views) == wanted and all(
            view.state is WorkerState.READY for view in views
        ):
            self._announced = generation
            if generation == 1:
                self._events.emit(Started(wanted, monotonic() - self._born_at))
            else:
                self._events.emit(GenerationComplete(generation))

    # -- the tree ---------------------------------------------------------------------------------

    def _tree(self) -> list[Message]:
        """All processes whose pid is known, the master first."""
        tree: list[Message] = [_entry(os.getpid(), "master")]
        if self._steward.process is not None:
            tree.append(_entry(self._steward.process.pid, "maintenance"))
        for talker in self._nursery.talkers():
            if isinstance(talker, Seed):
                tree.append(_entry(talker.pid, "seed"))
            else:
                tree.append(_entry(talker.pid, "forkserver", talker.pool, None, talker.generation))
        tree += [
            _entry(worker.pid, "worker", worker.pool, worker.slot, worker.generation)
            for worker in self._crew.workers.values()
        ]
        return [entry for entry in tree if entry["pid"]]

    def _known(self) -> set[int]:
        return {entry["pid"] for entry in self._tree()}


def _entry(
    pid: int,
    role: str,
    pool: str | None = None,
    slot: int | None = None,
    generation: int | None = None,
) -> Message:
    return {"pid": pid, "role": role, "pool": pool, "slot": slot, "generation": generation}


def _inheritable_eventfd() -> int:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    os.set_inheritable(fd, True)
    return fd


def _become_subreaper() -> None:
    """Let orphans of the tree become our children, not init's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
