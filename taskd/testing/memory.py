"""Jobs in memory: what was enqueued, without a database, and what becomes of it when it runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from taskd.errors import JobFailed, JobUnknown, TaskdError
from taskd.store.rows import JobRow, NewGraph, NewJobs, State
from taskd.tasks.client import with_client
from taskd.tasks.context import JobAttempt
from taskd.tasks.enqueue import find_target
from taskd.testing.attempt import run_attempt
from taskd.testing.memory_job import MemoryJob, call_text, new_jobs_of
from taskd.testing.memory_table import MemoryTable, take_in

if TYPE_CHECKING:
    from taskd.store.connect import Connection
    from taskd.store.job_transaction import CallersConnection
    from taskd.store.jobs import AnyConnection

R = TypeVar("R")

MOST_ATTEMPTS = 10_000
"""Jobs that ask for more, in one run, never end."""


class NeedsDatabase(TaskdError):
    """A job in memory asks for what only a database gives; use the fixture taskd_database."""


class NeverEnds(TaskdError):
    """Jobs retry, snooze or enqueue each other without end; see whether the test means that."""


class MemoryJobs:
    """Jobs that are enqueued while a test runs; made by `collect` and `inline`.

    It takes the place of the database for all tasks and handles of this process. Delays and pauses
    count as over when jobs are run.
    """

    max_args = 1024**2

    def __init__(self, at_once: bool = False) -> None:
        self._at_once = at_once
        self._is_running = False
        self._table = MemoryTable()

    # -- for the test -----------------------------------------------------------------------------

    @property
    def enqueued(self) -> list[MemoryJob]:
        """All jobs, in the order in which they were enqueued."""
        return list(self._table.jobs.values())

    def of(self, task: str | Callable[..., Any]) -> list[MemoryJob]:
        """The jobs of one task, given as itself, as the function or by its name."""
        name = find_target(task).name
        return [job for job in self._table.jobs.values() if job.task == name]

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
        others = "\n".join(f"  {job.sentence()}" for job in self.of(task)) or "  none"
        count = "no such job" if not found else f"{len(found)} such jobs"
        call = f"{target.name}({call_text(args, kwargs)})"
        raise AssertionError(
            f"{call}: {count} enqueued, wanted {times or 'at least one'}; of this task:\n{others}"
        )

    def assert_nothing_enqueued(self, task: str | Callable[..., Any] | None = None) -> None:
        """Fail if any job was enqueued, or any of this task."""
        found = self.enqueued if task is None else self.of(task)
        if found:
            told = "\n".join(f"  {job.sentence()}" for job in found)
            raise AssertionError(f"wanted no job, but enqueued were:\n{told}")

    def run(self, raise_errors: bool = True) -> list[MemoryJob]:
        """Run all jobs that wait, and those that they enqueue; those that ran, in that order.

        Raises JobFailed for the first job that fails for good, unless told otherwise, and
        NeverEnds.
        """
        ran: list[MemoryJob] = []
        while (job := self._table.next()) is not None:
            ran.append(job)
            self._run_one(job)
            if len(ran) > MOST_ATTEMPTS:
                raise NeverEnds(f"job {job.id} ({job.task}) goes on and on: {job.error}")
            if raise_errors and job.state is State.FAILED:
                raise JobFailed(job.id, job.task, job.error or "", job.traceback)
        return ran

    def _run_one(self, job: MemoryJob) -> None:
        job.attempt += 1
        job.has_begun = True
        job.state = State.RUNNING
        attempt = JobAttempt(
            job.id, 0, job.attempt, job.new.max_attempts, job.task, job.queue, 0, job.new.extra
        )
        take_in(job, run_attempt(attempt, job.args, job.kwargs))

    # -- for taskd, in place of the database ------------------------------------------------------

    def store(self, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
        """Keep new jobs."""
        ids = [job_id for batch in batches for job_id in self._table.add(new_jobs_of(batch))]
        if self._at_once and not self._is_running:
            self._is_running = True
            try:
                self.run()
            finally:
                self._is_running = False
        return ids

    def store_parts(
        self, parts: Iterable[NewJobs], read: Callable[[list[int]], list[R]]
    ) -> list[R]:
        """Keep new jobs, once all are known."""
        return read(self.store(list(parts)))

    def store_on(
        self, connection: CallersConnection, batches: Sequence[NewJobs | NewGraph]
    ) -> list[int]:
        """Keep new jobs; whether the transaction commits is not looked at."""
        return self.store(batches)

    def fetch(self, job_id: int) -> JobRow:
        """One job as it is now."""
        if job_id not in self._table.jobs:
            raise JobUnknown(job_id, "the jobs that this test has enqueued")
        return self._table.jobs[job_id].row()

    def fetch_many(self, job_ids: Sequence[int]) -> list[JobRow]:
        """Jobs as they are now."""
        return [self._table.jobs[job_id].row() for job_id in job_ids if job_id in self._table.jobs]

    def cancel(self, job_ids: Sequence[int]) -> dict[int, str]:
        """End jobs that wait."""
        return {job_id: self._table.cancel(job_id) for job_id in job_ids}

    def requeue(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Enqueue ended jobs once more."""
        return self._table.requeue(job_ids)

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
    def all_or_nothing(self, connection: CallersConnection | None) -> Iterator[AnyConnection]:
        """Forget the jobs that the block has enqueued if it raises."""
        with self._table.all_or_nothing():
            yield cast("AnyConnection", connection or _NoConnection())

    def find_offer(
        self, name: str, connection: CallersConnection | None
    ) -> Mapping[str, Any] | None:
        """No daemon is here."""
        return None

    def close(self) -> None:
        """There is nothing to close."""


class _NoConnection:
    """Where middleware looks for the connection of an enqueue."""

    def __getattr__(self, name: str) -> object:
        raise NeedsDatabase("jobs in memory have no connection: use the fixture taskd_database")


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
