"""Tells the database what this host wants scheduled, and lets each schedule be what is wanted.

    the file ────┐                        settle: of all that living hosts have declared
                 ├─► declare ─► database ◄─── the newest definition of each name holds
    the code ────┘                        one that no living host has any more is removed

A host speaks for the first time when the code of all its pools has been imported: before that,
silence would pass for "I do not have it". Each time a host has spoken, come or gone, others settle.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any

from taskd.config.settings import Settings
from taskd.errors import OptionInvalid
from taskd.events import Event
from taskd.maintenance.host import ThisHost
from taskd.maintenance.schedule_events import (
    ScheduleChanged,
    ScheduleMisfit,
    ScheduleOverridden,
    ScheduleTaskUnknown,
    ScheduleUnusable,
)
from taskd.store import schedules
from taskd.store.connect import Connection
from taskd.store.schedule_rows import Definition, Unsettled
from taskd.tasks.definition import definitions_of_code, definitions_of_file, misfit

ROUNDS = 3
"""Other hosts may be settling, too; after so many rounds they are left to it."""

FORGOTTEN_SECONDS = 86_400.0
"""What nobody had for longer begins anew when it comes back: none of its slots were missed."""

Tasks = Sequence[Mapping[str, Any]]


class Declare:
    """The chore that declares and settles; news may come from any thread."""

    def __init__(
        self,
        host: ThisHost,
        settings: Settings,
        hurry: Callable[[], None],
        settled: Callable[[], None],
    ) -> None:
        self._host = host
        self._hurry = hurry
        self._settled = settled
        self._lock = threading.Lock()  # guards all below
        self._settings = settings
        self._tasks: dict[str, Tasks] = {}
        self._awaited = set(settings.pools)  # whose code is being imported with these settings
        self._has_spoken = False
        self._is_changed = True
        self._is_unsettled = False
        self._others: Collection[int] | None = None
        self._told: set[Event] = set()

    def take_settings(self, settings: Settings) -> None:
        """The configuration has changed."""
        with self._lock:
            self._settings = settings
            self._awaited = set(settings.pools)
            self._is_changed = True
        self._hurry()

    def take_tasks(self, pool: str, tasks: Tasks) -> None:
        """A pool's code offers these tasks, and what they want scheduled."""
        with self._lock:
            self._tasks[pool] = tasks
            self._awaited.discard(pool)
            self._is_changed = True
        self._hurry()

    def again(self) -> None:
        """Declare once more: the host's row is a new one."""
        with self._lock:
            self._is_changed = True
        self._hurry()

    def see_hosts(self, others: Collection[int]) -> None:
        """These other hosts live; when one has come or gone, other definitions may hold."""
        with self._lock:
            if self._others == others:
                return
            self._others = others
            self._is_unsettled = True
        self._hurry()

    def soon(self) -> None:
        """Settle: some schedule could not be fired as it is."""
        with self._lock:
            self._is_unsettled = True
        self._hurry()

    def due(self) -> float:
        """At once, if there is something to say or to settle."""
        return -inf if self._is_unsettled or (self._is_changed and self._may_speak()) else inf

    def _may_speak(self) -> bool:
        return self._has_spoken or self._is_complete()

    def _is_complete(self) -> bool:
        """Whether the code of each pool is known; that of pools which are gone may be, too."""
        return self._tasks.keys() >= self._settings.pools.keys()

    def run(self, connection: Connection) -> None:
        """Declare what has changed, then settle."""
        with self._lock:
            is_speaking = self._is_changed and self._may_speak()
            wanted = self._wanted() if is_speaking else []
            self._has_spoken = self._has_spoken or is_speaking
            self._is_changed = self._is_changed and not is_speaking
            self._is_unsettled = False
        try:
            if is_speaking:
                schedules.declare_schedules(connection, self._host.id, wanted)
            self._settle_all(connection)
        except Exception:
            with self._lock:
                self._is_changed = self._is_changed or is_speaking
                self._is_unsettled = True
            raise
        self._settled()

    def _wanted(self) -> list[Definition]:
        """What this host wants scheduled, by name; the file's word goes before the code's."""
        if self._is_complete():
            self._tasks = {pool: self._tasks[pool] for pool in self._settings.pools}
        tasks = [task for offered in self._tasks.values() for task in offered]
        code = {definition.name: definition for definition in definitions_of_code(tasks)}
        file = {one.name: one for one in definitions_of_file(self._settings.schedules)}
        for name in code.keys() & file.keys():
            self._tell_once(ScheduleOverridden(name))
        if not self._awaited:
            self._tell_of_misfits(file.values(), {task["name"]: task for task in tasks})
        merged = code | file
        return [merged[name] for name in sorted(merged)]

    def _tell_of_misfits(
        self, file: Iterable[Definition], offered: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Say which jobs are going to fail; they are enqueued all the same, for other daemons."""
        for one in file:
            task = offered.get(one.task)
            problem = None if task is None else misfit(task, one.args, one.kwargs)
            if task is None:
                self._tell_once(ScheduleTaskUnknown(one.name, one.task))
            elif problem is not None:
                self._tell_once(ScheduleMisfit(one.name, problem))

    # --- settling --------------------------------------------------------------------------------

    def _settle_all(self, connection: Connection) -> None:
        for _ in range(ROUNDS):
            unsettled = schedules.unsettled_schedules(connection)
            if not unsettled:
                return
            for one in unsettled:
                self._settle(connection, one)

    def _settle(self, connection: Connection, one: Unsettled) -> None:
        keep = keeps_next_slot(one)
        try:
            next_at = None if keep else first_slot(one)
        except (
            OptionInvalid
        ) as error:  # a time zone that only other hosts know: they will see to it
            self._tell_once(ScheduleUnusable(one.name, str(error)))
            return
        if schedules.settle_schedule(connection, one, keep=keep, next_at=next_at):
            is_over = not keep and next_at is None
            change = f"{_change(one)}, and no slot of it is left" if is_over else _change(one)
            self._host.events.emit(ScheduleChanged(one.name, change, next_at))

    def _tell_once(self, event: Event) -> None:
        if event not in self._told:
            self._told.add(event)
            self._host.events.emit(event)


def keeps_next_slot(one: Unsettled) -> bool:
    """Whether the first slot that nobody has seen to stays, so that it still counts as missed.

    So it does while a schedule means the same times, however else it changes, unless nobody has
    had it for long.
    """
    if one.wanted is None:
        return True
    is_forgotten = one.removed_seconds is not None and one.removed_seconds > FORGOTTEN_SECONDS
    return one.spec == one.wanted_spec and not is_forgotten


def first_slot(one: Unsettled) -> datetime | None:
    """The first slot of what is wanted; raises OptionInvalid if it is not understood here."""
    from taskd.tasks.schedule import schedule_of  # only who has a schedule pays for it

    if one.wanted_spec is None:
        return None
    return schedule_of(json.loads(one.wanted_spec)).next_after(one.now)


def _change(one: Unsettled) -> str:
    if one.wanted is None:
        return "is removed: no daemon that runs has it"
    if one.definition is None:
        return "is new"
    return "is back" if one.definition == one.wanted else "has changed"
