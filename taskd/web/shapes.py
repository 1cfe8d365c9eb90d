"""The shapes of answers, as JSON Schema; those of rows are read off their classes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from taskd.store.resources import Holder, ResourceRow
from taskd.store.schedule_rows import ScheduleRow

Shape = dict[str, Any]


def array(items: Shape) -> Shape:
    """A list of those."""
    return {"type": "array", "items": items}


def nullable(shape: Shape) -> Shape:
    """That, or null."""
    return {"anyOf": [shape, {"type": "null"}]}


def object_of(members: Mapping[str, Shape], *, is_open: bool = False) -> Shape:
    """An object with exactly these members, each always there; `is_open`: and perhaps others."""
    return {
        "type": "object",
        "properties": dict(members),
        "required": list(members),
        "additionalProperties": is_open,
    }


def shape_of(row: type[Any]) -> dict[str, Shape]:
    """The members of a row, a dataclass, as they are in JSON."""
    hints = get_type_hints(row)
    return {field.name: _shape(hints[field.name]) for field in fields(row)}


def _shape(hint: Any) -> Shape:
    if get_origin(hint) in (Union, types.UnionType):
        return _union(get_args(hint))
    if get_origin(hint) in (list, tuple):
        return array(_shape(get_args(hint)[0]))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [str(member) for member in hint]}
    return dict(_PLAIN.get(get_origin(hint) or hint, {}))


def _union(hints: tuple[Any, ...]) -> Shape:
    shapes = [_shape(hint) for hint in hints]
    return {"anyOf": shapes}


_PLAIN: dict[Any, Shape] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
    datetime: {"type": "string", "format": "date-time"},
    dict: {"type": "object"},
    type(None): {"type": "null"},
}

_DURATIONS = object_of(
    {
        "count": {"type": "integer"},
        **{name: nullable({"type": "number"}) for name in ("mean", "p50", "p95", "p99")},
    }
)
COUNTS: dict[str, Shape] = {
    **{
        name: {"type": "integer"}
        for name in (
            "started",
            "succeeded",
            "failed",
            "cancelled",
            "retried",
            "lost",
            "returned",
        )
    },
    "failure_rate": nullable({"type": "number"}),
    "cpu_seconds": {"type": "number"},
    "memory_growth": {"type": "integer"},
    **dict.fromkeys(("run", "wait_for_worker", "wait_for_resources"), _DURATIONS),
}
# What the daemons tell of a process; those of another version may tell more, or less.
PROCESS: Shape = {
    "type": "object",
    "properties": {
        **{name: {"type": "integer"} for name in ("pid", "in_flight", "memory_bytes")},
        "role": {
            "type": "string",
            "description": "master, maintenance, dashboard, seed, forkserver or worker",
        },
        "pool": nullable({"type": "string"}),
        "slot": nullable({"type": "integer"}),
        "worker": nullable({"type": "integer"}),
        "state": {
            "type": "string",
            "description": "running, or of a worker: starting, idle, busy, draining or exiting",
        },
    },
}
HOST = object_of(
    {
        **{name: {"type": "integer"} for name in ("id", "pid")},
        **{name: {"type": "string"} for name in ("name", "version")},
        "started_at": {"type": "string", "format": "date-time"},
        "beat_age": {"type": "number"},
        "report_age": nullable({"type": "number"}),
        **{name: {"type": "boolean"} for name in ("silent", "idle")},
        "processes": array(PROCESS),
    }
)
RESOURCE = object_of(
    {
        **shape_of(ResourceRow),
        "holders": array(object_of(shape_of(Holder))),
        "holders_found": {"type": "integer"},
        "hidden_units": {"type": "integer"},
    }
)
SCHEDULE = object_of(
    {
        **{
            name: shape
            for name, shape in shape_of(ScheduleRow).items()
            if name not in ("definition", "now", "spec", "args", "kwargs", "options")
        },
        "state": {"type": "string", "enum": ["active", "paused", "over", "removed"]},
        "next_slots": array({"type": "string", "format": "date-time"}),
        **{name: {} for name in ("spec", "args", "kwargs", "options")},
    }
)
