"""What to enqueue for a schedule that is due, after however long a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from taskd.config.schedules import CatchUp, Overlap
from taskd.errors import OptionInvalid
from taskd.store.schedule_rows import DueSchedule, Firing
from taskd.tasks.schedule import NEWER, Schedule, schedule_of

Choice = TypeVar("Choice", bound=StrEnum)

GRACE = timedelta(seconds=60)
"""A slot that is no later than this is not missed: so long a deploy or a failover may take."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do; `is_late`: some slot was missed, so that `catch_up` had a say."""

    firing: Firing
    is_late: bool
    catch_up: CatchUp


def judge(due: DueSchedule) -> Verdict:
    """Judge a schedule whose slot has come. Raises OptionInvalid if it is not understood here."""
    options = json.loads(due.options)
    catch_up = _choice(CatchUp, options, "catch_up")
    limit = options["catch_up_limit"] if catch_up is CatchUp.ALL else 1
    schedule = schedule_of(json.loads(due.spec))
    came = _slots_that_came(schedule, due.next_at, due.now, limit)
    is_missed = due.now - came[-1] > GRACE
    firing = Firing(
        slots=() if is_missed and catch_up is CatchUp.NONE else came,
        last=came[-1],
        next_at=schedule.next_after(due.now),
        skip=_choice(Overlap, options, "overlap") is Overlap.SKIP,
    )
    return Verdict(firing, is_missed or came[-1] > due.next_at, catch_up)


def _slots_that_came(
    schedule: Schedule, next_at: datetime, now: datetime, limit: int
) -> tuple[datetime, ...]:
    """The last `limit` slots from `next_at`, the first that nobody has seen to, up to `now`."""
    found = schedule.between(next_at - _MICROSECOND, now, limit)
    # No slot any more, if the rules of its time zone have changed since it was computed.
    return tuple(found) or (next_at,)


def _choice(kind: type[Choice], options: dict[str, Any], name: str) -> Choice:
    try:
        return kind(options[name])
    except ValueError:
        raise OptionInvalid(name, options[name], NEWER) from None
