"""Jobs in memory: what was enqueued, without a database, and what becomes of it when it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from taskd.clock import utc_now
from taskd.config.versions import read_part
from taskd.errors import JobFailed, JobUnknown, TaskdError
from taskd.store.rows import JobRow, NewGraph, NewJob, NewJobs, State
from taskd.tasks.client import with_client
from taskd.tasks.context import JobAttempt, running_id
from taskd.tasks.enqueue import find_target
from taskd.tasks.outcome import (
    Cancelled,
    Done,
    Failed,
    Interrupted,
    Outcome,
    Retried,
    Snoozed,
    Stored,
)
from taskd.testing.attempt import run_attempt

if TYPE_CHECKING:
    from taskd.store.connect import Connection
    from taskd.store.jobs import AnyConnection

MOST_ATTEMPTS = 10_000
"""Jobs that ask for more, in one run, never end."""


class NeedsDatabase(TaskdError):
    """A job in memory asks for what only a database gives; use the fixture taskd_database."""


class NeverEnds(TaskdError):
    """Jobs retry, snooze or enqueue each other without end; see whether the test means that."""


@dataclass(slots=True)
class MemoryJob:
    """One job as it was enqueued, and what has become of it."""

    id: int
    new: NewJob
    state: State = State.QUEUED
    attempt: int = 0
    result: Any = None
    error: str | None = None
    traceback: str | None = None
    parents: set[int] = field(default_factory=set)

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
            worker=None,
        )


class MemoryJobs:
    """Jobs that are enqueued while a test runs; made by `collect` and `inline`.

    It takes the place of the database for all tasks and handles of this process. Delays and pauses
    count as over when jobs are run.
    """

    max_args = 1024**2

    def __init__(self, at_once: bool = False) -> None:
        self._at_once = at_once
        self._is_running = False
        self._jobs: dict[int, MemoryJob] = {}
        self._unfinished: dict[int, MemoryJob] = {}
        self._keys: dict[str, int] = {}

    # -- for the test -----------------------------------------------------------------------------

    @property
    def enqueued(self) -> list[MemoryJob]:
        """All jobs, in the order in which they were enqueued."""
        return list(self._jobs.values())

    def of(self, task: str | Callable[..., Any]) -> list[MemoryJob]:
        """The jobs of one task, given as itself, as the function or by its name."""
        name = find_target(task).name
        return [job for job in self._jobs.values() if job.task == name]

    def assert_enqueued(
        self,
        task: str | Callable[..., Any],
        *args: Any,
        times: int | None = None,
        queue: str | None = None,
        **kwargs: Any,
    ) -> list[MemoryJob]:
        """Fail unless jobs of a task with exactly these arguments were enqueued; those jobs.

        `times`: exactly so many; None: at least one.
        """
        target = find_target(task)
        wanted = json.loads(json.dumps([args, kwargs]))
        found = [
            job
            for job in self.of(task)
            if [job.args, job.kwargs] == wanted and queue in (None, job.queue)
        ]
        if len(found) == times or (times is None and found):
            return found
        others = "\n".join(f"  {_sentence(job)}" for job in self.of(task)) or "  none"
        count = "no such job" if not found else f"{len(found)} such jobs"
        call = f"{target.name}({_arguments(args, kwargs)})"
        raise AssertionError(
            f"{call}: {count} enqueued, wanted {times or 'at least one'}; of this task:\n{others}"
        )

    def assert_nothing_enqueued(self, task: str | Callable[..., Any] | None = None) -> None:
        """Fail if any job was enqueued, or any of this task."""
        found = self.enqueued if task is None else self.of(task)
        if found:
            told = "\n".join(f"  {_sentence(job)}" for job in found)
            raise AssertionError(f"wanted no job, but enqueued were:\n{told}")

    def run(self, raise_errors: bool = True) -> list[MemoryJob]:
        """Run all jobs that wait, and those that they enqueue; those that ran, in that order.

        Raises JobFailed for the first job that fails for good, unless told otherwise, and
        NeverEnds.
        """
        ran: list[MemoryJob] = []
        while (job := self._next()) is not None:
            ran.append(job)
            self._run_one(job)
            if len(ran) > MOST_ATTEMPTS:
                raise NeverEnds(f"job {job.id} ({job.task}) goes on and on: {job.error}")
            if raise_errors and job.state is State.FAILED:
                raise JobFailed(job.id, job.task, job.error or "", job.traceback)
        return ran

    # -- for taskd, in place of the database ------------------------------------------------------

    def store(self, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        """Keep new jobs."""
        ids = [job_id for batch in batches for job_id in self._add(_as_new_jobs(batch))]
        if self._at_once and not self._is_running:
            self._is_running = True
            try:
                self.run()
            finally:
                self._is_running = False
        return ids

    def store_on(
        self, connection: AnyConnection, batches: Sequence[NewJobs | NewGraph]
    ) -> list[int]:
        """Keep new jobs; whether the transaction commits is not looked at."""
        return self.store(batches)

    def fetch(self, job_id: int) -> JobRow:
        """One job as it is now."""
        if job_id not in self._jobs:
            raise JobUnknown(job_id, "the jobs that this test has enqueued")
        return self._jobs[job_id].row()

    def fetch_many(self, job_ids: Sequence[int]) -> list[JobRow]:
        """Jobs as they are now."""
        return [self._jobs[job_id].row() for job_id in job_ids if job_id in self._jobs]

    def cancel(self, job_ids: Sequence[int]) -> dict[int, str]:
        """End jobs that wait."""
        outcomes = {}
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            if job is None or job.state.is_final:
                outcomes[job_id] = "unknown" if job is None else "ended"
            else:
                job.state, job.error = State.CANCELLED, "cancelled"
                outcomes[job_id] = "cancelled"
        return outcomes

    def requeue(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Enqueue ended jobs once more."""
        ended = [i for i in job_ids if i in self._jobs and self._jobs[i].state.is_final]
        return {i: self._add([replace(self._jobs[i].new, key=None)])[0] for i in ended}

    def wait_for_end(self, job_id: int, seconds: float) -> None:
        """Nobody else runs jobs here, so waiting for one runs them."""
        self.run(raise_errors=False)

    def connection(self) -> AbstractContextManager[Connection]:
        """There is none."""
        raise NeedsDatabase("jobs in memory have no connection: use the fixture taskd_database")

    def transaction(self) -> AbstractContextManager[Connection]:
        """There is none."""
        raise NeedsDatabase(
            "jobs in memory have no transaction: use the fixture taskd_database, and drain()"
        )

    @contextmanager
    def all_or_nothing(self, connection: AnyConnection | None) -> Iterator[AnyConnection]:
        """Forget the jobs that the block has enqueued if it raises."""
        before = dict(self._jobs), dict(self._unfinished), dict(self._keys)
        try:
            yield connection or cast("AnyConnection", _NoConnection())
        except BaseException:
            self._jobs, self._unfinished, self._keys = before
            raise

    def find_offer(self, name: str, connection: AnyConnection | None) -> Mapping[str, Any] | None:
        """No daemon is here."""
        return None

    def close(self) -> None:
        """There is nothing to close."""

    # -- what becomes of them ---------------------------------------------------------------------

    def _add(self, new: Sequence[NewJob]) -> list[int]:
        ids: list[int] = []
        for one in new:
            holder = self._holder(one)
            if holder is not None:
                _change(holder, one)
                ids.append(-holder.id)
                continue
            parents = {ids[-1 - p] if p < 0 else p for p in one.parents}
            parents = {abs(parent) for parent in parents}
            if parents:
                one = replace(one, extra={**(one.extra or {}), "parents": sorted(parents)})
            job = MemoryJob(len(self._jobs) + 1, one, parents=parents)
            self._jobs[job.id] = self._unfinished[job.id] = job
            if one.key is not None:
                self._keys[one.key] = job.id
            ids.append(job.id)
        return ids

    def _holder(self, new: NewJob) -> MemoryJob | None:
        """The job that holds its unique key, if one does; no time passes, so a window stays."""
        holder = self._jobs.get(self._keys.get(new.key or "", 0))
        if holder is None or holder.id == running_id():
            return None
        match holder.new.until:
            case "started":
                is_free = holder.attempt > 0
            case "finished":
                is_free = holder.state.is_final
            case _:
                is_free = False
        return None if is_free else holder

    def _next(self) -> MemoryJob | None:
        """The most urgent job that waits for nothing; those that wait in vain end on the way."""
        ready = [job for job in list(self._unfinished.values()) if self._may_start(job)]
        return max(ready, key=lambda job: (job.new.priority, -job.id), default=None)

    def _may_start(self, job: MemoryJob) -> bool:
        if job.state.is_final:
            del self._unfinished[job.id]
            return False
        parents = [self._jobs[p] for p in job.parents if p in self._jobs]
        if not all(parent.state.is_final for parent in parents):
            return False
        if job.new.run_if_failed or all(p.state is State.SUCCEEDED for p in parents):
            return True
        job.state, job.error = State.CANCELLED, "a job that it came after did not succeed"
        return False

    def _run_one(self, job: MemoryJob) -> None:
        job.attempt += 1
        job.state = State.RUNNING
        attempt = JobAttempt(
            job.id, 0, job.attempt, job.new.max_attempts, job.task, job.queue, 0, job.new.extra
        )
        self._take_in(job, run_attempt(attempt, job.args, job.kwargs))

    def _take_in(self, job: MemoryJob, outcome: Outcome) -> None:
        match outcome:
            case Done(result):
                job.state = State.SUCCEEDED
                job.result = None if result is None else json.loads(result)
            case Failed(error, traceback):
                job.state, job.error, job.traceback = State.FAILED, error, traceback
            case Cancelled(reason):
                job.state, job.error = State.CANCELLED, reason
            case Retried(_, error, traceback):
                job.state, job.error, job.traceback = State.QUEUED, error, traceback
            case Snoozed() | Interrupted():
                job.state = State.QUEUED
            case Stored():
                job.state = State.SUCCEEDED


