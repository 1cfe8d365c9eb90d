"""Schedules: what hosts want scheduled, what is due, and the firing of a slot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from taskd.store.literals import text_array
from taskd.store.rows import NewJob
from taskd.store.schedule_rows import Definition, DueSchedule, Firing, ScheduleRow, Unsettled

AnyConnection = psycopg.Connection[Any]

_DECLARE = """
SELECT taskd.declare_schedules_v1(%s, %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                                  %s::text[], %s::text[], %s::text[])
"""
_UNSETTLED = """
SELECT name, definition, wanted, spec, wanted_spec, removed_seconds, now
FROM taskd.unsettled_schedules_v1()
"""
_SETTLE = "SELECT taskd.settle_schedule_v1(%s, %s, %s, %s, %s::timestamptz)"
_DUE = """
SELECT s.name, s.definition, s.next_at, clock_timestamp() AS now, d.source, d.task, d.spec, d.args,
       d.kwargs, d.options
FROM taskd.schedule s JOIN taskd.schedule_definition d ON d.id = s.definition
WHERE s.next_at <= clock_timestamp() AND NOT s.paused AND s.removed_at IS NULL
ORDER BY s.next_at
"""
_FIRE = """
SELECT taskd.fire_schedule_v1(%s, %s, %s::timestamptz, %s::timestamptz, %s::timestamptz[],
                              %s::timestamptz, %s, %s::jsonb)
"""
_RUN = "SELECT job, busy FROM taskd.run_schedule_v1(%s, %s, %s::jsonb)"
_NEXT = """
SELECT extract(epoch FROM s.next_at - clock_timestamp())::float8
FROM taskd.schedule s
WHERE s.next_at IS NOT NULL AND NOT s.paused AND s.removed_at IS NULL
ORDER BY s.next_at LIMIT 1
"""
_ROWS = """
SELECT s.name, s.definition, d.source, d.task, d.spec, d.args, d.kwargs, d.options, s.next_at,
       s.last_at, s.last_job,
       (SELECT j.state FROM taskd.job j WHERE j.id = s.last_job LIMIT 1) AS last_state,
       s.skipped_at, s.paused, s.removed_at, s.created_at, s.changed_at, clock_timestamp() AS now
FROM taskd.schedule s JOIN taskd.schedule_definition d ON d.id = s.definition
WHERE s.name = coalesce(%s, s.name)
ORDER BY s.name
"""


def declare_schedules(
    connection: AnyConnection, host: int, definitions: Sequence[Definition]
) -> None:
    """Store all that a host wants scheduled, in place of what it wanted before."""
    rows = [definition.texts() for definition in definitions]
    columns = [text_array(column) for column in zip(*rows, strict=True)] or ["{}"] * 8
    connection.execute(_DECLARE, (host, *columns))


def unsettled_schedules(connection: AnyConnection) -> list[Unsettled]:
    """The schedules that are not as the living hosts want them, by name."""
    with connection.cursor(row_factory=class_row(Unsettled)) as cursor:
        return cursor.execute(_UNSETTLED).fetchall()


def settle_schedule(
    connection: AnyConnection, seen: Unsettled, *, keep: bool, next_at: datetime | None
) -> bool:
    """Let a schedule be what is wanted of it; its next slot is `next_at`, or stays with `keep`.

    False if somebody was faster or a slot came meanwhile: look again.
    """
    parameters = (seen.name, seen.definition, seen.wanted, keep, next_at)
    row = connection.execute(_SETTLE, parameters).fetchone()
    return bool(row and row[0])


def due_schedules(connection: AnyConnection) -> list[DueSchedule]:
    """The schedules with a slot that has come, by the database's clock; the longest due first."""
    with connection.cursor(row_factory=class_row(DueSchedule)) as cursor:
        return cursor.execute(_DUE).fetchall()


def fire_schedule(
    connection: AnyConnection, seen: DueSchedule, new: NewJob, firing: Firing
) -> list[int] | None:
    """Enqueue `new` for each slot that `firing` says, and let the schedule's next slot be next.

    The ids as `enqueue_graph` gives them; None if another host was faster, or the schedule is
    paused or gone.
    """
    parameters = (
        seen.name,
        seen.definition,
        seen.next_at,
        firing.next_at,
        list(firing.slots),
        firing.last,
        firing.skip,
        _json(new),
    )
    row = connection.execute(_FIRE, parameters).fetchone()
    return None if row is None or row[0] is None else list(row[0])


def next_slot(connection: AnyConnection) -> float | None:
    """Seconds until the first slot of all schedules is due, negative when overdue; None: none."""
    row = connection.execute(_NEXT).fetchone()
    return None if row is None else float(row[0])


def list_schedules(connection: AnyConnection) -> list[ScheduleRow]:
    """All schedules, by name."""
    with connection.cursor(row_factory=class_row(ScheduleRow)) as cursor:
        return cursor.execute(_ROWS, (None,)).fetchall()


def find_schedule(connection: AnyConnection, name: str) -> ScheduleRow | None:
    """One schedule by its name."""
    with connection.cursor(row_factory=class_row(ScheduleRow)) as cursor:
        return cursor.execute(_ROWS, (name,)).fetchone()


def run_schedule(
    connection: AnyConnection, name: str, new: NewJob, *, skip: bool
) -> tuple[int | None, int | None]:
    """Enqueue a job of a schedule now: its id, as `enqueue_graph` gives it.

    With `skip`, while the schedule's last job has not ended: None, and the id of that job.
    """
    row = connection.execute(_RUN, (name, skip, _json(new))).fetchone()
    job, busy = row or (None, None)
    return job, busy


def pause_schedule(connection: AnyConnection, name: str) -> bool:
    """Let a schedule's slots pass without jobs. False if that was so already."""
    return _did(connection, "SELECT taskd.pause_schedule_v1(%s)", (name,))


def resume_schedule(connection: AnyConnection, seen: ScheduleRow, next_at: datetime | None) -> bool:
    """Let a paused schedule go on with this slot. False if it was not paused, or has changed."""
    return _did(
        connection,
        "SELECT taskd.resume_schedule_v1(%s, %s, %s::timestamptz)",
        (seen.name, seen.definition, next_at),
    )


def prune_schedules(connection: AnyConnection, keep_seconds: float) -> int:
    """Forget schedules that nobody has had for so long, and what long gone hosts wanted."""
    row = connection.execute("SELECT taskd.prune_schedules_v1(%s)", (keep_seconds,)).fetchone()
    return int(row[0]) if row else 0


def _json(new: NewJob) -> str:
    return json.dumps(new.to_json_dict())


def _did(connection: AnyConnection, statement: LiteralString, parameters: tuple[Any, ...]) -> bool:
    row = connection.execute(statement, parameters).fetchone()
    return bool(row and row[0])
