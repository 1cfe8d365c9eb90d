"""Schedules as the store has them, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a host wants scheduled, as plain data; source is "yaml" or "code"."""

    name: str
    source: str
    task: str
    spec: Mapping[str, Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]

    def texts(self) -> tuple[str, str, str, str, str, str, str | None, str]:
        """The columns of its row: name, digest, source, task, spec, args, kwargs, options.

        The digest is that of those after it, so that equal wishes of several hosts are one.
        """
        from hashlib import sha256

        kwargs = _json(self.kwargs) if self.kwargs else None
        texts = _json(self.spec), _json(self.args), kwargs, _json(self.options)
        digest = sha256(json.dumps([self.source, self.task, *texts]).encode()).hexdigest()
        return (self.name, digest, self.source, self.task, *texts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A schedule that is not as the living hosts want it.

    definition None: it is new; wanted None: nobody has it any more. removed_seconds: for how long
    nobody has had it, None if somebody did. now: the database's time.
    """

    name: str
    definition: int | None
    wanted: int | None
    spec: str | None
    wanted_spec: str | None
    removed_seconds: float | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchedule:
    """A schedule as it is defined now; spec, args, kwargs, options are JSON texts.

    now: the database's time.
    """

    name: str
    definition: int
    source: str
    task: str
    spec: str
    args: str
    kwargs: str | None
    options: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSchedule(StoredSchedule):
    """A schedule whose next slot has come."""

    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow(StoredSchedule):
    """A schedule and what became of its slots; see the columns of `taskd.schedule`.

    last_state is that of last_job, None if the database does not know it any more.
    """

    next_at: datetime | None
    last_at: datetime | None
    last_job: int | None
    last_state: str | None
    skipped_at: datetime | None
    paused: bool
    removed_at: datetime | None
    created_at: datetime
    changed_at: datetime

    @property
    def state(self) -> str:
        """What is to be expected of it: active, paused, over (no slot is left) or removed."""
        if self.removed_at is not None:
            return "removed"
        if self.paused:
            return "paused"
        return "over" if self.next_at is None else "active"

    def to_json_dict(self) -> dict[str, Any]:
        """What programs are told of it; times as they are."""
        fields = {**asdict(self), "state": self.state}
        for name in ("definition", "now"):
            del fields[name]
        for name in ("spec", "args", "kwargs", "options"):
            fields[name] = json.loads(fields[name] or "{}")
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What is to become of a schedule that is due.

    A job for each of `slots`; `last` is the latest slot that has come, with a job or without;
    `next_at` the first one after; `skip`: no job while the last one has not ended.
    """

    slots: tuple[datetime, ...]
    last: datetime
    next_at: datetime | None
    skip: bool