class _NoConnection:
    """Where middleware looks for the connection of an enqueue."""

    def __getattr__(self, name: str) -> object:
        raise NeedsDatabase("jobs in memory have no connection: use the fixture taskd_database")


def _change(holder: MemoryJob, new: NewJob) -> None:
    """What a second enqueue does to the job that holds its key, if that has not begun."""
    if new.on_conflict == "replace" and holder.state is State.QUEUED and not holder.attempt:
        holder.new = replace(holder.new, args=new.args, kwargs=new.kwargs)


def _as_new_jobs(batch: NewJobs | NewGraph) -> Sequence[NewJob]:
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


def _sentence(job: MemoryJob) -> str:
    return f"{job.task}({_arguments(job.args, job.kwargs)}) in queue {job.queue}: {job.state}"


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


@contextmanager
def collect() -> Iterator[MemoryJobs]:
    """Keep what is enqueued in memory until the block ends; nothing runs unless told to."""
    yield from _in_place_of_the_database(MemoryJobs())


@contextmanager
def inline() -> Iterator[MemoryJobs]:
    """Run each job at once where it is enqueued, until the block ends; errors reach the enqueue."""
    yield from _in_place_of_the_database(MemoryJobs(at_once=True))


def _in_place_of_the_database(jobs: MemoryJobs) -> Iterator[MemoryJobs]:
    with with_client(jobs):
        yield jobs
