"""The master's loop."""

from __future__ import annotations

import select
import signal
from collections.abc import Callable

from taskd import logs, malloc
from taskd.clock import monotonic
from taskd.config.lasting import keep_lasting
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.logs import LogWriter
from taskd.supervisor.channel import Message
from taskd.supervisor.child import Forkserver, Seed, collect_ended
from taskd.supervisor.crew import Crew
from taskd.supervisor.dashboard import Dashboard
from taskd.supervisor.events import NeedsRestart, Reloaded, ReloadFailed, Said
from taskd.supervisor.herald import Herald
from taskd.supervisor.inheritance import Beginning
from taskd.supervisor.nursery import Nursery
from taskd.supervisor.plan import Urgency, decide
from taskd.supervisor.reload import Reload
from taskd.supervisor.shutdown import Shutdown
from taskd.supervisor.signals import SignalInbox
from taskd.supervisor.state import describe_state, list_processes
from taskd.supervisor.steward import Steward
from taskd.supervisor.strangers import Strangers, become_subreaper
from taskd.supervisor.terminal import Terminal

TICK_SECONDS = 0.2
"""The board alone tells of deadlines, and of hubs that stand still."""

BUSY_TICK_SECONDS = 0.05
SURVIVORS_SECONDS = 10.0
STOOD_STILL_SECONDS = 3.0


