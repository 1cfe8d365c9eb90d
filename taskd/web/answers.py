"""One function a route: what the database says, as what JSON can hold. Times stay datetimes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from taskd.store import hosts, look, resources, schedules, statistics
from taskd.store.connect import Connection
from taskd.store.failures import MOST_LOOKED_AT, list_failures
from taskd.store.hosts import SILENT_SECONDS, HostRow
from taskd.store.logs import fetch_progress
from taskd.store.marks import list_marks, marked
from taskd.store.resources import NOBODY, Holders, ResourceKey, ResourceRow
from taskd.store.rows import JobFilter, JobRow, State
from taskd.store.schedule_rows import ScheduleRow
from taskd.store.statistics import By
from taskd.tasks.schedule_orders import next_slots
from taskd.web.masking import besides, masked, masked_attempt, masked_task
from taskd.web.parameters import ParameterInvalid, check_spans
from taskd.web.source import Source

Values = Mapping[str, Any]
STEPS = 90
"""At most so many points has a curve that names no step."""
_STEPS_SECONDS = (60.0, 600.0, 3600.0, 4 * 3600.0, 86400.0)
_FILTERS = (
    "state",
    "queue",
    "task",
    "older_than",
    "since",
    "until",
    "finished_since",
    "finished_until",
    "error",
    "cause",
    "worker",
    "group",
    "args",
    "kwargs",
)


class NotThere(Exception):
    """What was asked for does not exist; the text says so."""


def queues(source: Source, values: Values) -> list[dict[str, Any]]:
    """The queues, with what waits and runs in each, by the version of the code that is required."""
    return [asdict(each) for each in source.figures().backlog]


def jobs(source: Source, values: Values) -> dict[str, Any]:
    """A page of jobs, newest first, and where the next one begins.

    Each looks at a bounded number of jobs, so it may hold fewer than `limit`, even none, and yet
    have a next one: there is none when `next_before` is null.
    """
    check_spans(values)
    wanted = JobFilter(
        limit=values["limit"],
        before=values["before"],
        **{name: values[name] for name in _FILTERS if name != "state"},
        state=State(values["state"]) if values["state"] else None,
        besides=besides(values, source.mask),
    )
    with source.reading() as connection:
        page, next_before = look.page_jobs(connection, wanted)
        shown = _shown(source, connection, page)
    return {"jobs": shown, "next_before": next_before}


def job(source: Source, values: Values) -> dict[str, Any]:
    """All that is known of one job."""
    job_id = values["id"]
    with source.reading() as connection:
        found = look.fetch_job(connection, job_id)
        if found is None:
            raise NotThere(f"job {job_id} is unknown: no such job, or its history was dropped")
        attempts = look.fetch_attempts(connection, job_id)
        (shown,) = _shown(source, connection, [found])
    told = [masked_attempt(asdict(each), found.task, source.mask) for each in attempts]
    return {**shown, "attempts": told}


def _shown(source: Source, connection: Connection, found: list[JobRow]) -> list[dict[str, Any]]:
    """With their progress, and without what is to be hidden."""
    running = [each.id for each in found if each.state.is_running]
    progress = fetch_progress(connection, running) if running else {}
    return [
        {**masked(asdict(each), source.mask), "progress": _as_dict(progress.get(each.id))}
        for each in found
    ]


def _as_dict(value: Any) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def failures(source: Source, values: Values) -> dict[str, Any]:
    """What has failed, by task and cause, the most frequent first, with what was said of it.

    is_acknowledged: nothing has failed so since somebody said that it is known. Of more than
    `limit` groups, `next` says where the others begin. `truncated`: there are more failures than
    are looked at, and the oldest are in no group.
    """
    filters = {name: values[name] for name in ("queue", "task", "after")}
    with source.reading() as connection:
        found = list_failures(connection, values["last"], limit=values["limit"] + 1, **filters)
        marks = list_marks(connection)
    page = found.groups[: values["limit"]]
    is_last = len(found.groups) <= values["limit"]
    return {
        "groups": [marked(each, marks) for each in page],
        "looked_at": found.looked_at,
        "truncated": found.looked_at >= MOST_LOOKED_AT,
        "next": None if is_last else f"{page[-1].count}.{page[-1].sample_job}",
    }


def workers(source: Source, values: Values) -> list[dict[str, Any]]:
    """The hosts that live, with their processes as they last told."""
    source.ask_hosts()
    with source.reading() as connection:
        return [_host(host) for host in hosts.list_hosts(connection)]


def _host(host: HostRow) -> dict[str, Any]:
    now = host.beat_at + timedelta(seconds=host.beat_age)
    told = host.reported_at and max((now - host.reported_at).total_seconds(), 0.0)
    return {
        "id": host.id,
        "name": host.name,
        "pid": host.pid,
        "version": host.version,
        "started_at": host.started_at,
        "beat_age": host.beat_age,
        "silent": host.beat_age >= SILENT_SECONDS,
        "idle": host.idle,
        "report_age": told,
        "processes": json.loads(host.processes),
    }


def pools(source: Source, values: Values) -> list[dict[str, Any]]:
    """The pools of all hosts, with their slots and what runs in them."""
    return [asdict(pool) for pool in source.figures().pools]


def tasks(source: Source, values: Values) -> list[dict[str, Any]]:
    """What the running daemons offer: signature, docstring, options, pools."""
    with source.reading() as connection:
        return [masked_task(task, source.mask) for task in hosts.list_tasks(connection)]


def list_of_resources(source: Source, values: Values) -> dict[str, Any]:
    """Resources and limits that are held, waited for or declared; waited-for ones first.

    Of more than `limit`, `next` says where the others begin. If a task is masked, a name that no
    daemon's file has, and that is no task's or queue's own, has a cover in its place.
    """
    after = None if values["after"] is None else _resource_key(source, values["after"])
    limit = values["limit"]
    with source.reading() as connection:
        found = resources.list_resources(connection, None, limit + 1, 3, after)
        page = found[:limit]
        held = resources.find_holders(connection, {each.name: each.used for each in page}, 3)
        names = source.cover.call(connection, [each.name for each in page])
    shown = [
        _resource(each, held.get(each.name, NOBODY)) | {"name": names[each.name]} for each in page
    ]
    is_last = len(found) <= limit
    return {"resources": shown, "next": None if is_last else _position(source, page[-1].key)}


def _position(source: Source, key: ResourceKey) -> str:
    return source.cover.seal(f"{int(key.waits)}{key.name}")


def _resource_key(source: Source, position: str) -> ResourceKey:
    try:
        text = source.cover.unseal(position)
    except ValueError as error:
        raise ParameterInvalid(f"after: {position!r} {error}") from error
    return ResourceKey(text[0] == "1", text[1:])


def _resource(one: ResourceRow, holders: Holders) -> dict[str, Any]:
    return {
        **asdict(one),
        "holders": [asdict(holder) for holder in holders.first],
        "holders_found": holders.found,
        "hidden_units": holders.hidden,
    }


def stalls(source: Source, values: Values) -> dict[str, Any]:
    """Queues in which nothing has begun for a minute though it could: why, and what to do.

    Each with a sentence for people in `text`.
    """
    return {"stalls": [stall.to_json_dict() for stall in source.stalls()]}


def list_of_schedules(source: Source, values: Values) -> list[dict[str, Any]]:
    """What daemons have declared, with their next three slots and last jobs.

    `next_slots` is empty of what is paused or removed.
    """
    with source.reading() as connection:
        found = schedules.list_schedules(connection)
    return [masked(_schedule(row), source.mask) for row in found]


def _schedule(row: ScheduleRow) -> dict[str, Any]:
    return {**row.to_json_dict(), "next_slots": next_slots(row)}


def stats(source: Source, values: Values) -> dict[str, Any]:
    """What has ended in a time, by queue, task or pool."""
    by = By(values["by"])
    with source.reading_statistics() as connection:
        found = statistics.summarize(
            connection, values["last"], by, values["queue"], values["task"]
        )
    return {"by": str(by), "rows": [summary.to_json_dict() for summary in found]}


def curves(source: Source, values: Values) -> dict[str, Any]:
    """The same in steps, with what waited meanwhile."""
    last, queue, task = values["last"], values["queue"], values["task"]
    step = _step(last)
    with source.reading_statistics() as connection:
        points = statistics.curve(connection, last, step, queue, task)
        waiting = statistics.backlog_curve(connection, last, step, queue)
    return {
        "step": step,
        "points": [point.to_json_dict() for point in points],
        "backlog": [asdict(point) for point in waiting],
    }


def _step(last: float) -> float:
    wanted = next((step for step in _STEPS_SECONDS if last / step <= STEPS), _STEPS_SECONDS[-1])
    return max(wanted, statistics.finest_step(last))


def states() -> tuple[str, ...]:
    """The words for a job's state."""
    return tuple(str(state) for state in State)


def as_json(value: object) -> str:
    """What json.dumps does not know: a time, as ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
