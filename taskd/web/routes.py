"""What there is to ask: the JSON API, each route with its parameters and its answer's shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskd.store.failures import FailureGroup
from taskd.store.rows import AttemptRow, JobRow
from taskd.store.statistics import KEEP_HOURS, Backlog, BacklogPoint, PoolRow
from taskd.tasks.stalls import Stall
from taskd.web import answers, family
from taskd.web.masking import HIDDEN
from taskd.web.parameters import MAX_ID, Json, OneOf, Parameter, Position, Span, Text, When, Whole
from taskd.web.shapes import (
    COUNTS,
    HOST,
    RESOURCE,
    SCHEDULE,
    Shape,
    array,
    nullable,
    object_of,
    shape_of,
)
from taskd.web.source import Source

PREFIX = "/api/v1"
LONGEST = 10_000 * 86400.0

QUEUE = Parameter("queue", Text(), "Of this queue.")
TASK = Parameter("task", Text(), "Of this task.")
LAST = Parameter("last", Span(60, KEEP_HOURS), "Of so long a time until now.", default="15m")


def _limit(usual: int, greatest: int) -> Parameter:
    return Parameter("limit", Whole(1, greatest), "At most so many.", default=str(usual))


_HIDDEN = {"type": "string", "const": HIDDEN}
JOB = shape_of(JobRow) | {
    "args": {"anyOf": [{"type": "array"}, _HIDDEN]},
    "kwargs": {"anyOf": [{"type": "object"}, _HIDDEN]},
    "progress": nullable(
        object_of({"fraction": {"type": "number"}, "message": {"type": "string"}}, is_open=True)
    ),
}


FAILURES = object_of(
    {
        **shape_of(FailureGroup),
        "acknowledged_at": nullable({"type": "string", "format": "date-time"}),
        "is_acknowledged": {"type": "boolean"},
        "muted": {"type": "boolean"},
        "note": {"type": "string"},
    }
)


STALL = object_of({**shape_of(Stall), "text": {"type": "string"}})


@dataclass(frozen=True, slots=True)
class Route:
    """A path below the prefix, with `<name:int>` for what a parameter in it is.

    is_shared: what is asked alike within a second is answered once; its values are hashable.
    """

    path: str
    answer: Callable[[Source, dict[str, Any]], Any]
    shape: Shape
    parameters: tuple[Parameter, ...] = ()
    asks_workers: bool = False
    may_be_missing: bool = False
    is_shared: bool = False

    @property
    def about(self) -> str:
        """What it answers: the docstring of its function."""
        return (self.answer.__doc__ or "").strip()


ROUTES = (
    Route("/queues", answers.queues, array(object_of(shape_of(Backlog)))),
    Route(
        "/jobs",
        answers.jobs,
        object_of(
            {"jobs": array(object_of(JOB)), "next_before": nullable({"type": "integer"})},
        ),
        (
            Parameter("state", OneOf(answers.states()), "In this state."),
            QUEUE,
            TASK,
            Parameter("older_than", Span(0, LONGEST), "Enqueued at least so long ago."),
            Parameter("since", When(), "Enqueued since then: 1h, or a time."),
            Parameter("until", When(), "Enqueued before."),
            Parameter("finished_since", When(), "Ended since then."),
            Parameter("finished_until", When(), "Ended before."),
            Parameter("error", Text(), "With this text in their error."),
            Parameter("cause", Text(), "Failed with this cause, as /failures has it."),
            Parameter("worker", Whole(1, MAX_ID), "That this worker has, or had last."),
            Parameter("group", Whole(1, MAX_ID), "Of this flow."),
            Parameter("args", Json(list), "Whose arguments begin so."),
            Parameter("kwargs", Json(dict), "Whose keywords hold these."),
            Parameter("before", Whole(1, MAX_ID), "Older than this job: `next_before` of a page."),
            _limit(50, 1000),
        ),
    ),
    Route(
        "/jobs/<id>",
        answers.job,
        object_of({**JOB, "attempts": array(object_of(shape_of(AttemptRow)))}),
        (Parameter("id", Whole(1, MAX_ID), "The id of the job.", in_path=True),),
    ),
    Route(
        "/jobs/<id>/family",
        family.family,
        family.SHAPE,
        (Parameter("id", Whole(1, MAX_ID), "The id of the job.", in_path=True),),
    ),
    Route(
        "/failures",
        answers.failures,
        object_of(
            {
                "groups": array(FAILURES),
                "looked_at": {"type": "integer"},
                "truncated": {"type": "boolean"},
                "next": nullable({"type": "string"}),
            }
        ),
        (
            Parameter("last", Span(1, KEEP_HOURS), "Failed so long ago at most.", default="1d"),
            QUEUE,
            TASK,
            Parameter("after", Position(), "Behind this group: `next` of a page."),
            _limit(50, 1000),
        ),
    ),
    Route("/stalls", answers.stalls, object_of({"stalls": array(STALL)})),
    Route("/workers", answers.workers, array(HOST)),
    Route("/pools", answers.pools, array(object_of(shape_of(PoolRow)))),
    Route("/tasks", answers.tasks, array({"type": "object"})),
    Route(
        "/resources",
        answers.list_of_resources,
        object_of({"resources": array(RESOURCE), "next": nullable({"type": "string"})}),
        (Parameter("after", Text(), "Behind this: `next` of a page."), _limit(50, 1000)),
    ),
    Route("/schedules", answers.list_of_schedules, array(SCHEDULE)),
    Route(
        "/stats",
        answers.stats,
        object_of(
            {
                "by": {"type": "string"},
                "rows": array(
                    object_of(
                        {
                            "name": {"type": "string"},
                            "seconds": {"type": "number"},
                            "jobs_per_second": {"type": "number"},
                            **COUNTS,
                        }
                    )
                ),
            }
        ),
        (
            LAST,
            Parameter(
                "by",
                OneOf(("queue", "task", "pool", "all")),
                "What a row is about.",
                default="queue",
            ),
            QUEUE,
            TASK,
        ),
        is_shared=True,
    ),
    Route(
        "/stats/curves",
        answers.curves,
        object_of(
            {
                "step": {"type": "number"},
                "points": array(
                    object_of({"at": {"type": "string", "format": "date-time"}, **COUNTS})
                ),
                "backlog": array(object_of(shape_of(BacklogPoint))),
            }
        ),
        (LAST, QUEUE, TASK),
        is_shared=True,
    ),
)