class Master:
    """The root of the tree; `run` returns the exit status when all has ended."""

    def __init__(
        self,
        settings: Settings,
        events: Events,
        writer: LogWriter,
        beginning: Beginning,
        terminal: Terminal,
    ) -> None:
        self.settings = settings
        self._events = events
        self._writer = writer
        self._board = beginning.inheritance.board
        self._incarnation = beginning.incarnation
        self._nursery = Nursery(settings, beginning.inheritance, events)
        if beginning.seed is not None:
            self._nursery.seeds.adopt(beginning.seed)
        self._crew = Crew(self._board, self._nursery, events)
        self._steward = Steward(settings, self._board, self._incarnation.id, events)
        self._dashboard = Dashboard(settings, self._incarnation.tree_fd, events)
        self._strangers = Strangers()
        self._signals = SignalInbox()
        self._terminal = terminal
        self._reload = Reload()
        self._herald = Herald(settings, events)
        self._to_end = self._incarnation.dead()
        self._shutdown = Shutdown(events)
        self._born_at = self._turned_at = monotonic()
        self._connect_parts()

    def _connect_parts(self) -> None:
        self._nursery.on_tasks = self._steward.tell_tasks
        self._nursery.on_maintenance_forked = self._steward.forked
        self._steward.on_rescued = self._incarnation.forget
        self._crew.on_recycled = self._steward.tell_recycled

    # -- the loop ---------------------------------------------------------------------------------

    def run(self) -> int:
        """Keep the tree until told to stop; blocks. The exit status."""
        become_subreaper()
        self._signals.open()
        try:
            self._herald.greet()
            self._tend()  # before the first tick: the daemon waits for what this starts
            malloc.trim()  # of what imports have left
            while not self._shutdown.is_complete:
                self.turn()
        finally:
            self._signals.close()
            self._reload.abandon()
        if self._steward.has_ended_well:
            self._incarnation.end()
        self._shutdown.tell_stopped()
        return self._shutdown.exit_status

    def turn(self) -> None:
        """One round: wait for news or the next tick, hear, decide, act.

        The dead are collected before the messages are read, and accounted for afterwards: a child
        is announced before it becomes ours, so whoever has ended by then is known by then.
        """
        self._wait()
        self._read_signals()
        ended = collect_ended()
        self._hear()
        self._bury(ended)
        self._tend()
        self._decide()
        self._wind_down()

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        for talker in (*self._nursery.talkers(), self._steward.process, self._dashboard.process):
            if talker is not None and not talker.channel.is_closed:
                poll.register(talker.channel, select.POLLIN)
        tick = self._tick
        poll.poll(tick * 1000)
        now = monotonic()
        if now - self._turned_at > tick + STOOD_STILL_SECONDS:
            self._steward.excuse()  # we were stopped or starved: what looks old may be fresh
            self._crew.excuse()
        self._turned_at = now

    @property
    def _tick(self) -> float:
        """Short while something is under way that only the board tells, or a pause runs out."""
        now = monotonic()
        parts = (self._crew, self._nursery, self._steward, self._dashboard)
        return min(self._usual_tick, *(part.pause(now) for part in parts))

    @property
    def _usual_tick(self) -> float:
        is_busy = self._shutdown.is_under_way or self._crew.is_starting or self._to_end
        return BUSY_TICK_SECONDS if is_busy or self._crew.is_troubled else TICK_SECONDS

    # -- signals ----------------------------------------------------------------------------------

    def _read_signals(self) -> None:
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self._handle_term,
            signal.SIGINT: self._handle_int,
            signal.SIGQUIT: self._handle_quit,
            signal.SIGHUP: self._handle_hup,
            signal.SIGUSR1: self._handle_usr1,
            signal.SIGUSR2: self._handle_usr2,
            signal.SIGTTIN: lambda: self._crew.resize(+1),
            signal.SIGTTOU: lambda: self._crew.resize(-1),
        }
        for number in self._signals.take():
            if number in handlers:
                handlers[number]()

    def _handle_term(self) -> None:
        self._shutdown.stop(
            "told to stop: no new jobs are claimed, what runs may finish", Urgency.DRAIN
        )

    def _handle_int(self) -> None:
        self._shutdown.interrupt()

    def _handle_quit(self) -> None:
        self._shutdown.stop("told to quit: what runs is given back", Urgency.INTERRUPT)

    def _handle_hup(self) -> None:
        if self._terminal.is_gone:
            self._shutdown.stop("the terminal was closed: what runs may finish", Urgency.DRAIN)
        elif not self._shutdown.is_under_way:
            trouble = self._reload.ask(self.settings)
            if trouble is not None:
                self._events.emit(ReloadFailed(trouble))

    def _handle_usr1(self) -> None:
        self._writer.reopen()
        self._steward.reopen_logs()
        self._dashboard.reopen_logs()
        for talker in self._nursery.talkers():
            if isinstance(talker, Forkserver):
                talker.channel.send("reopen")

    def _handle_usr2(self) -> None:
        for line in describe_state(self._crew, self._nursery, self._steward, self._dashboard):
            self._events.emit(Said(line))
        self._crew.signal_all(signal.SIGUSR2)

    # -- news from children -----------------------------------------------------------------------

    def _hear(self) -> None:
        for talker in self._nursery.talkers():
            talker.channel.flush()
            for message in talker.channel.receive():
                self._hear_one(talker, message)
        self._steward.hear()
        self._dashboard.hear()
        self._act_on_findings()

    def _hear_one(self, talker: Seed | Forkserver, message: Message) -> None:
        if isinstance(talker, Seed):
            self._nursery.hear_seed(talker, message)
        elif message["op"] == "forked":
            self._crew.forked(talker, message)
        else:
            self._nursery.hear_forkserver(talker, message)

    def _act_on_findings(self) -> None:
        findings = self._steward.findings
        if findings.opened is not None:
            self._crew.dsn = findings.opened.dsn
        if findings.drained is not None:
            drained, findings.drained = findings.drained, None
            self._shutdown.end_burst(drained["failed"], drained["left"])
        orders, findings.orders = findings.orders, []
        for order in orders:
            if order["op"] == "hunt":
                self._crew.hunt(order["pool"])
            elif order["order"] == "ask":
                self._crew.ask(order["slot"], order["pid"], order["in_c"])
            elif order["order"] == "drain":
                self._crew.drain(order["slot"], order["pid"], order["now"])
            else:
                self._crew.cancel(order["slot"], order["pid"], order["job"])
        fatal = findings.fatal or self._nursery.fatal
        if fatal is not None:
            self._shutdown.fail(fatal)

    def _bury(self, ended: list[tuple[int, int]]) -> None:
        helpers = (self._steward, self._nursery, self._dashboard)
        for pid, status in ended:
            resolved = self._reload.ended(pid, status)
            if resolved is not None:
                self._take_settings(resolved)
            elif not any(part.ended(pid, status) for part in helpers):
                death = self._crew.ended(pid, status)
                if death is not None:
                    self._steward.tell_death(death)
        self._act_on_findings()

    # -- keeping things as they should be ---------------------------------------------------------

    def _tend(self) -> None:
        self._end_survivors()
        self._nursery.tend(lacks_maintenance=self._steward.is_lacking)
        self._crew.forget_lost()
        if not self._to_end or monotonic() > self._born_at + SURVIVORS_SECONDS:
            self._steward.tend(self._nursery.seed_for_maintenance())
        self._steward.watch()
        opened = self._steward.findings.opened
        self._dashboard.tend(None if opened is None else opened.dsn)
        processes = list_processes(self._crew, self._nursery, self._steward, self._dashboard)
        self._steward.tell_tree(processes)
        self._crew.watch_memory([one["pid"] for one in processes if one["role"] != "worker"])
        self._strangers.look({process["pid"] for process in processes} | self._reload.pids)

    def _end_survivors(self) -> None:
        """Earlier masters' children are ended before their jobs are given back."""
        for dead in list(self._to_end):
            if self._incarnation.end_survivors(dead):
                self._to_end.remove(dead)
                self._steward.add_dead_incarnation(dead)

    def _decide(self) -> None:
        pools, workers = self._crew.pool_views(), self._crew.worker_views()
        if not self._shutdown.is_under_way:
            self._herald.look(self._nursery.generation, pools, workers)
        for action in decide(pools, workers, self._shutdown.urgency, monotonic()):
            self._crew.act(action)

    def _take_settings(self, resolved: Settings | str) -> None:
        if self._shutdown.is_under_way:
            return
        if isinstance(resolved, str):
            self._events.emit(ReloadFailed(resolved))
        else:
            self._reload_with(resolved)
        if self._reload.take_asked_again():
            self._handle_hup()

    def _reload_with(self, resolved: Settings) -> None:
        self.settings, changed = keep_lasting(self.settings, resolved)
        logs.change(self._writer, self.settings.log)
        self._nursery.reload(self.settings)
        self._crew.forget_pauses()
        self._steward.tell_settings(self.settings)
        self._dashboard.reload(self.settings)
        if changed:
            self._events.emit(NeedsRestart(changed))
        self._events.emit(Reloaded(self._nursery.generation))

    def _wind_down(self) -> None:
        if self._shutdown.is_under_way and not self._crew.workers:
            self._shutdown.wind_down(self._steward, self._nursery, self._dashboard)
