"""Where running jobs and workers stand: the workers themselves are asked, on whatever host."""

from __future__ import annotations

from typing import Any

from taskd.store import questions
from taskd.store.connect import Connection
from taskd.store.look import fetch_state
from taskd.store.questions import WorkerName
from taskd.store.reading import try_to_write
from taskd.tasks.stacks import (
    ANSWER_SECONDS,
    Frame,
    Stack,
    WorkerStacks,
    ask_stacks,
    told_stacks,
)
from taskd.web.answers import NotThere, Values
from taskd.web.shapes import array, object_of, shape_of
from taskd.web.source import Source

FRAME = object_of(shape_of(Frame))
STACK = object_of({**shape_of(Stack), "frames": array(FRAME)})
ONLY_READS = "cannot be asked: the dashboard's database user only reads"
WORKER_STACKS = object_of({**shape_of(WorkerStacks), "stacks": array(STACK)})


def job_stacks(source: Source, values: Values) -> dict[str, Any]:
    """Where a running job stands: its own stack, and those of the greenlets that it has spawned.

    The most recent call comes last. `worker` is null if no worker has the job in its hands. Nothing
    is interrupted; it takes less than a second also where a job lets no other run, and two if the
    worker is silent. Who asks within a second is given the same answer. Frames name files,
    functions and lines of source; no values are told.
    """
    job = values["id"]
    with source.reading() as connection:
        state = fetch_state(connection, job)
        if state is None:
            raise NotThere(f"job {job} is unknown: no such job, or its history was dropped")
        worker = questions.find_worker_of(connection, job)
        named = None if worker is None else find_worker(connection, worker)
    told = None if named is None else _stacks(source, named).of_job(job).to_json_dict()
    return {"state": str(state), "worker": told}


def worker_stacks(source: Source, values: Values) -> dict[str, Any]:
    """Where a worker stands: the stacks of its jobs first, then those of taskd itself.

    `note` says what hindered a better answer. The rest is as for a job.
    """
    with source.reading() as connection:
        named = find_worker(connection, values["id"])
    if named is None:
        raise NotThere(f"no worker {values['id']} lives: /workers has those that do")
    return _stacks(source, named).to_json_dict()


def find_worker(connection: Connection, worker: int) -> WorkerName | None:
    """A worker that lives, by its id."""
    named = questions.list_named_workers(connection)
    return next((one for one in named if one.id == worker), None)


def _stacks(source: Source, worker: WorkerName) -> WorkerStacks:
    return source.stacks.get(worker.id, lambda: _ask(source, worker))


def _ask(source: Source, worker: WorkerName) -> WorkerStacks:
    told: list[WorkerStacks] = []

    def ask(connection: Connection) -> None:
        told.extend(ask_stacks(connection, [worker], ANSWER_SECONDS))

    with source.asking() as connection:
        if not try_to_write(connection, ask):
            return told_stacks(worker, {"note": ONLY_READS, "stacks": []})
    return told[0]
