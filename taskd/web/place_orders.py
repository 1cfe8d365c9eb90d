"""Orders to queues, schedules and workers, and what is said of failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskd.errors import DatabaseError, OptionInvalid, TaskdError
from taskd.store import draining, leaks, queues, schedules
from taskd.store.connect import Connection
from taskd.store.marks import ANY_TASK, mark_failure
from taskd.store.schedule_rows import ScheduleRow
from taskd.tasks import schedule_orders
from taskd.web.answers import NotThere
from taskd.web.desk import Desk, OrderRefused
from taskd.web.gate import Caller

Values = dict[str, Any]


def pause_queue(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let no worker claim from a queue. What runs goes on, enqueueing goes on."""
    with desk.order(caller, "queues.pause", values) as entry:
        entry.count = int(queues.pause_queue(entry.connection, values["queue"]))
    return {"changed": bool(entry.count)}


def resume_queue(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let a queue be claimed from again."""
    with desk.order(caller, "queues.resume", values) as entry:
        entry.count = int(queues.resume_queue(entry.connection, values["queue"]))
    return {"changed": bool(entry.count)}


def run_schedule(desk: Desk, caller: Caller, values: Values) -> Values:
    """Enqueue a job of a schedule now, beside its slots.

    Refused while its last job has not ended, unless the schedule says `overlap: queue`. Without
    is_new a job with its unique key is there already.
    """
    name = values["name"]
    with desk.order(caller, "schedules.run", values) as entry:
        row = _schedule(entry.connection, name)
        try:
            job, busy = schedule_orders.run_now(entry.connection, row)
        except DatabaseError:
            raise
        except TaskdError as error:
            raise OrderRefused(str(error)) from error
        if job is None:
            raise OrderRefused(f"job {busy} of {name} has not ended, and its overlap is skip")
        entry.count = int(job > 0)
    return {"job": abs(job), "is_new": job > 0}


def pause_schedule(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let the slots of a schedule pass without jobs, until it is resumed. What runs goes on."""
    with desk.order(caller, "schedules.pause", values) as entry:
        _schedule(entry.connection, values["name"])
        entry.count = int(schedules.pause_schedule(entry.connection, values["name"]))
    return {"changed": bool(entry.count)}


def resume_schedule(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let a schedule go on with its next slot; those that have passed are over.

    Refused if its kind or time zone is not known here, but to a newer daemon.
    """
    with desk.order(caller, "schedules.resume", values) as entry:
        row = _schedule(entry.connection, values["name"])
        try:
            changed, _ = schedule_orders.go_on(entry.connection, row)
        except OptionInvalid as error:
            raise OrderRefused(str(error)) from error
        entry.count = int(changed)
    return {"changed": changed}


def _schedule(connection: Connection, name: str) -> ScheduleRow:
    row = schedules.find_schedule(connection, name)
    if row is None:
        near = schedule_orders.near_names(connection, name)
        raise NotThere(f"no schedule is named {name}" + (f": did you mean {near}?" if near else ""))
    return row


def drain_worker(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let a worker finish its jobs and end; its daemon starts another in its place.

    What still runs after the pool's `shutdown_timeout` is interrupted and given back.
    """
    with desk.order(caller, "workers.drain", values) as entry:
        entry.count = len(draining.drain_workers(entry.connection, [values["id"]]))
        if not entry.count:
            raise NotThere(f"no worker {values['id']} lives: /workers has those that do")
    return {"changed": True}


def stop_worker(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let a worker end now: what it runs is interrupted, given back and begun again elsewhere.

    The interrupted attempt costs a job none of its retries. Another worker is started meanwhile.
    """
    with desk.order(caller, "workers.stop", values) as entry:
        entry.count = len(draining.stop_workers(entry.connection, [values["id"]]))
        if not entry.count:
            raise NotThere(f"no worker {values['id']} lives: /workers has those that do")
    return {"changed": True}


def drain_host(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let all workers of a host finish their jobs and end; others take their places.

    As at a reload: of a pool a tenth of the workers at a time, but one, and each goes on until
    another is at work. `workers` is how many there are.
    """
    return _order_host(desk, caller, "hosts.drain", values, draining.drain_workers)


def stop_host(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let all workers of a host end now: what they run is interrupted, given back, begun again.

    At no cost to retries. The daemon itself stays, and starts others. `workers` is how many there
    are.
    """
    return _order_host(desk, caller, "hosts.stop", values, draining.stop_workers)


def _order_host(
    desk: Desk,
    caller: Caller,
    action: str,
    values: Values,
    order: Callable[[Connection, list[int]], list[int]],
) -> Values:
    with desk.order(caller, action, values) as entry:
        living = draining.list_workers_of(entry.connection, [values["id"]])
        if not living:
            raise NotThere(f"no host {values['id']} lives: /workers has those that do")
        entry.count = len(order(entry.connection, living[values["id"]]))
    return {"workers": entry.count}


def hunt_leaks(desk: Desk, caller: Caller, values: Values) -> Values:
    """Start a canary in each pool that runs a task: one more worker, which traces allocations.

    It takes jobs like any other, more slowly, and ends when it has seen enough; /leaks has what it
    has found. Refused if no running daemon offers the task.
    """
    with desk.order(caller, "leaks.hunt", values) as entry:
        hunted = leaks.ask_hunt(entry.connection, values["task"])
        if not hunted:
            raise OrderRefused(f"no running daemon offers {values['task']}: /tasks has what is")
        entry.count = len(hunted)
    return {"canaries": [one._asdict() for one in hunted]}


def acknowledge_failures(desk: Desk, caller: Caller, values: Values) -> Values:
    """Say that what has failed with a cause until now is known; `undo` takes that back."""
    return _mark(desk, caller, "failures.acknowledge", values, acknowledged=not values["undo"])


def mute_failures(desk: Desk, caller: Caller, values: Values) -> Values:
    """Say that nobody wants to hear of a cause, now or later; `undo` takes that back."""
    return _mark(desk, caller, "failures.mute", values, muted=not values["undo"])


def note_failures(desk: Desk, caller: Caller, values: Values) -> Values:
    """Write a note to a cause, in place of the one it has; an empty one takes it away."""
    return _mark(desk, caller, "failures.note", values, note=values["note"])


def _mark(desk: Desk, caller: Caller, action: str, values: Values, **change: Any) -> Values:
    with desk.order(caller, action, values) as entry:
        task = values["task"] or ANY_TASK
        mark_failure(entry.connection, task, values["cause"], **change)
        entry.count = 1
    return {"changed": True}
