"""Which job runs here: `current_job()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from taskd.errors import JobLost, NoCurrentJob, TransactionUsed
from taskd.tasks.arguments import MAX_RESULT, encode_result
from taskd.tasks.progress import check_progress

if TYPE_CHECKING:
    from taskd.store.job_transaction import JobTransaction
    from taskd.tasks.job import Job

_NOTHING: Mapping[str, Any] = {}


class AttemptJournal(Protocol):
    """What an attempt asks of its worker's journal. Never blocks for long, never raises."""

    def progress(self, attempt: JobAttempt, fraction: float, message: str) -> None:
        """Take down how far an attempt is."""

    def extended(self, attempt: JobAttempt) -> AbstractContextManager[None]:
        """Take down what is said for an attempt until the block ends, though its task has ended."""


class JobAttempt:
    """One attempt of a job, as a worker runs it; `number` counts from 1.

    `is_open` is true while the task's own code runs: only then, and not while it commits its end,
    may the worker raise an Interrupt in it, from a signal handler or another greenlet.
    `is_cancelled` is true once it was cancelled before that: it is not to begin.
    `is_stored` is true once the job has ended itself, in its own transaction. `extra` is the column
    of that name. What it says goes into `journal`, if there is one. `cpu` is what it has used of
    the processor until it last waited, in seconds, where jobs run side by side.
    """

    __slots__ = (
        "_is_cancelled",
        "cpu",
        "extra",
        "fence",
        "id",
        "is_committing",
        "is_interrupted",
        "is_open",
        "is_stored",
        "journal",
        "max_attempts",
        "max_result",
        "number",
        "queue",
        "started",
        "task",
        "worker",
    )

    def __init__(
        self,
        id: int,  # noqa: A002 - it is the job's id, as everywhere
        fence: int,
        number: int,
        max_attempts: int,
        task: str,
        queue: str = "",
        worker: int = 0,
        extra: Mapping[str, Any] | None = None,
        journal: AttemptJournal | None = None,
    ) -> None:
        self.id = id
        self.fence = fence
        self.number = number
        self.max_attempts = max_attempts
        self.task = task
        self.queue = queue
        self.worker = worker
        self.extra = extra or _NOTHING
        self.journal = journal
        self._is_cancelled = False
        self.is_interrupted = False  # before it began
        self.is_open = False
        self.is_committing = False
        self.is_stored = False
        self.max_result = MAX_RESULT
        self.cpu = 0.0
        self.started = perf_counter()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled before it began."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Let it not begin; for one that has begun an Interrupt is raised."""
        self._is_cancelled = True

    @property
    def takes_interrupts(self) -> bool:
        """Whether an Interrupt may be raised in it now."""
        return self.is_open and not self.is_committing

    def __repr__(self) -> str:
        return f"<attempt {self.number} of job {self.id} ({self.task})>"


class CurrentJob:
    """The job that the calling code is part of, as `current_job` gives it."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: JobAttempt) -> None:
        self._attempt = attempt

    @property
    def id(self) -> int:
        """The job's number: the same in all its attempts."""
        return self._attempt.id

    @property
    def task(self) -> str:
        """The name of the task."""
        return self._attempt.task

    @property
    def queue(self) -> str:
        """The queue that the job waited in."""
        return self._attempt.queue

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt.number

    @property
    def max_attempts(self) -> int:
        """How many attempts the job has at most."""
        return self._attempt.max_attempts

    def progress(self, fraction: float, message: str = "") -> None:
        """Say how far the job is: a number from 0 to 1, and a few words such as "12 of 30".

        Say it as often as you like: one a second is stored, and the last. Raises OptionInvalid.
        """
        share, text = check_progress(fraction, message)
        attempt = self._attempt
        if attempt.journal is not None:
            attempt.journal.progress(attempt, share, text)

    @property
    def headers(self) -> Mapping[str, Any]:
        """What middleware let travel with the job; empty if nothing."""
        return dict(self._attempt.extra.get("headers", _NOTHING))

    @property
    def parents(self) -> list[Job[Any]]:
        """The jobs that this one came after, in the order in which they were enqueued."""
        from taskd.tasks.job import Job

        return [Job(job_id) for job_id in self._attempt.extra.get("parents", ())]

    def parent_results(self) -> list[Any]:
        """What they returned, in that order; None for one that did not succeed. One round trip."""
        from taskd.tasks.client import default_client

        ids = self._attempt.extra.get("parents", ())
        results = {row.id: row.result for row in default_client().fetch_many(ids)}
        return [results.get(job_id) for job_id in ids]

    @contextmanager
    def transaction(self) -> Iterator[JobTransaction]:
        """A transaction in which the job writes and ends: both commit together, or neither does.

            with current_job().transaction() as conn:
                conn.execute("UPDATE …")

        If the worker is killed before the commit, nothing was written and the job runs again; after
        it, the job has succeeded, whatever its code does then. So what it writes here is written
        exactly once. What the block raises rolls back and fails the attempt. Raises JobLost, an
        Interrupt, when the job was meanwhile given to somebody else, and TransactionUsed for a
        second one.
        """
        from taskd.store.job_transaction import JobTransaction
        from taskd.store.jobs import complete_jobs
        from taskd.store.rows import JobEnd
        from taskd.tasks.client import default_client

        attempt = self._attempt
        if attempt.is_stored:
            raise TransactionUsed(attempt.id)
        try:
            with default_client().transaction() as connection:
                transaction = JobTransaction(connection)
                yield transaction
                result = transaction.result
                text = None if result is None else encode_result(result, attempt.max_result)
                # From here on no interrupt may strike: it could come between the commit and our
                # knowing of it.
                attempt.is_committing = True
                end = JobEnd(attempt.id, attempt.fence, perf_counter() - attempt.started, "s", text)
                if complete_jobs(connection, attempt.worker, [end], is_own=False):
                    raise JobLost(attempt.id)
            attempt.is_stored = True
        finally:
            attempt.is_committing = False

    def __repr__(self) -> str:
        return f"<current job {self.id} ({self.task}), attempt {self.attempt}>"


running_attempt: ContextVar[JobAttempt] = ContextVar("taskd_attempt")


def running_id() -> int | None:
    """The id of the job that runs the calling code, if one does."""
    attempt = running_attempt.get(None)
    return None if attempt is None else attempt.id


def current_job() -> CurrentJob:
    """The job that runs the calling code. Raises NoCurrentJob outside of one.

    Known in the job's own greenlet or thread and in greenlets that it spawns, not in its threads.
    """
    try:
        return CurrentJob(running_attempt.get())
    except LookupError:
        raise NoCurrentJob from None
