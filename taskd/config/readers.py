"""How the settings are made of JSON, which knows neither tuples nor sections."""

from collections.abc import Callable
from typing import Any

from taskd.config.dashboard import DashboardSettings
from taskd.config.memory import MemorySettings
from taskd.config.origin import Origin
from taskd.config.queues import LimitSettings, QueueSettings
from taskd.config.schedules import CatchUp, Overlap, ScheduleSettings
from taskd.config.sections import (
    JobLogLevel,
    LogFormat,
    LogLevel,
    LogSettings,
    PoolSettings,
    RetentionSettings,
)


def as_it_is(value: Any) -> Any:
    """Take a value that JSON can hold."""
    return value


def _pool(values: dict[str, Any]) -> PoolSettings:
    queues = values.get("queues", ())
    read = {
        "queues": queues if isinstance(queues, dict) else tuple(queues),
        "memory": MemorySettings(**values.get("memory", {})),
    }
    return PoolSettings(**{**values, **read})


def _log(values: dict[str, Any]) -> LogSettings:
    choices: dict[str, Callable[[Any], Any]] = {
        "level": LogLevel,
        "format": LogFormat,
        "job_level": JobLogLevel,
    }
    read = {name: choices.get(name, as_it_is)(value) for name, value in values.items()}
    return LogSettings(**read)


def _schedule(values: dict[str, Any]) -> ScheduleSettings:
    choices: dict[str, Callable[[Any], Any]] = {
        "args": tuple,
        "catch_up": CatchUp,
        "overlap": Overlap,
    }
    read = {name: choices.get(name, as_it_is)(value) for name, value in values.items()}
    return ScheduleSettings(**read)


def _origin(values: dict[str, Any]) -> Origin:
    return Origin(**{**values, "flags": tuple(values.get("flags", ()))})


READERS: dict[str, Callable[[Any], Any]] = {
    "imports": tuple,
    "offers": tuple,
    "middleware": tuple,
    "pools": lambda pools: {name: _pool(values) for name, values in pools.items()},
    "queues": lambda queues: {name: QueueSettings(**values) for name, values in queues.items()},
    "limits": lambda limits: {name: LimitSettings(**values) for name, values in limits.items()},
    "schedules": lambda schedules: {name: _schedule(values) for name, values in schedules.items()},
    "retention": lambda values: RetentionSettings(**values),
    "log": _log,
    "dashboard": lambda values: DashboardSettings(
        **{**values, "mask": tuple(values.get("mask", ()))}
    ),
    "origin": _origin,
}
"""How each setting is made of its JSON: tuples of lists, sections of mappings."""
