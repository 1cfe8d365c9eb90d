"""One job in memory: what was enqueued, as the task will get it, and what has become of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskd.clock import utc_now
from taskd.config.versions import read_part
from taskd.store.rows import JobRow, NewGraph, NewJob, NewJobs, State


@dataclass(slots=True)
class MemoryJob:
    """One job as it was enqueued, and what has become of it."""

    id: int
    new: NewJob
    state: State = State.QUEUED
    attempt: int = 0
    has_begun: bool = False
    result: Any = None
    error: str | None = None
    traceback: str | None = None
    parents: set[int] = field(default_factory=set)
    requeued_as: int | None = None

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.new.task

    @property
    def args(self) -> list[Any]:
        """The arguments without names, as the task will get them."""
        found: list[Any] = json.loads(self.new.args)
        return found

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments with names."""
        found: dict[str, Any] = json.loads(self.new.kwargs) if self.new.kwargs else {}
        return found

    @property
    def queue(self) -> str:
        """The queue that it waits in."""
        return read_part(self.new.queue).queue

    @property
    def requires(self) -> str | None:
        """The version of the code that it needs."""
        return read_part(self.new.queue).version

    def sentence(self) -> str:
        """The job in one line, for a test that fails."""
        return (
            f"{self.task}({call_text(self.args, self.kwargs)}) in queue {self.queue}: {self.state}"
        )

    def row(self) -> JobRow:
        """As a store would have it."""
        return JobRow(
            id=self.id,
            task=self.task,
            queue=self.queue,
            requires=self.requires,
            state=self.state,
            priority=self.new.priority,
            attempt=self.attempt,
            max_attempts=self.new.max_attempts,
            losses=0,
            crashes=0,
            timeout=self.new.timeout,
            args=self.args,
            kwargs=self.kwargs,
            extra=self.new.extra or {},
            result=self.result,
            error=self.error,
            traceback=self.traceback,
            created_at=utc_now(),
            run_at=self.new.run_at,
            ready_at=None,
            started_at=None,
            finished_at=None,
            requeued_as=self.requeued_as,
            worker=None,
        )


def new_jobs_of(batch: NewJobs | NewGraph) -> Sequence[NewJob]:
    """The jobs of a batch, one by one."""
    if isinstance(batch, NewGraph):
        return batch.jobs
    keys: list[str | None] = [None] * len(batch.args)
    until = on_conflict = None
    if batch.unique is not None:
        told = json.loads(batch.unique)
        keys, until, on_conflict = told["keys"], told["until"], told["on_conflict"]
    return [
        NewJob(
            task=batch.task,
            args=args,
            kwargs=kwargs,
            queue=batch.queue,
            priority=batch.priority,
            delay=batch.delay,
            run_at=batch.run_at,
            max_attempts=batch.max_attempts,
            timeout=batch.timeout,
            extra=json.loads(batch.extra) if batch.extra else None,
            key=key,
            until=until,
            on_conflict=on_conflict,
        )
        for args, kwargs, key in zip(batch.args, batch.kwargs, keys, strict=True)
    ]


def call_text(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Arguments as they would stand in a call."""
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
