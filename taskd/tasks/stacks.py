"""Asks running workers where they stand."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from taskd.clock import monotonic
from taskd.store import questions
from taskd.store.questions import STACKS, WorkerName

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

ANSWER_SECONDS = 2.0
FIRST_LOOK, LONGEST_LOOK = 0.01, 0.05


@dataclass(frozen=True, slots=True)
class Frame:
    """A call that has not returned; `code` is the text of the line, "" if it cannot be read."""

    file: str
    line: int | None
    function: str
    code: str

    def __str__(self) -> str:
        place = f'File "{self.file}", line {self.line}, in {self.function}'
        return f"{place}\n  {self.code}" if self.code else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One stack of a worker; the frames with the most recent call last.

    job, task, seconds: whose it is, if it is a job's, and for how long that runs: of a job only
    what its own code has called. who: which greenlet or thread it is. runs: it has the processor,
    or is called into C; the others of its worker wait.
    """

    job: int | None
    task: str | None
    seconds: float | None
    who: str
    runs: bool
    frames: tuple[Frame, ...]

    @classmethod
    def of(cls, told: dict[str, Any]) -> Stack:
        """From the JSON of an answer."""
        return cls(
            job=told["job"],
            task=told["task"],
            seconds=told["seconds"],
            who=told["who"],
            runs=told["runs"],
            frames=tuple(Frame(**frame) for frame in told["frames"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStacks:
    """What a worker has answered: its stacks, those of jobs first.

    worker: "pool/slot on host, pid N". note: what hindered a better answer, "" if nothing did.
    """

    worker: str
    pool: str
    slot: int
    pid: int
    host: str
    note: str
    stacks: tuple[Stack, ...]

    def of_job(self, job: int) -> WorkerStacks:
        """The same with the stacks of one job alone: its own, and those of what it has spawned."""
        return replace(self, stacks=tuple(one for one in self.stacks if one.job == job))

    def to_json_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return asdict(self)


def stacks_of_job(connection: AnyConnection, job: int) -> WorkerStacks | None:
    """Where a running job stands; None if no worker has it in its hands. Blocks, see ask_stacks."""
    worker = questions.find_worker_of(connection, job)
    named = [one for one in questions.list_named_workers(connection) if one.id == worker]
    found = ask_stacks(connection, named)
    return found[0].of_job(job) if found else None


def stacks_of_workers(
    connection: AnyConnection, pool: str | None = None, slot: int | None = None
) -> list[WorkerStacks]:
    """Where the workers stand: of one pool, of one slot of it, or all; on all hosts."""
    workers = [
        one
        for one in questions.list_named_workers(connection)
        if pool in (None, one.pool) and slot in (None, one.slot)
    ]
    return ask_stacks(connection, workers)


def ask_stacks(
    connection: AnyConnection, workers: Sequence[WorkerName], seconds: float = ANSWER_SECONDS
) -> list[WorkerStacks]:
    """Ask these workers; blocks until they have answered, at most so many seconds.

    Usually that is some hundredths of a second, and less than one also if a hub is blocked.
    """
    told = wait_for_answers(connection, STACKS, workers, 0.0, seconds)
    return [told_stacks(one, said) for one, said in zip(workers, told, strict=True)]


def wait_for_answers(
    connection: AnyConnection,
    kind: str,
    workers: Sequence[WorkerName],
    span: float,
    seconds: float,
) -> list[dict[str, Any] | None]:
    """Ask workers, and wait; what each has answered, None for those that have not."""
    awake = [one.id for one in workers if not one.is_silent]
    if not awake:
        return [None] * len(workers)
    asked = dict(zip(awake, questions.ask_workers(connection, kind, awake, span), strict=True))
    said: dict[int, str] = {}
    deadline, pause = monotonic() + seconds, FIRST_LOOK
    while len(said) < len(asked) and monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK)
        said = questions.fetch_answers(connection, list(asked.values()))
    questions.forget_questions(connection, list(asked.values()))
    by_worker = {worker: said.get(question) for worker, question in asked.items()}
    answers = [by_worker.get(one.id) for one in workers]
    return [None if answer is None else json.loads(answer) for answer in answers]


def told_stacks(worker: WorkerName, said: dict[str, Any] | None) -> WorkerStacks:
    """What a worker has said; None: nothing."""
    silent = "its host has not been heard of lately" if worker.is_silent else "does not answer"
    return WorkerStacks(
        worker=str(worker),
        pool=worker.pool,
        slot=worker.slot,
        pid=worker.pid,
        host=worker.host,
        note=silent if said is None else said["note"],
        stacks=() if said is None else tuple(map(Stack.of, said["stacks"])),
    )
