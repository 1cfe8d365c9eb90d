"""The maintenance process itself.

Its main thread waits for the master's messages and for kicks of workers that went idle, and ticks
once a second. It never touches the database, so nothing there can hold it up; the tick tells the
master that this process is well, as long as the lease is.
"""

from __future__ import annotations

import os
import selectors
import signal
import traceback
from collections.abc import Mapping
from typing import Any

import setproctitle

from taskd import logs
from taskd.clock import monotonic, monotonic_ns
from taskd.config.handover import take_settings
from taskd.config.settings import Settings
from taskd.logs import LogWriter
from taskd.maintenance.control import Control
from taskd.maintenance.events import PartFailed, UnknownOrder
from taskd.maintenance.household import Household
from taskd.maintenance.setup import Setup
from taskd.maintenance.tree import TreeProcess

__all__ = ["Process", "Setup", "run_maintenance"]

TITLE = "taskd: maintenance"
TICK_SECONDS = 1.0
OUTLIVE_SECONDS = 60.0
OUTLIVE_TICK_SECONDS = 0.1


def run_maintenance(setup: Setup) -> int:
    """Be the maintenance process; blocks until it is told to stop or the master is gone.

    The exit status: 0, or 1 if the database could not be opened or something broke.
    """
    setproctitle.setproctitle(TITLE)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # a signal to the group must not cost the lease
    writer = logs.install(setup.events, setup.settings.log, "maintenance")
    try:
        process = Process(setup, writer)
        signal.signal(signal.SIGUSR1, lambda number, frame: process.ask_to_reopen_logs())
        return process.run()
    except Exception:
        setup.events.emit(PartFailed("the main loop", traceback.format_exc()))
        return 1


class Process:
    """The main loop; `turn` is one round of it."""

    def __init__(self, setup: Setup, writer: LogWriter) -> None:
        self._writer = writer
        self._board = setup.board
        self._events = setup.events
        self._kick_fd = setup.kick_fd
        self._control = Control(setup.control)
        self._household = Household(setup, self._control)
        self._tree: list[TreeProcess] = []
        self._tick_at = monotonic()
        self._is_told_to_stop = False
        self._is_to_reopen_logs = False

    def run(self) -> int:
        """Run until there is a reason to end; the exit status."""
        self._household.start()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self.take_messages)
            selector.register(self._kick_fd, selectors.EVENT_READ, self.take_kicks)
            while not self._is_over():
                self.turn(selector)
        return self._end()

    def turn(self, selector: selectors.BaseSelector) -> None:
        """Wait for something to happen, at most until the next tick, and see to it."""
        for key, _ in selector.select(max(self._tick_at - monotonic(), 0.0)):
            key.data()
        if monotonic() >= self._tick_at:
            self._tick_at = monotonic() + TICK_SECONDS
            self.tick()

    def ask_to_reopen_logs(self) -> None:
        """Reopen the log with the next tick; for a signal handler."""
        self._is_to_reopen_logs = True

    def take_messages(self) -> None:
        """Do what the master says."""
        for message, fds in self._control.receive():
            self.obey(message, *fds)

    def take_kicks(self) -> None:
        """Workers have gone idle, one or many."""
        try:
            os.eventfd_read(self._kick_fd)
        except BlockingIOError:
            return
        self._household.take_kick()

    def tick(self) -> None:
        """Show the master that we live, send what it did not read before, reopen the log."""
        if self._is_to_reopen_logs:
            self._is_to_reopen_logs = False
            self._writer.reopen()
        if self._household.is_healthy:
            self._board.maintenance_beat = monotonic_ns()
        self._control.flush()

    def obey(self, message: Mapping[str, Any], *fds: int) -> None:
        """Do what one message says; new settings are behind the descriptor that came along."""
        match message["op"]:
            case "tree":
                self._take_tree(message)
            case "died":
                self._household.take_death(message)
            case "recycled":
                self._household.take_recycled(message["pool"])
            case "tasks":
                self._household.take_tasks(message)
            case "settings":
                self._take_settings(take_settings(*fds))
            case "reopen":
                self._writer.reopen()
            case "stop":
                self._is_told_to_stop = True
            case unknown:
                self._events.emit(UnknownOrder(unknown))

    def _take_settings(self, settings: Settings) -> None:
        logs.change(self._writer, settings.log)
        self._household.take_settings(settings)

    def _take_tree(self, message: Mapping[str, Any]) -> None:
        self._tree += map(TreeProcess.from_message, message["processes"])
        if not message.get("more"):
            self._household.take_tree(self._tree)
            self._tree = []

    def _is_over(self) -> bool:
        return (
            self._is_told_to_stop
            or self._control.is_closed
            or self._household.exit_status is not None
        )

    def _end(self) -> int:
        is_orphan = self._control.is_closed and not self._is_told_to_stop
        if is_orphan:
            self._outlive_workers()
        self._household.stop(say_goodbye=not is_orphan)
        return self._household.exit_status or 0

    def _outlive_workers(self) -> None:
        """Keep the lease while workers live on without their master; the next one ends our row."""
        self._household.stop_all_but_lease()
        deadline = monotonic() + OUTLIVE_SECONDS
        with selectors.DefaultSelector() as nothing:
            while self._household.has_workers and monotonic() < deadline:
                self.tick()
                nothing.select(OUTLIVE_TICK_SECONDS)
