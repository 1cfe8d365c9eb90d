"""The chores of a host, and what makes each of them due.

    a beat ─────────── something is due, new orders, letters, a new row of this host ───┐
    a notification ─── jobs in a lane, something due, new orders, letters ──────────────┤
    the master ─────── the tree, the tasks of a pool, new settings ─────────────────────┤
                                                                                        ▼
      limits · look · promote · dispatch · requests · questions · publish · declare · cron · burst ·
                                                           readings · tally · stalls · leaks

Whoever brings the news only notes it; the chore runs in the thread of all chores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from taskd.config.settings import Settings
from taskd.maintenance.chores import Chore, Chores
from taskd.maintenance.control import Control
from taskd.maintenance.cron import Schedules
from taskd.maintenance.declare import Declare
from taskd.maintenance.dispatch import Dispatch
from taskd.maintenance.host import ThisHost
from taskd.maintenance.leaks import Leaks
from taskd.maintenance.lease import Heard, Lease, beat_deadline
from taskd.maintenance.limits import Limits
from taskd.maintenance.listen import CHECK_SECONDS, DIRECT_CHECK_SECONDS, Check, Listener
from taskd.maintenance.look import Look
from taskd.maintenance.promote import Promote
from taskd.maintenance.publish import Publish
from taskd.maintenance.questions import AskOrder, Questions
from taskd.maintenance.readings import Readings
from taskd.maintenance.report import processes_json
from taskd.maintenance.requests import DrainOrder, InterruptOrder, Requests
from taskd.maintenance.setup import Setup
from taskd.maintenance.stalls import Stalls
from taskd.maintenance.tally import Tally
from taskd.maintenance.tree import TreeProcess
from taskd.maintenance.wakeup import read_news
from taskd.store.link import Link
from taskd.store.shared import SharedLink

POLL_SECONDS = 1.0


class Agenda:
    """The chores, the thread that runs them, and the one that listens for them."""

    def __init__(
        self,
        setup: Setup,
        host: ThisHost,
        dsn: Callable[[], str | None],
        lease: Lease,
        control: Control,
    ) -> None:
        self._host = host
        self._lease = lease
        self._control = control
        self._processes: tuple[TreeProcess, ...] = ()
        self._chores = Chores(Link(dsn, "chores"), setup.events, host.slots.has_jobs)
        hurry = self._chores.hurry
        self.limits = Limits(host, setup.settings, hurry)
        self.look = Look(host, self._is_hearing, hurry)
        self._promote = Promote(host.waker, hurry, lease.hasten)
        self._dispatch = Dispatch(hurry)
        self._questions = Questions(host.slots, self._ask_worker, hurry)
        self._requests = Requests(
            host, self._report, self._ask_interrupt, hurry, self._questions.soon
        )
        self._requests.on_hunt = self._ask_hunt
        self._requests.on_drain = self._ask_drain
        self._publish = Publish(host, hurry)
        self._schedules = Schedules(host, hurry, lambda: self._declare.soon())
        self._declare = Declare(host, setup.settings, hurry, self._schedules.soon)
        self._readings = Readings(host)
        self._check = Check(setup.incarnation, hurry)
        self._tally = Tally(host)
        self._stalls = Stalls(host)
        self._leaks = Leaks(host)
        for chore in (
            self.limits,
            self.look,
            self._promote,
            self._dispatch,
            self._requests,
            self._questions,
            self._publish,
            self._declare,
            self._schedules,
            self._check,
            self._readings,
            self._tally,
            self._stalls,
            self._leaks,
        ):
            self._chores.add(chore)
        self._listener = self._make_listener(setup.settings, dsn)
        lease.lender = self._listener

    def _make_listener(self, settings: Settings, dsn: Callable[[], str | None]) -> Listener | None:
        if settings.listen is False:
            return None
        direct = settings.listen
        deadline = beat_deadline(settings.lease)  # for beats travel on it
        link = SharedLink(dsn if direct is True else lambda: str(direct), "listen", deadline)
        return Listener(
            link,
            self._check,
            self._hear,
            self._joined,
            self._host.events,
            check_seconds=CHECK_SECONDS if direct is True else DIRECT_CHECK_SECONDS,
        )

    def add(self, chore: Chore) -> None:
        """Take one more chore, before `start`."""
        self._chores.add(chore)

    def start(self) -> None:
        """Begin."""
        self._chores.start()
        if self._listener is not None:
            self._listener.start()

    def stop(self) -> None:
        """Run no further chore, listen no more."""
        self._chores.stop()
        if self._listener is not None:
            self._listener.stop()

    # --- news from the master --------------------------------------------------------------------

    def take_tree(self, processes: Sequence[TreeProcess]) -> None:
        """These are the daemon's processes now."""
        self._processes = tuple(processes)
        self._readings.take_tree(self._processes)
        self._leaks.take_tree(self._processes)
        self.look.soon()

    def take_recycled(self, pool: str) -> None:
        """A worker is replaced or killed because of what it holds."""
        self._leaks.take_recycled(pool)

    def take_tasks(self, told: Mapping[str, Any]) -> None:
        """A pool's code offers these tasks."""
        tasks = self._publish.take(told)
        if tasks is not None:
            self._declare.take_tasks(told["pool"], tasks)

    def take_settings(self, settings: Settings) -> None:
        """The configuration has changed."""
        self._leaks.forget()
        self.limits.take_settings(settings)
        self._declare.take_settings(settings)
        self.look.soon()

    # --- news from the database ------------------------------------------------------------------

    def jobs_went_back(self, were_hosts: bool) -> None:
        """The dead had jobs, which wait again: at the start nobody is told in which lanes.

        `were_hosts`: what a whole host had, which is worth a rescan; a worker had few.
        """
        if were_hosts and not self._is_hearing():
            self.look.anew()
        else:
            self.look.soon()

    def heard(self, heard: Heard) -> None:
        """A beat went through."""
        beat = heard.beat
        if beat.due is not None:
            self._promote.due_in(beat.due)
        if beat.mail:
            self._dispatch.soon()
        if beat.slot is not None:
            self._schedules.due_in(beat.slot)
        self.limits.see_hosts(beat.others.keys())
        self._declare.see_hosts(beat.others.keys())
        self._requests.heard(beat.requests)
        if heard.is_first or (self._host.slots.has_jobs() and not self._is_hearing()):
            self._requests.soon()
        if heard.is_new_host:
            self._publish.again()
            self._declare.again()
        if heard.went_idle:
            self.look.after_idle()
        has_resumed = self._host.waker.set_paused(beat.paused)
        if heard.marks is not None and beat.lanes is not None:
            self.look.take(beat.lanes, heard.marks)
        elif has_resumed or heard.is_first or heard.is_idle:
            self.look.soon()
        self._stalls.see(beat)
        self._tally.see(beat)
        if not self._is_hearing():
            self._lease.hasten(POLL_SECONDS)  # nobody tells what becomes due, or of orders
        self._chores.hurry()

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
        self.look.anew()
        self._requests.soon()
        self._schedules.soon()
        self._lease.hasten()

    def _is_hearing(self) -> bool:
        return self._listener is not None and self._listener.is_hearing

    # --- what the chores ask for -----------------------------------------------------------------

    def _report(self) -> str:
        return processes_json(self._processes, self._host.slots)

    def _ask_interrupt(self, wanted: InterruptOrder) -> None:
        self._control.send("signal", order="interrupt", **asdict(wanted))

    def _ask_hunt(self, pool: str) -> None:
        self._control.send("hunt", pool=pool)

    def _ask_drain(self, wanted: DrainOrder) -> None:
        self._control.send("signal", order="drain", **asdict(wanted))

    def _ask_worker(self, wanted: AskOrder) -> None:
        self._control.send("signal", order="ask", **asdict(wanted))
