"""Orders to many jobs: by ids, or by a filter, a bounded number at a time.

An order looks for at most MOST_JOBS jobs, says how many it found, and acts upon these by their ids.
`next_before` is how far down it has looked, also if it found nothing in its time, and null if it
has looked at all: whoever goes on from there looks at no job twice.
What has become something else meanwhile is left alone, so `done` may be less than `matched`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from taskd.store import choice, jobs
from taskd.store.connect import Connection
from taskd.store.paging import IdPage
from taskd.store.rows import JobFilter, State
from taskd.web.answers import states
from taskd.web.bodies import (
    MOST_IDS,
    QUEUE_NAME,
    Choice,
    Duration,
    Flag,
    Ids,
    Instant,
    Integer,
    Member,
    Members,
    Value,
    Words,
)
from taskd.web.desk import Desk
from taskd.web.gate import Caller
from taskd.web.masking import besides
from taskd.web.parameters import LONGEST_TEXT, ParameterInvalid, check_spans
from taskd.web.shapes import Shape, nullable, object_of

Values = dict[str, Any]
MOST_JOBS = MOST_IDS
LONGEST_SPAN = 10_000 * 86400.0
WAITING = (State.QUEUED, State.SCHEDULED, State.BLOCKED)
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

FILTER = Members(
    (
        Member("state", Choice(states()), "In this state."),
        Member("queue", Words(LONGEST_TEXT), "Of this queue."),
        Member("task", Words(LONGEST_TEXT), "Of this task."),
        Member("older_than", Duration(0, LONGEST_SPAN), "Enqueued at least so long ago."),
        Member("since", Instant(), "Enqueued since then: 1h, or a time."),
        Member("until", Instant(), "Enqueued before."),
        Member("finished_since", Instant(), "Ended since then."),
        Member("finished_until", Instant(), "Ended before."),
        Member("error", Words(LONGEST_TEXT), "With this text in their error."),
        Member("cause", Words(LONGEST_TEXT), "Failed with this cause, as /failures has it."),
        Member("worker", Integer(), "That this worker has, or had last."),
        Member("group", Integer(), "Of this flow."),
        Member("args", Value(list), "Whose arguments begin so."),
        Member("kwargs", Value(dict), "Whose keywords hold these."),
        Member("before", Integer(), "Older than this job: `next_before` of an order."),
    ),
    least=1,
)
PREVIEW = Member("preview", Flag(), "Only tell how many it would be.")
WHICH = (
    Member("ids", Ids(), "These jobs; or give a filter."),
    Member("filter", FILTER, "All that match; or give ids."),
    PREVIEW,
)
TO = Member("to", QUEUE_NAME, "The queue to wait in.", is_needed=True)

OUTCOME: Shape = object_of(
    {
        "matched": {"type": "integer"},
        "done": {"type": "integer"},
        "is_preview": {"type": "boolean"},
        "more": {"type": "boolean"},
        "next_before": nullable({"type": "integer"}),
    }
)


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to jobs in these states; `carry_out` says to how many it was done."""

    action: str
    states: tuple[State, ...]
    verb: str
    carry_out: Callable[[Connection, list[int], Values], int]


def _cancel(connection: Connection, ids: list[int], values: Values) -> int:
    outcomes = jobs.cancel_jobs(connection, ids).values()
    return sum(outcome in ("cancelled", "cancelling") for outcome in outcomes)


def _requeue(connection: Connection, ids: list[int], values: Values) -> int:
    if values.get("ids") is None:
        return jobs.requeue_once(connection, ids)
    return len(jobs.requeue_jobs(connection, ids))


def _move(connection: Connection, ids: list[int], values: Values) -> int:
    return jobs.move_jobs(connection, ids, values["to"])


def _delete(connection: Connection, ids: list[int], values: Values) -> int:
    return choice.delete_jobs(connection, ids)


CANCEL = Act("jobs.cancel", (*WAITING, State.RUNNING), "cancelled", _cancel)
REQUEUE = Act("jobs.requeue", ENDED, "requeued", _requeue)
MOVE = Act("jobs.move", WAITING, "moved", _move)
DELETE = Act("jobs.delete", ENDED, "deleted", _delete)
PURGE_QUEUE = Act("queues.purge", WAITING, "cancelled", _cancel)
MOVE_QUEUE = Act("queues.move", WAITING, "moved", _move)
REQUEUE_FAILURES = Act("failures.requeue", (State.FAILED,), "requeued", _requeue)


