"""Where running jobs and workers stand: the workers themselves are asked, on whatever host."""

from __future__ import annotations

from typing import Any

from taskd.store import questions
from taskd.store.look import fetch_state
from taskd.tasks.stacks import Frame, Stack, WorkerStacks, ask_stacks, stacks_of_job
from taskd.web.answers import NotThere, Values
from taskd.web.shapes import array, object_of, shape_of
from taskd.web.source import Source

FRAME = object_of(shape_of(Frame))
STACK = object_of({**shape_of(Stack), "frames": array(FRAME)})
WORKER_STACKS = object_of({**shape_of(WorkerStacks), "stacks": array(STACK)})


def job_stacks(source: Source, values: Values) -> dict[str, Any]:
    """Where a running job stands: its own stack, and those of the greenlets that it has spawned.

    The most recent call comes last. `worker` is null if no worker has the job in its hands. Nothing
    is interrupted; it takes less than a second also where a job lets no other run, and two if the
    worker is silent. Frames name files, functions and lines of source; no values are told.
    """
    job = values["id"]
    with source.asking() as connection:
        state = fetch_state(connection, job)
        if state is None:
            raise NotThere(f"job {job} is unknown: no such job, or its history was dropped")
        found = stacks_of_job(connection, job)
    return {"state": str(state), "worker": None if found is None else found.to_json_dict()}


def worker_stacks(source: Source, values: Values) -> dict[str, Any]:
    """Where a worker stands: the stacks of its jobs first, then those of taskd itself.

    `note` says what hindered a better answer. The rest is as for a job.
    """
    with source.asking() as connection:
        named = [one for one in questions.list_named_workers(connection) if one.id == values["id"]]
        if not named:
            raise NotThere(f"no worker {values['id']} lives: /workers has those that do")
        (found,) = ask_stacks(connection, named)
    return found.to_json_dict()
