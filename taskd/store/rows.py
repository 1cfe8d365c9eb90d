"""Jobs as they go into the store and as they come out of it, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from taskd.config.moments import Moment
from taskd.config.versions import Part

DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 5


class State(StrEnum):
    """Where a job is. The last three are final; cancelling is running, but not for long."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_running(self) -> bool:
        """Whether a worker has the job in its hands."""
        return self in (State.RUNNING, State.CANCELLING)

    @property
    def is_final(self) -> bool:
        """Whether a job in this state has ended for good."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class NewJobs:
    """Calls of one task to be enqueued together.

    `args` and `kwargs` are JSON texts, one of each a job; kwargs None means none. `delay` is in
    seconds from now; `always_notify` is for a caller's own transaction. `extra` and `unique` are
    JSON texts as enqueue_jobs_v1 describes them.
    """

    task: str
    args: list[str]
    kwargs: list[str | None]
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    delay: float | None = None
    run_at: datetime | None = None
    max_attempts: int = 1
    timeout: float | None = None
    always_notify: bool = False
    extra: str | None = None
    unique: str | None = None

    def in_a_callers_transaction(self) -> Self:
        """The same, for a transaction that its owner ends."""
        return replace(self, always_notify=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """One job of a NewGraph.

    `args` and `kwargs` are JSON texts, `delay` seconds from now. `parents` are ids of jobs, or -n
    for the n-th job of the same graph, which must come before this one. The rest is as
    enqueue_graph_v1 describes it.
    """

    task: str
    args: str
    kwargs: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    delay: float | None = None
    run_at: datetime | None = None
    max_attempts: int = 1
    timeout: float | None = None
    extra: dict[str, Any] | None = None
    key: str | None = None
    until: str | None = None
    on_conflict: str | None = None
    run_if_failed: bool = False
    parents: tuple[int, ...] = ()
    res: tuple[str, ...] = ()
    need: tuple[int, ...] = ()
    limits: dict[str, list[Any]] | None = None
    is_grouped: bool = False

    def to_json_dict(self) -> dict[str, Any]:
        """What it says, as the store takes it: a key each that is not left out."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name in self.__slots__
            if (value := getattr(self, name)) is not None and value is not False and value != ()
        }


@dataclass(frozen=True, slots=True)
class NewGraph:
    """Jobs that are enqueued together because they depend on each other or on resources.

    `always_notify` is for a caller's own transaction; `self_id` is the job that enqueues, if any.
    """

    jobs: tuple[NewJob, ...]
    always_notify: bool = False
    self_id: int | None = None

    def in_a_callers_transaction(self) -> Self:
        """The same, for a transaction that its owner ends."""
        return replace(self, always_notify=True)


class JobEnd(NamedTuple):
    """A final outcome: state is "s", "f" or "c"; duration in seconds, None if it never started.

    memory: by how many bytes it left its process larger; as cpu_micros, None if that is not known.
    """

    id: int
    fence: int
    duration: float | None
    state: str
    result: str | None = None
    error: str | None = None
    traceback: str | None = None
    cpu_micros: int | None = None
    memory: int | None = None


class JobRetry(NamedTuple):
    """An attempt that ended but not its job.

    outcome is "r" (retry), "t" (timed out, retry), "z" (snooze) or "i" (interrupted). release: let
    go of its resources until the next attempt. cpu_micros, memory: as of a JobEnd.
    """

    id: int
    fence: int
    duration: float | None
    outcome: str
    delay: float
    error: str | None = None
    traceback: str | None = None
    release: bool = False
    cpu_micros: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job as the store has it. worker is "pool/slot on host, pid N".

    waited_for_resources: seconds until it had all resources and limits, of the attempt that it came
    to last, None if it needs none or has not got them; waited_for_worker: from then until it began.
    states_only: this user may not see its arguments, result and error, so they are empty here.
    cpu_seconds: what its last attempt used of the processor; memory_growth: by how many bytes that
    left its process larger, in process pools. None: not known. requeued_as: the job that it was
    last requeued as.
    """

    id: int
    task: str
    queue: str
    requires: str | None = None
    state: State
    priority: int
    attempt: int
    max_attempts: int
    losses: int
    crashes: int
    timeout: float | None
    args: list[Any]
    kwargs: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    result: Any
    has_result: bool = False
    error: str | None
    traceback: str | None
    created_at: datetime
    run_at: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    waited_for_resources: float | None = None
    waited_for_worker: float | None = None
    cpu_seconds: float | None = None
    memory_growth: int | None = None
    requeued_as: int | None = None
    worker: str | None
    states_only: bool = False

    def to_json_dict(self) -> dict[str, Any]:
        """Its fields with times as ISO 8601 texts: what `--json` prints."""
        fields = asdict(self)
        del fields["states_only"]
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in fields.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """An attempt that did not end its job; cpu_seconds and memory_growth as of a JobRow."""

    number: int
    outcome: str
    started_at: datetime
    ended_at: datetime
    cpu_seconds: float | None = None
    memory_growth: int | None = None
    worker: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; what is None says nothing.

    before: ids below this one. older_than: seconds since the enqueue. since, until: enqueued from
    then on, and before; finished_since, finished_until: ended so. error: a part of its text; cause:
    what failed jobs have in common, as a FailureGroup has it. args: the leading arguments (None:
    any). kwargs: some of the keywords. group: the id of a flow. worker: the id of who has it or had
    it last. besides: tasks that are not meant. is_requeued: whether it was requeued. A list
    is newest first, of at most `limit` jobs; other orders are for all that match.
    """

    state: State | None = None
    queue: str | None = None
    task: str | None = None
    limit: int = 50
    before: int | None = None
    older_than: float | None = None
    error: str | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    group: int | None = None
    cause: str | None = None
    worker: int | None = None
    besides: tuple[str, ...] | None = None
    is_requeued: bool | None = None
    since: Moment | None = None
    until: Moment | None = None
    finished_since: Moment | None = None
    finished_until: Moment | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every job matches."""
        return self == JobFilter(limit=self.limit)


class Requeued(NamedTuple):
    """The job that another is once more, and the one that it was requeued as before, if it was."""

    new_id: int
    before: int | None


class WaitingLane(NamedTuple):
    """A lane with something to claim, and the lowest seq there."""

    queue: str
    lane: int
    seq: int


class Promoted(NamedTuple):
    """How many scheduled jobs entered the queue, and where: (queue, lane, count, lowest seq)."""

    promoted: int
    lanes: list[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What some queues still hold: what a burst waits for, and what it leaves.

    `soon` is scheduled and due within a minute or a retry, `later` is scheduled further ahead,
    `paused` counts the jobs that wait in each paused queue, `unoffered` those that wait in others
    for a version of the code that is not offered, by queue and version.
    """

    queued: int
    running: int
    blocked: int
    soon: int
    later: int
    paused: dict[str, int]
    unoffered: dict[Part, int]

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left that a burst waits for."""
        return not (self.queued or self.running or self.blocked or self.soon)