def cancel(desk: Desk, caller: Caller, values: Values) -> Values:
    """Cancel jobs: what waits ends at once, what runs is interrupted by its worker."""
    return _order(desk, caller, values, CANCEL)


def requeue(desk: Desk, caller: Caller, values: Values) -> Values:
    """Enqueue jobs that have ended once more, as new jobs; by a filter those that were not yet."""
    return _order(desk, caller, values, REQUEUE)


def move(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let waiting jobs wait in another queue, behind what is there. What runs stays."""
    return _order(desk, caller, values, MOVE)


def delete(desk: Desk, caller: Caller, values: Values) -> Values:
    """Forget jobs that have ended, with their results, attempts and logs. What has not ended stays.

    Nothing brings them back. A job that waits to come after one of them finds no result of it.
    """
    return _order(desk, caller, values, DELETE)


def purge_queue(desk: Desk, caller: Caller, values: Values) -> Values:
    """Cancel what waits in a queue. What runs goes on, but for what begins at that moment."""
    return act_on(desk, caller, values, PURGE_QUEUE, _of_queue(values))


def move_queue(desk: Desk, caller: Caller, values: Values) -> Values:
    """Let what waits in a queue wait in another, behind what is there. What runs stays."""
    return act_on(desk, caller, values, MOVE_QUEUE, _of_queue(values))


def _of_queue(values: Values) -> JobFilter:
    return JobFilter(queue=values["queue"], before=values["before"])


def requeue_failures(desk: Desk, caller: Caller, values: Values) -> Values:
    """Enqueue the jobs that have failed with a cause, and were not yet, once more, as new jobs."""
    wanted = JobFilter(
        is_requeued=False, cause=values["cause"], task=values["task"], before=values["before"]
    )
    return act_on(desk, caller, values, REQUEUE_FAILURES, wanted)


def _order(desk: Desk, caller: Caller, values: Values, act: Act) -> Values:
    if (values["ids"] is None) == (values["filter"] is None):
        raise ParameterInvalid("which jobs? give either ids or a filter")
    wanted = None if values["filter"] is None else _filter(desk, values["filter"], act)
    return act_on(desk, caller, values, act, wanted)


def act_on(
    desk: Desk, caller: Caller, values: Values, act: Act, wanted: JobFilter | None
) -> Values:
    """Do it to the jobs that match, or to `values["ids"]`; or only tell how many they are."""
    found = _find(desk, values, act, wanted)
    states = act.states if wanted is None or wanted.state is None else (wanted.state,)
    done = 0
    if not values["preview"]:
        with desk.order(caller, act.action, values) as entry:
            # Once more, for finding them took its time; by id, so that new ones keep their order.
            ids = choice.among(entry.connection, found.ids, states) if found.ids else []
            if ids:
                done = act.carry_out(entry.connection, ids, values)
            entry.count = done
    return {
        "matched": len(found.ids),
        "done": done,
        "is_preview": bool(values["preview"]),
        "more": found.next_before is not None,
        "next_before": found.next_before,
    }


def _find(desk: Desk, values: Values, act: Act, wanted: JobFilter | None) -> IdPage:
    with desk.source.reading() as connection:
        if wanted is None:
            return IdPage(choice.among(connection, values["ids"], act.states), None)
        return choice.choose_jobs(connection, replace(wanted, limit=MOST_JOBS), act.states)


def _filter(desk: Desk, given: Values, act: Act) -> JobFilter:
    state = given["state"] and State(given["state"])
    if state is not None and state not in act.states:
        raise ParameterInvalid(
            f"state: {str(state)!r} jobs cannot be {act.verb}, only {', '.join(act.states)} ones"
        )
    if all(value is None for name, value in given.items() if name != "before"):
        raise ParameterInvalid("filter: says nothing but `before`, so all jobs would be meant")
    check_spans(given)
    values = {name: value for name, value in given.items() if name != "state"}
    values["is_requeued"] = False if act is REQUEUE else None
    return JobFilter(state=state, besides=besides(given, desk.source.mask), **values)
