"""Why a job waits, as values, each with a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from taskd.config.units import span
from taskd.store.needs import EXCLUSIVE, Whose, all_named, read_limit
from taskd.store.resources import Holders
from taskd.store.waits import FIRST_TOLD, MOST_COUNTED

_TITLES = {
    Whose.KEY: "limit ",
    Whose.TASK: "limit of task ",
    Whose.QUEUE: "limit of queue ",
}


class ReasonKind(StrEnum):
    """What a job waits for; the last two do not wait.

    parents: jobs that it comes after. joining: it is about to stand in line. resource, concurrency,
    rate: it stands in line. share: it does so for the turn of its share. scheduled, retry: its time
    has not come. paused: its queue is. no_worker, no_pool, no_version: nobody lives, takes its
    queue, offers the version that it requires. no_task: nobody who takes its queue knows its task.
    turn: nothing but its turn.
    """

    PARENTS = "parents"
    JOINING = "joining"
    RESOURCE = "resource"
    CONCURRENCY = "concurrency"
    RATE = "rate"
    SHARE = "share"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    NO_POOL = "no_pool"
    NO_VERSION = "no_version"
    NO_TASK = "no_task"
    TURN = "turn"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherJob:
    """A job that another waits for; since: how long it is in that state, as far as is known.

    `state` is None, and `task`, if the history of the job has been dropped.
    """

    id: int
    task: str | None
    state: str | None
    since: datetime | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why a job waits; `str(reason)` is its sentence.

    `name` is the resource, limit, queue, task or version that it is about. `jobs` are the first of
    those that it comes after or that hold the resource, and `jobs_count` is how many were found;
    `before` are the first in front of it, and `before_count` is how many (1000: at least so many).
    `at` is when the time comes that it waits for.
    """

    kind: ReasonKind
    text: str
    name: str | None = None
    jobs: tuple[OtherJob, ...] = field(default=())
    jobs_count: int = 0
    before: tuple[int, ...] = field(default=())
    before_count: int = 0
    at: datetime | None = None

    def __str__(self) -> str:
        return self.text

    def to_json_dict(self) -> dict[str, Any]:
        """Its fields: what `--json` prints."""
        return asdict(self)


def title(name: str) -> str:
    """What lists call a resource or limit, by its name in the store: `limit of queue sync`."""
    limit = read_limit(name)
    if limit is None:
        return name
    whose, of = limit
    return f"{_TITLES[whose]}{of}"


def titled(name: str) -> str:
    """The same in a sentence: `the limit of queue sync`."""
    return name if read_limit(name) is None else f"the {title(name)}"


def names_meant(text: str) -> list[str]:
    """The names in the store of all that is called so, or that lists or sentences call so."""
    said = text.removeprefix("the ")
    by_title = [
        whose.limit(said.removeprefix(title))
        for whose, title in _TITLES.items()
        if said.startswith(title)
    ]
    return [text, *all_named(text), *by_title]


def listed(values: Sequence[object], count: int) -> str:
    """Name the first of `count`: `17, 18, …`."""
    return ", ".join(map(str, values)) + (", …" if count > len(values) else "")


def counted(count: int) -> str:
    """Count jobs: `1 job`, `12 jobs`, `at least 1000 jobs`."""
    if count == 1:
        return "1 job"
    return f"at least {count} jobs" if count >= MOST_COUNTED else f"{count} jobs"


def ahead(first: Sequence[int], count: int) -> str:
    """Say who stands before a job."""
    if not count:
        return "it is the first in line"
    verb = "is" if count == 1 else "are"
    return f"{counted(count)} {verb} before it: {listed(first, count)}"


def described(job: OtherJob, now: datetime) -> str:
    """Name a job with its state: `17 (running in io/0 on web1 for 12 s)`."""
    where = f" in {job.worker}" if job.worker else ""
    lasting = "" if job.since is None else f" for {span((now - job.since).total_seconds())}"
    return f"{job.id} ({job.state or 'its history is gone'}{where}{lasting})"


def held_by(holders: Holders, jobs: Sequence[OtherJob], now: datetime) -> str:
    """Say who holds a resource: `held by job 17 (…)`; nothing if nobody does."""
    if not holders.found:
        return _hidden(holders.hidden)
    noun = "job" if holders.found == 1 else f"{holders.found} jobs:"
    names = [described(job, now) for job in jobs]
    text = f"held by {noun} {listed(names, holders.found)}"
    return f"{text}, and {_hidden(holders.hidden)}" if holders.hidden else text


def _hidden(units: int) -> str:
    """Say what is held by jobs that were not found in the time there was."""
    if units == 0:
        return ""
    if units >= EXCLUSIVE:
        return "held by a job that waits itself or has just ended"
    return f"{units} of it held by jobs that wait themselves or have just ended"


def jobs_of(holders: Holders) -> tuple[OtherJob, ...]:
    """The holders that are told by id."""
    return tuple(
        OtherJob(id=one.id, task=one.task, state=one.state, since=one.since, worker=one.worker)
        for one in holders.first[:FIRST_TOLD]
    )
