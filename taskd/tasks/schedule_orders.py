"""What people order schedules to do: run now, go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from taskd.config.schedules import Overlap
from taskd.errors import OptionInvalid
from taskd.store import schedules as store
from taskd.store.schedule_rows import ScheduleRow
from taskd.store.tasks import find_task
from taskd.tasks.definition import job_of
from taskd.tasks.names import nearest_name
from taskd.tasks.schedule import schedule_of

if TYPE_CHECKING:
    from datetime import datetime

    from taskd.store.jobs import AnyConnection


def run_now(connection: AnyConnection, row: ScheduleRow) -> tuple[int | None, int | None]:
    """Enqueue a job of a schedule beside its slots: its id as `enqueue_graph` gives it.

    None, and the id of its last job, if that has not ended and the schedule is to skip then. Raises
    what the task's options raise.
    """
    new = job_of(row, find_task(connection, row.task))
    skip = json.loads(row.options)["overlap"] == Overlap.SKIP
    return store.run_schedule(connection, row.name, new, skip=skip)


def go_on(connection: AnyConnection, row: ScheduleRow | None) -> tuple[bool, datetime | None]:
    """Let a paused schedule go on, however it changes meanwhile: whether it was, and its next slot.

    The slots that have passed are over. Raises OptionInvalid if its kind or zone is not known here.
    """
    while row is not None and row.paused:
        next_at = schedule_of(json.loads(row.spec)).next_after(row.now)
        if store.resume_schedule(connection, row, next_at):
            return True, next_at
        row = store.find_schedule(connection, row.name)
    return False, None


def next_slots(row: ScheduleRow, count: int = 3) -> list[datetime]:
    """When a schedule has its next slots; none while it is paused, and once it is removed.

    The first alone, if its kind or zone is not known here, but to a newer daemon.
    """
    if row.state != "active" or row.next_at is None:
        return []
    slots = [row.next_at]
    try:
        schedule = schedule_of(json.loads(row.spec))
    except OptionInvalid:
        return slots
    while len(slots) < count and (following := schedule.next_after(slots[-1])) is not None:
        slots.append(following)
    return slots


def near_names(connection: AnyConnection, name: str) -> str | None:
    """The name of a schedule that may have been meant."""
    return nearest_name(name, [one.name for one in store.list_schedules(connection)])
