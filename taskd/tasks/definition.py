"""From what the file and the code say of schedules to what is stored, and from there to a job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from taskd.config.schedules import PLACEMENT, ScheduleSettings
from taskd.errors import ArgumentsMismatch
from taskd.store.rows import NewJob
from taskd.store.schedule_rows import Definition, StoredSchedule
from taskd.tasks.batches import new_job
from taskd.tasks.calls import Call, Target
from taskd.tasks.needs import NOTHING, needs_told
from taskd.tasks.options import Placement, read_placement
from taskd.tasks.signature import CallShape
from taskd.tasks.unique import uniqueness_offered


def definitions_of_file(schedules: Mapping[str, ScheduleSettings]) -> Iterator[Definition]:
    """What the configuration wants scheduled."""
    for name, settings in schedules.items():
        yield Definition(
            name=name,
            source="yaml",
            task=settings.task,
            spec=spec_of(settings),
            args=settings.args,
            kwargs=settings.kwargs,
            options=_options(settings),
        )


def definitions_of_code(tasks: Iterable[Mapping[str, Any]]) -> Iterator[Definition]:
    """What tasks want scheduled, as `describe_tasks` describes them."""
    for task in tasks:
        for schedule in task.get("schedules", ()):
            yield Definition(source="code", task=task["name"], **schedule)


def spec_of(settings: ScheduleSettings) -> dict[str, Any]:
    """What says when, as `schedule_of` reads it."""
    if settings.cron is not None:
        return {"cron": settings.cron, "timezone": settings.timezone}
    if settings.every is not None:
        return {"every": settings.every}
    return {"run_at": settings.run_at}


def _options(settings: ScheduleSettings) -> dict[str, Any]:
    placement = {name: getattr(settings, name) for name in PLACEMENT}
    return {
        **{name: value for name, value in placement.items() if value is not None},
        "catch_up": str(settings.catch_up),
        "catch_up_limit": settings.catch_up_limit,
        "overlap": str(settings.overlap),
    }


def job_of(stored: StoredSchedule, offer: Mapping[str, Any] | None) -> NewJob:
    """The job that a slot gets; `offer` is what a daemon has published of the task.

    What the schedule does not say is the task's, or the usual if nobody offers it. Raises
    OptionInvalid for options that this version does not know, or what a function makes that is not
    known here, and ArgumentsMismatch if something is made of arguments that do not fit.
    """
    options = json.loads(stored.options)
    given = {name: options[name] for name in PLACEMENT if name in options}
    target = Target(stored.task) if offer is None else Target(stored.task).with_offer(offer)
    placement = read_placement(target.defaults, given)
    call = Call(json.loads(stored.args), json.loads(stored.kwargs or "{}"))
    if stored.source == "code":  # which has said with the schedule what only code can make
        placement = replace(placement, unique=uniqueness_offered(options.get("unique")))
        needs = needs_told(options.get("needs", {}))
    else:
        (needs,) = target.needs(placement, [call]) or [NOTHING]
    key = _key(target, placement, call)
    job = new_job(stored.task, (stored.args, stored.kwargs), placement, key, needs)
    return replace(job, extra={**(job.extra or {}), "schedule": stored.name})


def _key(target: Target, placement: Placement, call: Call) -> str | None:
    keys = target.keys(placement, [call])
    return None if keys is None else keys[0]


def out_of_reach(task: Mapping[str, Any]) -> str | None:
    """Why no schedule of the file gets jobs of a task, as `describe_tasks` describes it.

    None if one can: none of its options is made by a function in its code.
    """
    told = {**(task.get("needs") or {}), "unique": (task.get("unique") or {"key": ""})["key"]}
    for option in ("resources", "fair_by", "unique"):
        if told.get(option, "") is None:
            return (
                f"a function of {task['name']} makes its {option}, "
                "which no schedule of the file can call"
            )
    return None


def misfit(
    task: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> str | None:
    """Why a task, as `describe_tasks` describes it, cannot be called so.

    None if it can, or if its parameters are too many to be told.
    """
    parameters = task.get("parameters")
    if parameters is None:
        return None
    try:
        CallShape.described(task["name"], parameters).check(args, kwargs)
    except ArgumentsMismatch as error:
        return str(error)
    return None
