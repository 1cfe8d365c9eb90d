"""The master's side of maintenance: start it, tell it everything, watch its beat.

Maintenance may die at any time. What it must know is kept here until it has been told, and told
again to its successor: the tree, the tasks of each pool, and the deaths that nobody has seen to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import Any

from taskd.board import Board
from taskd.clock import monotonic, monotonic_ns
from taskd.config.handover import settings_in_memory
from taskd.config.settings import Settings
from taskd.events import Events
from taskd.pool import control
from taskd.supervisor.channel import Channel, Message
from taskd.supervisor.child import Seed, Talker, how_it_ended
from taskd.supervisor.events import CannotStart, DatabaseTried, HelperDied, MaintenanceHangs, Said
from taskd.supervisor.restart import Backoff

KEEP_DEATHS_SECONDS = 60.0
"""For so long a death is told again to a successor; later, its sweep has found it."""


@dataclass(slots=True)
class Opened:
    """What maintenance found when it opened the database."""

    dsn: str
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Findings:
    """What maintenance has reported that the master must act upon."""

    opened: Opened | None = None
    fatal: str | None = None
    drained: Message | None = None
    orders: list[Message] = field(default_factory=list)


class Steward:
    """Keeps one maintenance process alive and informed."""

    def __init__(self, settings: Settings, board: Board, incarnation: str, events: Events) -> None:
        self.settings = settings
        self.findings = Findings()
        self.process: Talker | None = None
        self._dead_incarnations: list[str] = []
        self.on_rescued: Callable[[str], None] = lambda incarnation: None
        self._board = board
        self._incarnation = incarnation
        self._events = events
        self._backoff = Backoff()
        self._processes: list[Message] = []
        self._tasks: dict[str, list[Message]] = {}
        self._deaths: list[tuple[float, Message]] = []
        self._is_stopping = False
        self.has_ended_well = False

    # -- its life ---------------------------------------------------------------------------------

    def tend(self, seed: Seed | None) -> None:
        """Start maintenance if it is missing and may be started."""
        if self.process is not None and self.process.was_lost:
            self.process = None
        if self.process is not None:
            self.process.channel.flush()
        elif seed is not None and self._is_wanted and self._backoff.may_start(monotonic()):
            self._order(seed)

    @property
    def is_lacking(self) -> bool:
        """Whether maintenance is wanted and not ready, be it on its way or not."""
        return self._is_wanted and (self.process is None or not self.process.is_ready)

    @property
    def _is_wanted(self) -> bool:
        return not self._is_stopping and self.findings.fatal is None

    def pause(self, now: float) -> float:
        """Seconds until it may be started again; infinite if it has not to wait."""
        return self._backoff.pause(now)

    def _order(self, seed: Seed) -> None:
        channel = Channel()
        with settings_in_memory(self.settings) as settings_fd:
            seed.channel.send(
                "fork",
                fds=(channel.child_fd, settings_fd),
                role="maintenance",
                key="maintenance",
                incarnation=self._incarnation,
                dead_incarnations=self._dead_incarnations,
            )
        channel.handed_over()
        self.process = Talker(channel=channel, parent=seed)
        self._board.maintenance_beat = monotonic_ns()
        self._tell_everything()

    def forked(self, pid: int) -> None:
        """Its pid has become known."""
        if self.process is not None:
            self.process.pid = pid

    def ended(self, pid: int, status: int) -> bool:
        """Note its end; whether it was maintenance that ended."""
        if self.process is None or self.process.pid != pid:
            return False
        self.hear()  # its last words
        self.process.channel.close()
        if self._is_wanted:
            pause = self._backoff.ended(self.process.lived, monotonic())
            self._events.emit(HelperDied("maintenance", pid, how_it_ended(status), pause))
        self.has_ended_well = self._is_stopping and status == 0
        self.process = None
        return True

    def watch(self) -> None:
        """Replace maintenance when its beat has stood still for a third of the lease."""
        if self.process is None or self.process.pid == 0 or self._is_stopping:
            return
        stands_still = (monotonic_ns() - self._board.maintenance_beat) / 1e9
        if stands_still > max(self.settings.lease / 3, 5.0):
            self._events.emit(MaintenanceHangs(self.process.pid, stands_still))
            self.process.signal(SIGKILL)
            self._board.maintenance_beat = monotonic_ns()

    def excuse(self) -> None:
        """The master itself stood still: a beat that looks old may be fresh, so look later."""
        self._board.maintenance_beat = monotonic_ns()

    def stop(self) -> None:
        """Let it end in good order: it ends the host's row and gives back what is left.

        Stopping twice is harmless.
        """
        if not self._is_stopping and self.process is not None:
            self.process.channel.send("stop")
        self._is_stopping = True

    def reopen_logs(self) -> None:
        """Let it open its log file anew."""
        if self.process is not None:
            self.process.channel.send("reopen")

    # -- what it is told --------------------------------------------------------------------------

    def tell_tree(self, processes: list[Message]) -> None:
        """All processes of the daemon, whenever one has come or gone."""
        if processes != self._processes:
            self._processes = processes
            self._send_parts("tree", "processes", processes)

    def tell_tasks(self, pool: str, tasks: list[Message]) -> None:
        """What a pool's code offers."""
        self._tasks[pool] = tasks
        self._send_parts("tasks", "tasks", tasks, pool=pool)

    def tell_settings(self, settings: Settings) -> None:
        """New settings, after a reload; with them it is worth while to start anew at once."""
        self.settings = settings
        self._backoff.forget()
        if self.process is not None:
            with settings_in_memory(settings) as settings_fd:
                self.process.channel.send("settings", fds=(settings_fd,))

    def tell_death(self, death: Message) -> None:
        """A worker has ended: its jobs go back. Kept for a successor as well."""
        now = monotonic()
        if self.process is not None:
            self.process.channel.send("died", **death)
            self._deaths = [one for one in self._deaths if one[0] > now - KEEP_DEATHS_SECONDS]
        self._deaths.append((now, death))

    def tell_recycled(self, pool: str) -> None:
        """A worker is replaced or killed because of what it holds; only for statistics."""
        if self.process is not None:
            self.process.channel.send("recycled", pool=pool)

    def add_dead_incarnation(self, incarnation: str) -> None:
        """An earlier master's tree is gone: its jobs can be given back."""
        self._dead_incarnations.append(incarnation)

    def rescued(self, incarnation: str) -> None:
        """Its jobs are back; nobody needs to be told of it again."""
        if incarnation in self._dead_incarnations:
            self._dead_incarnations.remove(incarnation)

    def _tell_everything(self) -> None:
        if self.process is None:
            return
        self._send_parts("tree", "processes", self._processes)
        for pool, tasks in self._tasks.items():
            self._send_parts("tasks", "tasks", tasks, pool=pool)
        for _, death in self._deaths:
            self.process.channel.send("died", **death)

    def _send_parts(self, op: str, name: str, entries: list[Message], **fields: str) -> None:
        """Send a list in messages of bounded size."""
        if self.process is None:
            return
        parts = list(control.parts(entries))
        for number, part in enumerate(parts, start=1):
            content: dict[str, Any] = {**fields, name: part, "more": number < len(parts)}
            self.process.channel.send(op, **content)

    # -- what it says -----------------------------------------------------------------------------

    def hear(self) -> None:
        """Take its messages."""
        if self.process is None:
            return
        for message in self.process.channel.receive():
            self._hear(self.process, message)

    def _hear(self, process: Talker, message: Message) -> None:
        match message["op"]:
            case "ready":
                process.is_ready = True
                if self.findings.opened is None:
                    for note in message["notes"]:
                        self._events.emit(Said(note))
                self.findings.opened = Opened(message["dsn"], tuple(message["notes"]))
            case "waiting":
                self._events.emit(DatabaseTried(message["error"]))
            case "fatal":
                self.findings.fatal = message["error"]
            case "failed":
                self._failed(message["error"])
            case "rescued":
                self.rescued(message["incarnation"])
                self.on_rescued(message["incarnation"])
            case "drained":
                self.findings.drained = message
            case "signal" | "hunt":
                self.findings.orders.append(message)

    def _failed(self, error: str) -> None:
        """Its code does not import; if it never did, it never will."""
        self._events.emit(CannotStart("maintenance", error))
        if self.findings.opened is None:
            self.findings.fatal = error
