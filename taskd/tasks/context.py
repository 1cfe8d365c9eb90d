"""Which job runs here: `current_job()`."""

from __future__ import annotations

from contextvars import ContextVar

from taskd.errors import NoCurrentJob


class JobAttempt:
    """One attempt of a job, as a worker runs it; `number` counts from 1.

    `is_open` is true while the task's own code runs: only then may the worker raise an Interrupt
    in it, from a signal handler or another greenlet.
    """

    __slots__ = ("fence", "id", "is_open", "max_attempts", "number", "queue", "task")

    def __init__(
        self,
        id: int,  # noqa: A002 - it is the job's id, as everywhere
        fence: int,
        number: int,
        max_attempts: int,
        task: str,
        queue: str = "",
    ) -> None:
        self.id = id
        self.fence = fence
        self.number = number
        self.max_attempts = max_attempts
        self.task = task
        self.queue = queue
        self.is_open = False

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
