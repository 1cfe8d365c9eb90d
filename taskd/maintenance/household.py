"""The parts of maintenance and how they are tied together.

    lease ──── every beat: who is dead, what is due, new orders, paused queues ───┐
    listen ─── every notification: jobs in a lane, something due, new orders ─────┤
    kick ───── a worker went idle ────────────────────────────────────────────────┤
    master ─── a worker died, the tree, the tasks, new settings ──────────────────┤
                                                                                  ▼
                            rescue · chores · waker · prune

Whoever brings the news only notes it; the part that it concerns acts in its own thread.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskd.config.settings import Settings
from taskd.errors import DatabaseError, DatabaseUnavailable
from taskd.maintenance import procfs
from taskd.maintenance.burst import Burst
from taskd.maintenance.chores import Chore, Chores
from taskd.maintenance.control import Control
from taskd.maintenance.cron import Schedules
from taskd.maintenance.database import Database
from taskd.maintenance.declare import Declare
from taskd.maintenance.dispatch import Dispatch
from taskd.maintenance.events import HostNotEnded
from taskd.maintenance.host import ThisHost
from taskd.maintenance.lease import Heard, Incarnation, Lease
from taskd.maintenance.listen import Check, Listener
from taskd.maintenance.look import Look
from taskd.maintenance.parts import Link
from taskd.maintenance.promote import Promote
from taskd.maintenance.prune import Prune
from taskd.maintenance.publish import Publish
from taskd.maintenance.report import processes_json
from taskd.maintenance.requests import Interrupt, Requests
from taskd.maintenance.rescue import DeadIncarnation, DeadWorker, Rescue
from taskd.maintenance.setup import Setup
from taskd.maintenance.slots import Slots
from taskd.maintenance.tree import TreeProcess, pools_by_slot
from taskd.maintenance.wakeup import Waker, read_news
from taskd.store import hosts
from taskd.store.connect import Connection
from taskd.store.rows import Judgement

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOK_AFTER_KICK = 0.005
POLL_SECONDS = 1.0
GOODBYE_SECONDS = 4.0
SHORTEST_DEADLINE, LONGEST_DEADLINE = 1.0, 10.0


class Household:
    """All parts of one host's maintenance; the main thread and the parts' own threads call it."""

    def __init__(self, setup: Setup, control: Control) -> None:
        settings = setup.settings
        self._control = control
        self._processes: tuple[TreeProcess, ...] = ()
        self._began_at = EPOCH
        self._is_open = False
        self.exit_status: int | None = None
        """Set when there is no point in going on."""

        slots = Slots(setup.board, setup.wakeups, settings.pools)
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
            Link(self._database.dsn, "lease", _deadline(settings.lease)),
            self._incarnation,
            settings.lease,
            self,
        )
        self._chores = Chores(Link(self._database.dsn, "chores"), setup.events)
        self._add_chores(settings)
        self._listener = self._make_listener(settings)
        self._rescue = Rescue(
            self._host,
            Link(self._database.dsn, "rescue"),
            self._told_rescued,
            self._look.soon,
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

    def _add_chores(self, settings: Settings) -> None:
        hurry = self._chores.hurry
        self._look = Look(self._host, self._is_hearing, hurry)
        self._promote = Promote(self._host.waker, hurry, self._lease.hasten)
        self._dispatch = Dispatch(hurry)
        self._requests = Requests(self._host, self._report, self._ask_interrupt, hurry)
        self._publish = Publish(self._host, hurry)
        self._schedules = Schedules(self._host, hurry, lambda: self._declare.soon())
        self._declare = Declare(self._host, settings, hurry, self._schedules.soon)
        self._check = Check(str(self._incarnation.id), hurry)
        chores: list[Chore] = [
            self._look,
            self._promote,
            self._dispatch,
            self._requests,
            self._publish,
            self._declare,
            self._schedules,
            self._check,
        ]
        if settings.burst:
            chores.append(Burst(self._host.slots, lambda: self._began_at, self._told_drained))
        for chore in chores:
            self._chores.add(chore)

    def _make_listener(self, settings: Settings) -> Listener | None:
        if settings.listen is False:
            return None
        direct = settings.listen
        dsn = self._database.dsn if direct is True else lambda: str(direct)
        link = Link(dsn, "listen")
        return Listener(link, self._check, self._hear, self._joined, self._host.events)

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
        for part in (self._chores, self._listener, self._prune, self._rescue):
            if part is not None:
                part.stop()

    def _say_goodbye(self) -> None:
        link = Link(self._database.dsn, "goodbye", GOODBYE_SECONDS)
        try:
            if self._lease.is_cut_off:
                raise DatabaseUnavailable("the database is away")
            with link.connection() as connection:
                self._rescue.settle(connection)
                hosts.rescue_host(connection, self._host.id, None, "the daemon stopped", False)
        except DatabaseError as error:
            self._host.events.emit(HostNotEnded(self._host.id, str(error)))
        finally:
            link.close()

    # --- the start, told by the database's thread ------------------------------------------------

    def enter(self, connection: Connection) -> int:
        """Enter this host, or find the row that an earlier maintenance entered."""
        host = self._incarnation.enter(connection)
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
        for part in (self._lease, self._rescue, self._chores, self._listener, self._prune):
            if part is not None:
                part.start()
        self._is_open = True

    # --- news from the master --------------------------------------------------------------------

    def take_tree(self, processes: Sequence[TreeProcess]) -> None:
        """These are the daemon's processes now."""
        self._processes = tuple(processes)
        pool_of = pools_by_slot(processes)
        self._host.waker.steer(lambda slots: slots.set_workers(pool_of))
        self._look.soon()

    def take_death(self, told: Mapping[str, Any]) -> None:
        """A worker has died: its jobs go back."""
        self._rescue.add(DeadWorker.from_message(told))

    def take_tasks(self, told: Mapping[str, Any]) -> None:
        """A pool's code offers these tasks."""
        tasks = self._publish.take(told)
        if tasks is not None:
            self._declare.take_tasks(told["pool"], tasks)

    def take_settings(self, settings: Settings) -> None:
        """The configuration has changed: pools, queues, retention, schedules are taken over."""
        self._host.waker.steer(lambda slots: slots.set_pools(settings.pools))
        self._prune.set(settings.retention, settings.queues)
        self._declare.take_settings(settings)
        self._rescue.set(_bearable(settings))
        self._look.soon()

    # --- news from the workers -------------------------------------------------------------------

    def take_kick(self) -> None:
        """A worker has gone idle. What was committed while it did so must still be found."""
        self._host.waker.steer(Slots.choose_warm)
        if self._lease.idle_again():
            self._look.soon(LOOK_AFTER_KICK)

    # --- news from the database ------------------------------------------------------------------

    def heard(self, heard: Heard) -> None:
        """A beat went through."""
        beat = heard.beat
        self._host.waker.steer(Slots.choose_warm)
        for dead in heard.dead:
            self._rescue.add(dead)
        if beat.due is not None:
            self._promote.due_in(beat.due)
        if beat.mail:
            self._dispatch.soon()
        if beat.slot is not None:
            self._schedules.due_in(beat.slot)
        self._declare.see_hosts(beat.others.keys())
        self._requests.heard(beat.requests)
        if heard.is_first or (self._host.slots.has_jobs() and not self._is_hearing()):
            self._requests.soon()
        if heard.is_new_host:
            self._publish.again()
            self._declare.again()
        if heard.went_idle:
            self._look.after_idle()
        if self._host.waker.set_paused(beat.paused) or heard.is_first or heard.is_idle:
            self._look.soon()
        if not self._is_hearing():
            self._lease.hasten(POLL_SECONDS)  # nobody tells what becomes due, or of orders
        self._chores.hurry()

    def missed(self) -> None:
        """A beat did not go through."""
        self._database.revive()

    def _hear(self, payloads: list[str]) -> None:
        news = read_news(payloads)
        for lane in news.lanes:
            self._host.waker.jobs_wait(lane)
        if news.due is not None:
            self._promote.due_in(news.due)
        if news.mail:
            self._dispatch.soon()
        if news.schedules:
            self._schedules.soon()
        if news.requests:
            self._requests.soon()
            self._lease.hasten()  # the beat reads which queues are paused

    def _joined(self) -> None:
        """What was notified before we listened is lost: look at everything."""
        self._look.soon()
        self._requests.soon()
        self._schedules.soon()
        self._lease.hasten()

    def _is_hearing(self) -> bool:
        return self._listener is not None and self._listener.is_hearing

    # --- what the parts ask for ------------------------------------------------------------------

    def _report(self) -> str:
        return processes_json(self._processes, self._host.slots)

    def _ask_interrupt(self, wanted: Interrupt) -> None:
        self._control.send("signal", order="interrupt", **asdict(wanted))

    def _told_rescued(self, incarnation: UUID) -> None:
        self._control.send("rescued", incarnation=str(incarnation))

    def _told_drained(self, failed: int, left: tuple[str, ...]) -> None:
        self._control.send("drained", failed=failed, left=left)


def _bearable(settings: Settings) -> Judgement:
    return Judgement(max_losses=settings.max_losses, max_crashes=settings.max_crashes)


def _deadline(lease: float) -> float:
    """Seconds a beat may take: what takes longer than part of a lease has failed."""
    return min(max(lease / 3, SHORTEST_DEADLINE), LONGEST_DEADLINE)
