"""What workers have to tell."""

from __future__ import annotations

import logging
from typing import ClassVar

from taskd.events import Event, counted

_MOST_NAMED = 20


def _named(jobs: tuple[int, ...]) -> str:
    ids = ", ".join(map(str, jobs[:_MOST_NAMED]))
    more = len(jobs) - _MOST_NAMED
    return f"{ids} and {more} more" if more > 0 else ids


class WorkerReady(Event):
    """A worker is set up and claims from now on."""

    level: ClassVar[int] = logging.DEBUG
    worker: str
    pid: int

    def __str__(self) -> str:
        return f"worker {self.worker} is ready (pid {self.pid})"


class WorkerDrains(Event):
    """A worker claims no more and ends when its jobs have."""

    level: ClassVar[int] = logging.DEBUG
    worker: str
    reason: str
    running: int

    def __str__(self) -> str:
        verb = "runs" if self.running == 1 else "run"
        jobs = f"{counted(self.running, 'job')} {verb}"
        return f"worker {self.worker} drains ({self.reason}): {jobs}"


class JobsInterrupted(Event):
    """Running jobs were told to end at once; they go back to the front of their queues."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    jobs: tuple[int, ...]

    def __str__(self) -> str:
        return f"worker {self.worker} interrupts what still runs: job {_named(self.jobs)}"


class JobsLost(Event):
    """Outcomes came too late: the jobs had been given to somebody else meanwhile."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    jobs: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"worker {self.worker} lost job {_named(self.jobs)}: "
            "given back meanwhile, so the outcome is dropped"
        )


class ArgumentsUnreadable(Event):
    """A claimed job's arguments are no JSON that Python reads; it fails, and no other does."""

    level: ClassVar[int] = logging.ERROR
    job: int
    error: str

    def __str__(self) -> str:
        return f"the arguments of job {self.job} cannot be decoded, so it fails: {self.error}"


class OutcomeNotStored(Event):
    """The database refuses what a job left behind; the job fails with that reason."""

    level: ClassVar[int] = logging.ERROR
    job: int
    error: str

    def __str__(self) -> str:
        return f"the outcome of job {self.job} cannot be stored, so it fails: {self.error}"


class LogNotStored(Event):
    """The database refuses what jobs have logged; it is dropped, and the jobs go on."""

    level: ClassVar[int] = logging.ERROR
    worker: str
    jobs: tuple[int, ...]
    error: str

    def __str__(self) -> str:
        return (
            f"worker {self.worker} drops log lines of job {_named(self.jobs)}: "
            f"they cannot be stored: {self.error}"
        )


class RegistrationLost(Event):
    """A living worker was taken for dead and its jobs given back; it registers again."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    id: int

    def __str__(self) -> str:
        return f"worker {self.worker} ({self.id}) was taken for dead; it registers again"


class ClaimRecovered(Event):
    """The answer to a claim got lost on its way, so what it took goes back."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    jobs: int

    def __str__(self) -> str:
        return (
            f"worker {self.worker} gives back {self.jobs} jobs of a claim "
            "whose answer got lost on its way"
        )


class DatabaseDoesNotAnswer(Event):
    """A worker cannot reach the database; it keeps its outcomes and tries again."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    error: str

    def __str__(self) -> str:
        return f"worker {self.worker} cannot reach the database, trying again: {self.error}"


class DatabaseAnswersAgain(Event):
    """A worker reaches the database again."""

    worker: str
    seconds: float

    def __str__(self) -> str:
        return f"worker {self.worker} reaches the database again after {self.seconds:.1f} s"


class LoopFailed(Event):
    """A part of a worker raised what it should not; it goes on."""

    level: ClassVar[int] = logging.ERROR
    worker: str
    part: str
    traceback: str

    def __str__(self) -> str:
        return f"worker {self.worker}: {self.part} failed and goes on\n{self.traceback}"


class WorkerNotStarted(Event):
    """A hook that a worker needs to begin has failed; the worker ends, the next one comes later."""

    level: ClassVar[int] = logging.ERROR
    worker: str
    kind: str
    hook: str
    fault: str

    def __str__(self) -> str:
        return (
            f"worker {self.worker} does not start, because {self.kind} hook {self.hook} failed: "
            f"{self.fault}"
        )


class HookFailed(Event):
    """A hook failed that nothing depends on; `concern` is what it was called for."""

    level: ClassVar[int] = logging.WARNING
    worker: str
    kind: str
    hook: str
    concern: str
    fault: str

    def __str__(self) -> str:
        return (
            f"worker {self.worker}: {self.kind} hook {self.hook} failed for {self.concern}, which "
            f"changes nothing else: {self.fault}"
        )


class MasterGone(Event):
    """The master died; the worker finishes its jobs and ends."""

    level: ClassVar[int] = logging.WARNING
    worker: str

    def __str__(self) -> str:
        return f"worker {self.worker}: the master is gone, so it drains and ends"
