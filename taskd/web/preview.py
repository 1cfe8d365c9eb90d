"""The preview of a schedule, one that daemons have declared or one that somebody thinks of."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from taskd.clock import utc_now
from taskd.errors import OptionInvalid
from taskd.store.schedules import find_schedule
from taskd.tasks.preview import shown_slots
from taskd.tasks.schedule import Cron, Every, Schedule, schedule_of
from taskd.web.answers import NotThere, Values
from taskd.web.parameters import ParameterInvalid
from taskd.web.shapes import Shape, array, nullable, object_of
from taskd.web.source import Source

MOST_SLOTS = 100
_TIME: Shape = {"type": "string", "format": "date-time"}
SLOTS = object_of(
    {
        "timezone": {"type": "string"},
        "slots": array(
            object_of({"local": _TIME, "utc": _TIME, "note": nullable({"type": "string"})})
        ),
    }
)


def preview(source: Source, values: Values) -> dict[str, Any]:
    """The next slots of a schedule by its `name`, of a `cron` expression or of `every` so long.

    `note` says what clocks that change do to a slot. One of the three must be given.
    """
    if sum(values[kind] is not None for kind in ("name", "cron", "every")) != 1:
        raise ParameterInvalid("which schedule? give one of name, cron and every")
    schedule = _schedule(source, values)
    zone = values["timezone"] or (schedule.timezone if isinstance(schedule, Cron) else "UTC")
    try:
        slots = list(shown_slots(schedule, ZoneInfo(zone), _moment(values), values["count"]))
    except (OverflowError, ValueError) as error:
        raise ParameterInvalid("after: is too far away for a calendar") from error
    return {"timezone": zone, "slots": [slot.to_json_dict() for slot in slots]}


def _schedule(source: Source, values: Values) -> Schedule:
    if values["cron"] is not None:
        return Cron(values["cron"], timezone=values["timezone"] or "UTC")
    if values["every"] is not None:
        return Every(values["every"])
    with source.reading() as connection:
        row = find_schedule(connection, values["name"])
    if row is None:
        raise NotThere(f"no schedule is named {values['name']}")
    try:
        return schedule_of(json.loads(row.spec))
    except OptionInvalid as error:
        raise ParameterInvalid(f"name: {values['name']} is not known here: {error}") from error


def _moment(values: Values) -> datetime:
    after = values["after"]
    if after is None:
        return utc_now()
    return after if isinstance(after, datetime) else utc_now() - timedelta(seconds=after)
