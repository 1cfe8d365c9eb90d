"""What is wrong with a schedule of the file that no single setting of it can know."""

import json
from collections.abc import Iterable, Iterator

from taskd.config.layer import Layer, Path, dotted
from taskd.config.schedules import ALL_NEEDS_QUEUE, CatchUp, Overlap
from taskd.errors import Fault

LARGEST = 100_000
"""Bytes that all schedules together may take as JSON: they go to every process of the daemon."""

_WHEN = ("cron", "every", "run_at")


def find_schedule_faults(said: Layer, known: Iterable[Fault]) -> Iterator[Fault]:
    """Find what is wrong between the settings of each schedule; `known` are the faults so far."""
    schedules = said.values.get("schedules")
    if not isinstance(schedules, dict):
        return
    told = {fault.path for fault in known}
    for name, settings in schedules.items():
        if isinstance(settings, dict | None):
            yield from _faults_between(said, ("schedules", name), settings or {}, told)
    size = len(json.dumps(schedules, default=str))
    if size > LARGEST:
        yield said.fault(
            ("schedules",),
            f"takes {size:,} bytes, more than {LARGEST:,}: "
            "pass a reference, such as a path or the id of a row, instead of the data",
        )


def _faults_between(
    said: Layer, path: Path, settings: dict[str, object], told: set[str]
) -> Iterator[Fault]:
    """Find the faults of one schedule. What has a fault of its own is not missing."""
    given = {*settings, *(name for name in ("task", *_WHEN) if dotted((*path, name)) in told)}
    if "task" not in given:
        yield said.fault(path, "has no task: say what is to be enqueued")
    when = [name for name in _WHEN if name in given]
    if not when:
        yield said.fault(path, "does not say when: give it cron, every or run_at")
    for other in when[1:]:
        yield said.fault((*path, other), f"and {when[0]} exclude each other: give one of them")
    if "timezone" in given and when and "cron" not in given:
        yield said.fault((*path, "timezone"), f"goes with cron alone, and {when[0]} needs none")
    if settings.get("catch_up") == CatchUp.ALL and settings.get("overlap") != Overlap.QUEUE:
        yield said.fault((*path, "catch_up"), f"'all' {ALL_NEEDS_QUEUE}")
