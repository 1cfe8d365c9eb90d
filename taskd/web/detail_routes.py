"""The routes of the further answers."""

from __future__ import annotations

from taskd.config.cron import check_cron, check_timezone
from taskd.config.sections import YEAR
from taskd.store.audit import AuditRow
from taskd.store.ends import WorkerEnd
from taskd.store.leaks import Leak
from taskd.store.memory import MOST_POINTS, MemoryPoint
from taskd.store.server_health import ConnectionCount, OpenTransaction, ServerHealth, TableHealth
from taskd.store.statistics import KEEP_HOURS
from taskd.tasks.log_reader import LEVELS
from taskd.tasks.reasons import Reason
from taskd.web import details, heap, preview, stacks
from taskd.web.answers import states
from taskd.web.bodies import SCHEDULE_NAME
from taskd.web.parameters import (
    MAX_ID,
    WORKER,
    Checked,
    OneOf,
    Parameter,
    Position,
    Span,
    Text,
    When,
    Whole,
)
from taskd.web.routes import Route
from taskd.web.shapes import array, nullable, object_of, shape_of

JOB = Parameter("id", Whole(1, MAX_ID), "The id of the job.", in_path=True)
LINE = object_of(
    {
        **{name: {"type": "integer"} for name in ("job", "attempt")},
        "at": {"type": "string", "format": "date-time"},
        **{name: {"type": "string"} for name in ("level", "logger", "text", "position")},
    }
)

DETAIL_ROUTES = (
    Route(
        "/jobs/<id>/log",
        details.log,
        object_of(
            {
                "lines": array(LINE),
                "next_after": {"type": "string"},
                "more": {"type": "boolean"},
                "is_final": {"type": "boolean"},
            }
        ),
        (
            JOB,
            Parameter("after", Position(9), "Behind this: `next_after` of an answer.", "0.0"),
            Parameter("attempt", Whole(1, 32_767), "Of this attempt."),
            Parameter("level", OneOf(LEVELS), "From this level on.", "debug"),
            Parameter("limit", Whole(1, 1000), "At most so many.", "500"),
        ),
    ),
    Route("/jobs/<id>/why", details.why, array(object_of(shape_of(Reason))), (JOB,)),
    Route(
        "/jobs/<id>/result",
        details.result,
        object_of(
            {
                "state": {"type": "string", "enum": list(states())},
                "is_kept": {"type": "boolean"},
                "result": {},
            }
        ),
        (JOB,),
    ),
    Route(
        "/jobs/<id>/stacks",
        stacks.job_stacks,
        object_of(
            {
                "state": {"type": "string", "enum": list(states())},
                "worker": nullable(stacks.WORKER_STACKS),
            }
        ),
        (JOB,),
        asks_workers=True,
    ),
    Route(
        "/workers/<id>/stacks",
        stacks.worker_stacks,
        stacks.WORKER_STACKS,
        (WORKER,),
        asks_workers=True,
    ),
    Route(
        "/workers/<id>/heap",
        heap.worker_heap,
        heap.WORKER_HEAP,
        (
            WORKER,
            Parameter(
                "seconds", Span(0, heap.LONGEST_SECONDS), "Between the two looks.", default="10s"
            ),
        ),
        asks_workers=True,
    ),
    Route(
        "/audit",
        details.audit,
        object_of(
            {
                "entries": array(object_of(shape_of(AuditRow))),
                "next_before": nullable({"type": "integer"}),
            }
        ),
        (
            Parameter("before", Whole(1, MAX_ID), "Older than this: `next_before` of a page."),
            Parameter("limit", Whole(1, 1000), "At most so many.", "100"),
        ),
    ),
    Route(
        "/database",
        details.database,
        object_of(
            {
                "server": object_of(shape_of(ServerHealth)),
                "tables": array(object_of(shape_of(TableHealth))),
                "transactions": array(object_of(shape_of(OpenTransaction))),
                "connections": array(object_of(shape_of(ConnectionCount))),
            }
        ),
    ),
    Route(
        "/schedules/preview",
        preview.preview,
        preview.SLOTS,
        (
            Parameter("name", SCHEDULE_NAME, "Of this schedule."),
            Parameter("cron", Checked(check_cron, "30 2 * * *"), "Of this expression."),
            Parameter("every", Span(1, YEAR), "Of one slot in so long."),
            Parameter(
                "timezone", Checked(check_timezone, "Europe/Berlin"), "By the clock of this zone."
            ),
            Parameter("after", When(), "From then on, not from now."),
            Parameter("count", Whole(1, preview.MOST_SLOTS), "So many slots.", "10"),
        ),
        may_be_missing=True,
    ),
    Route("/leaks", details.leaks, array(object_of(shape_of(Leak)))),
    Route(
        "/memory",
        details.memory,
        object_of(
            {
                "points": array(object_of(shape_of(MemoryPoint))),
                "since": nullable({"type": "string", "format": "date-time"}),
                "truncated": {"type": "boolean"},
                "ends": array(object_of(shape_of(WorkerEnd))),
            }
        ),
        (
            Parameter("last", Span(60, KEEP_HOURS), "Of so long a time until now.", "6h"),
            Parameter("host", Whole(1, MAX_ID), "Of this host."),
            Parameter("pool", Text(), "Of this pool."),
            Parameter("worker", Whole(1, MAX_ID), "Of this worker."),
            Parameter("limit", Whole(1, MOST_POINTS), "At most so many points.", "20000"),
        ),
    ),
)
