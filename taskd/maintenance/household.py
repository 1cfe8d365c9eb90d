"""The parts of maintenance and how they are tied together.

    lease ──── every beat: who is dead, and for the agenda what is due ───────────┐
    kick ───── a worker went idle ────────────────────────────────────────────────┤
    master ─── a worker died, the tree, the tasks, new settings ──────────────────┤
                                                                                  ▼
                            rescue · agenda · waker · prune

Whoever brings the news only notes it; the part that it concerns acts in its own thread.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskd import malloc
from taskd.config.settings import Settings
from taskd.errors import DatabaseError, DatabaseUnavailable
from taskd.maintenance import procfs
from taskd.maintenance.agenda import Agenda
from taskd.maintenance.burst import Burst
from taskd.maintenance.control import Control
from taskd.maintenance.database import Database
from taskd.maintenance.events import HostNotEnded
from taskd.maintenance.host import ThisHost
from taskd.maintenance.lease import Heard, Incarnation, Lease, beat_deadline
from taskd.maintenance.prune import Prune
from taskd.maintenance.rescue import DeadIncarnation, DeadWorker, Rescue
from taskd.maintenance.setup import Setup
from taskd.maintenance.tree import TreeProcess, pools_by_slot
from taskd.maintenance.wakeup import Waker
from taskd.maintenance.worker_slots import WorkerSlots
from taskd.store import hosts, statistics
from taskd.store.connect import Connection
from taskd.store.host_rows import Judgement
from taskd.store.link import Link

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOK_AFTER_KICK = 0.005
GOODBYE_SECONDS = 4.0


class Household:
    """All parts of one host's maintenance; the main thread and the parts' own threads call it."""

    def __init__(self, setup: Setup, control: Control) -> None:
        settings = setup.settings
        self._control = control
        self._began_at = EPOCH
        self._is_open = False
        self.exit_status: int | None = None
        """Set when there is no point in going on."""

        slots = WorkerSlots(setup.board, setup.wakeups, settings.pools)
        waker = Waker(setup.board, slots, setup.events)
        self._host = ThisHost(setup.board, slots, waker, setup.events)
        self._database = Database(settings, self, setup.events, is_known_good=bool(self._host.id))
        self._incarnation = Incarnation(
            id=UUID(setup.incarnation),
            name=socket.gethostname(),
            pid=setup.board.master_pid,
            version=setup.version,
        )
        self._lease = Lease(
            self._host,
            Link(self._database.dsn, "lease", beat_deadline(settings.lease)),
            self._incarnation,
            settings.lease,
            self,
        )
        self._agenda = Agenda(setup, self._host, self._database.dsn, self._lease, control)
        if settings.burst:
            self._agenda.add(Burst(slots, lambda: self._began_at, self._told_drained))
        self._rescue = Rescue(
            self._host,
            Link(self._database.dsn, "rescue"),
            self._told_rescued,
            self._agenda.jobs_went_back,
            _bearable(settings),
        )
        self._prune = Prune(
            Link(self._database.dsn, "prune", deadline=120.0),
            settings.retention,
            settings.queues,
            setup.events,
        )
        for incarnation in setup.dead_incarnations:
            self._rescue.add(DeadIncarnation(UUID(incarnation)))

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the database; all other parts start when that is done."""
        self._database.start()

    @property
    def is_healthy(self) -> bool:
        """Whether the lease is kept, or will be as soon as the database lets us."""
        return not self._is_open or self._lease.is_healthy

    @property
    def has_workers(self) -> bool:
        """Whether any process on the board still lives."""
        return any(map(procfs.is_alive, self._host.slots.pids()))

    def stop(self, say_goodbye: bool) -> None:
        """End everything; with a goodbye, what this host still holds goes back and its row ends."""
        self.stop_all_but_lease()
        self._database.give_up()
        self._lease.stop()
        if say_goodbye and self._is_open:
            self._say_goodbye()
        self._database.stop()

    def stop_all_but_lease(self) -> None:
        """The master is gone: only keep the lease, for workers that still finish their jobs."""
        self._agenda.stop()
        self._prune.stop()
        self._rescue.stop()

    def _say_goodbye(self) -> None:
        link = Link(self._database.dsn, "goodbye", GOODBYE_SECONDS)
        try:
            if self._lease.is_cut_off:
                raise DatabaseUnavailable("the database is away")
            with link.connection() as connection:
                self._rescue.settle(connection)
                hosts.rescue_host(connection, self._host.id, None, "the daemon stopped", False)
                statistics.roll_up(connection)
        except DatabaseError as error:
            self._host.events.emit(HostNotEnded(self._host.id, str(error)))
        finally:
            link.close()

    # --- the start, told by the database's thread ------------------------------------------------

    def enter(self, connection: Connection) -> int:
        """Enter this host, or find the row that an earlier maintenance entered, with its limits."""
        host = self._incarnation.enter(connection)
        self._agenda.limits.declare(connection, host)
        rows = hosts.list_hosts(connection)
        self._began_at = next((row.started_at for row in rows if row.id == host), EPOCH)
        return host

    def waiting(self, error: str) -> None:
        """Tell the master that one try to open the database has failed."""
        self._control.send("waiting", error=error)

    def failed(self, error: str) -> None:
        """Tell the master that the database cannot be opened, and end."""
        self._control.send("fatal", error=error)
        self.exit_status = 1

    def ready(self, host: int, notes: tuple[str, ...]) -> None:
        """The database is open: tell the master, before any part does, and start all others."""
        self._host.board.host = host
        self._control.send("ready", host=host, dsn=self._database.dsn(), notes=notes)
        for loop in (self._lease, self._rescue, self._agenda, self._prune):
            loop.start()
        self._is_open = True
        malloc.trim()  # the schema's scripts have been read to compare them

    # --- news from the master --------------------------------------------------------------------

    def take_tree(self, processes: Sequence[TreeProcess]) -> None:
        """These are the daemon's processes now."""
        pool_of = pools_by_slot(processes)
        self._host.waker.steer(lambda slots: slots.set_workers(pool_of))
        self._agenda.take_tree(processes)

    def take_death(self, told: Mapping[str, Any]) -> None:
        """A worker has died: its jobs go back."""
        self._rescue.add(DeadWorker.from_message(told))

    def take_recycled(self, pool: str) -> None:
        """A worker is replaced or killed because of what it holds."""
        self._agenda.take_recycled(pool)

    def take_tasks(self, told: Mapping[str, Any]) -> None:
        """A pool's code offers these tasks."""
        self._agenda.take_tasks(told)

    def take_settings(self, settings: Settings) -> None:
        """The configuration has changed: pools, queues, limits, retention, schedules are new."""
        self._host.waker.steer(lambda slots: slots.set_pools(settings.pools))
        self._prune.set(settings.retention, settings.queues)
        self._rescue.set(_bearable(settings))
        self._agenda.take_settings(settings)

    # --- news from the workers -------------------------------------------------------------------

    def take_kick(self) -> None:
        """A worker has gone idle. What was committed while it did so must still be found."""
        self._host.waker.steer(WorkerSlots.choose_warm)
        if self._lease.idle_again():
            self._agenda.look.soon(LOOK_AFTER_KICK)

    # --- news from the database ------------------------------------------------------------------

    def heard(self, heard: Heard) -> None:
        """A beat went through."""
        self._host.waker.steer(WorkerSlots.choose_warm)
        for dead in heard.dead:
            self._rescue.add(dead)
        self._agenda.heard(heard)

    def missed(self) -> None:
        """A beat did not go through."""
        self._database.revive()

    # --- what the parts ask for ------------------------------------------------------------------

    def _told_rescued(self, incarnation: UUID) -> None:
        self._control.send("rescued", incarnation=str(incarnation))

    def _told_drained(self, failed: int, left: tuple[str, ...]) -> None:
        self._control.send("drained", failed=failed, left=left)


def _bearable(settings: Settings) -> Judgement:
    return Judgement(max_losses=settings.max_losses, max_crashes=settings.max_crashes)
