"""What may be ordered: each order with its body and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskd.web import job_orders, place_orders
from taskd.web.bodies import QUEUE_NAME, SCHEDULE_NAME, Flag, Integer, Member, Words
from taskd.web.desk import Desk
from taskd.web.gate import Caller
from taskd.web.job_orders import OUTCOME, PREVIEW, TO, WHICH
from taskd.web.parameters import HOST, LONGEST_TEXT, WORKER, Parameter
from taskd.web.shapes import Shape, array, object_of


@dataclass(frozen=True, slots=True)
class Order:
    """A POST below the prefix, with `<name:path>` for what a parameter in it is."""

    path: str
    carry_out: Callable[[Desk, Caller, dict[str, Any]], Any]
    shape: Shape
    members: tuple[Member, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    may_be_refused: bool = False

    @property
    def about(self) -> str:
        """What it does: the docstring of its function."""
        return (self.carry_out.__doc__ or "").strip()


CHANGED = object_of({"changed": {"type": "boolean"}})
WORKERS = object_of({"workers": {"type": "integer"}})
HUNTED = object_of(
    {"canaries": array(object_of({name: {"type": "string"} for name in ("pool", "host")}))}
)
QUEUE = (Parameter("queue", QUEUE_NAME, "The name of the queue.", in_path=True),)
SCHEDULE = (Parameter("name", SCHEDULE_NAME, "The name of the schedule.", in_path=True),)
CAUSE = (
    Member("cause", Words(LONGEST_TEXT), "The cause, as /failures has it.", is_needed=True),
    Member("task", Words(LONGEST_TEXT), "Of this task; left out: of any."),
)
UNDO = Member("undo", Flag(), "Take it back.")
BEFORE = Member("before", Integer(), "Older than this job: `next_before` of an order.")
REST = (BEFORE, PREVIEW)
NOTE = Member("note", Words(LONGEST_TEXT, may_be_empty=True), "What to say.", is_needed=True)

ORDERS = (
    Order("/jobs/cancel", job_orders.cancel, OUTCOME, WHICH),
    Order("/jobs/requeue", job_orders.requeue, OUTCOME, WHICH),
    Order("/jobs/move", job_orders.move, OUTCOME, (*WHICH, TO)),
    Order("/jobs/delete", job_orders.delete, OUTCOME, WHICH),
    Order("/queues/<queue:path>/pause", place_orders.pause_queue, CHANGED, (), QUEUE),
    Order("/queues/<queue:path>/resume", place_orders.resume_queue, CHANGED, (), QUEUE),
    Order("/queues/<queue:path>/purge", job_orders.purge_queue, OUTCOME, REST, QUEUE),
    Order("/queues/<queue:path>/move", job_orders.move_queue, OUTCOME, (TO, *REST), QUEUE),
    Order(
        "/schedules/<name:path>/run",
        place_orders.run_schedule,
        object_of({"job": {"type": "integer"}, "is_new": {"type": "boolean"}}),
        (),
        SCHEDULE,
        may_be_refused=True,
    ),
    Order("/schedules/<name:path>/pause", place_orders.pause_schedule, CHANGED, (), SCHEDULE),
    Order(
        "/schedules/<name:path>/resume",
        place_orders.resume_schedule,
        CHANGED,
        (),
        SCHEDULE,
        may_be_refused=True,
    ),
    Order("/workers/<id>/drain", place_orders.drain_worker, CHANGED, (), (WORKER,)),
    Order("/workers/<id>/stop", place_orders.stop_worker, CHANGED, (), (WORKER,)),
    Order("/hosts/<id>/drain", place_orders.drain_host, WORKERS, (), (HOST,)),
    Order("/hosts/<id>/stop", place_orders.stop_host, WORKERS, (), (HOST,)),
    Order(
        "/leaks/hunt",
        place_orders.hunt_leaks,
        HUNTED,
        (Member("task", Words(LONGEST_TEXT), "The task to look at.", is_needed=True),),
        may_be_refused=True,
    ),
    Order("/failures/requeue", job_orders.requeue_failures, OUTCOME, (*CAUSE, *REST)),
    Order("/failures/acknowledge", place_orders.acknowledge_failures, CHANGED, (*CAUSE, UNDO)),
    Order("/failures/mute", place_orders.mute_failures, CHANGED, (*CAUSE, UNDO)),
    Order("/failures/note", place_orders.note_failures, CHANGED, (*CAUSE, NOTE)),
)
