"""Finds where jobs could run, slots are free, and nothing begins: and why.

waiting parts ─► not quiet ───────────────────────────────► none
              └► quiet ─┬► nobody could take them ────────► what `why` says of the first job
                        ├► all who could are busy ────────► none
                        └► free slots ─┬► a lock ─────────► who holds it
                                       ├► a silent host ──► which
                                       ├► lane 11 ────────► no worker is empty
                                       └► ────────────────► nothing that the database shows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from taskd.config.units import span
from taskd.store import hosts, stalls, statistics, waits
from taskd.store.stalls import Blocker, Overdue, WaitingPart
from taskd.store.statistics import Backlog
from taskd.store.waits import Crew
from taskd.tasks.reasons import ReasonKind
from taskd.tasks.why import QUARANTINE_LANE, find_reasons

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

STALL_SECONDS = 60.0
"""For so long nothing has begun when it is a stall."""

LATE_SECONDS = 15.0
"""A host that lives beats every 5 s."""

_NOBODY = (ReasonKind.NO_WORKER, ReasonKind.NO_POOL, ReasonKind.NO_VERSION)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why nothing begins, as the end of a sentence, and what to do."""

    text: str
    remedy: str


_REMEDIES = {
    ReasonKind.NO_WORKER: "start a daemon",
    ReasonKind.NO_POOL: "name the queue in `queues` of a pool, and reload its daemon",
    ReasonKind.NO_VERSION: "start workers whose code offers that version, or move the jobs",
}
_UNKNOWN = Cause(
    "its workers do not claim, for no reason that the database shows",
    "look into the daemons' logs; `kill -USR2` to a master writes there where each worker stands",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A queue in which nothing begins for `seconds`; `str(stall)` is its sentence.

    jobs: how many wait, an estimate unless is_exact. free_slots: of the workers that could take
    them, or of all if `is_hopeless`: none could. is_overdue: they wait for somebody to let them in,
    though their time has come. because: why; remedy: what to do. first_job: one of them.
    """

    queue: str
    requires: str | None
    jobs: int
    is_exact: bool
    free_slots: int
    seconds: float
    is_hopeless: bool
    is_overdue: bool
    because: str
    remedy: str
    first_job: int

    @property
    def key(self) -> tuple[str, str | None, bool]:
        """What it is about: while that stalls it is the same stall."""
        return self.queue, self.requires, self.is_overdue

    def __str__(self) -> str:
        name = self.queue if self.requires is None else f"{self.queue} ({self.requires})"
        lasting = span(self.seconds)
        if self.is_overdue:
            return f"queue {name}: jobs have been due for {lasting}, because {self.because}"
        about = "" if self.is_exact else "about "
        could = "wait" if self.is_hopeless else "could run"
        jobs = f"{about}{self.jobs:,} jobs {could}"
        if self.jobs == 1:
            jobs = "1 job waits" if self.is_hopeless else "1 job could run"
        slots = "1 slot is free" if self.free_slots == 1 else f"{self.free_slots} slots are free"
        return (
            f"queue {name}: {jobs}, {slots}, nothing started for {lasting}, because {self.because}"
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Its fields and its sentence."""
        return {**asdict(self), "text": str(self)}


def find_stalls(
    connection: AnyConnection,
    seconds: float = STALL_SECONDS,
    *,
    backlog: Sequence[Backlog] | None = None,
) -> list[Stall]:
    """The queues in which nothing has begun for so many seconds though it could, by name.

    A bounded look; a few milliseconds if there are none. `backlog`: what waits, as was just found;
    without it the database is asked, if there are some. Raises DatabaseError.
    """
    return list(_find(connection, seconds, backlog))


def _find(
    connection: AnyConnection, seconds: float, backlog: Sequence[Backlog] | None
) -> Iterator[Stall]:
    parts = stalls.find_waiting_parts(connection, seconds)
    found = [one for part in parts if (one := _judge(connection, part, seconds)) is not None]
    if found:
        if backlog is None:
            backlog = statistics.fetch_backlog(connection)
        counted = {(one.queue, one.requires): one for one in backlog}
        for part, crews, cause in found:
            waiting = counted.get((part.queue, part.requires))
            able = [crew for crew in crews if crew.could_run_it]
            yield Stall(
                queue=part.queue,
                requires=part.requires,
                jobs=1 if waiting is None else max(waiting.queued, 1),
                is_exact=waiting is not None and waiting.is_exact,
                free_slots=_free_slots(able or crews),
                seconds=part.quiet if able else part.waited,
                is_hopeless=not able,
                is_overdue=False,
                because=cause.text,
                remedy=cause.remedy,
                first_job=part.first_job,
            )
    overdue = stalls.find_overdue(connection, seconds)
    if overdue is not None:
        yield _of_overdue(connection, overdue)


def _judge(
    connection: AnyConnection, part: WaitingPart, seconds: float
) -> tuple[WaitingPart, list[Crew], Cause] | None:
    """Why a part stands still, with the workers that there are; None: it does not, or is busy."""
    crews = waits.list_crews(connection, part.part, part.task)
    able = [crew for crew in crews if crew.could_run_it]
    if not able:
        cause = _why_nobody(connection, part)
        return None if cause is None else (part, crews, cause)
    if part.quiet < seconds or not _free_slots(able):
        return None
    return part, crews, _why_not_claimed(connection, part)


def _free_slots(crews: list[Crew]) -> int:
    return sum(max(crew.slots - crew.jobs, 0) for crew in crews)


def _why_nobody(connection: AnyConnection, part: WaitingPart) -> Cause | None:
    """What keeps all workers away; None if the job is gone by now."""
    for reason in find_reasons(connection, part.first_job) or ():
        if reason.kind in _NOBODY:
            text, _, _ = str(reason).partition(": start")
            return Cause(text, _REMEDIES[reason.kind])
    return None


def _why_not_claimed(connection: AnyConnection, part: WaitingPart) -> Cause:
    if part.lane == QUARANTINE_LANE:
        return Cause(
            f"job {part.first_job} is to run alone, for workers have died under it, and no worker "
            "has been empty",
            f"`taskd jobs show {part.first_job}` tells of those deaths; let a worker run empty",
        )
    return _why_nothing_moves(connection)


def _why_nothing_moves(connection: AnyConnection) -> Cause:
    for blocker in stalls.find_blockers(connection):
        return _of_blocker(blocker)
    late = [host for host in hosts.list_hosts(connection) if host.beat_age > LATE_SECONDS]
    if late:
        told = ", ".join(f"{host.name} last beat {span(host.beat_age)} ago" for host in late)
        return Cause(told, "see whether it is stopped or overloaded, or cut from the database")
    return _UNKNOWN


def _of_blocker(blocker: Blocker) -> Cause:
    waiting = "a statement" if blocker.waiting == 1 else f"{blocker.waiting} statements"
    wait = "waits" if blocker.waiting == 1 else "wait"
    state = blocker.state or "of another role"
    lasting = "" if blocker.seconds is None else f", in a transaction for {span(blocker.seconds)}"
    return Cause(
        f"{waiting} of taskd {wait} for a lock that process {blocker.pid} of the database holds "
        f"({blocker.application or 'without a name'}, {state}{lasting})",
        f"end that transaction, or SELECT pg_terminate_backend({blocker.pid})",
    )


def _of_overdue(connection: AnyConnection, overdue: Overdue) -> Stall:
    alive = [h for h in hosts.list_hosts(connection) if h.beat_age < hosts.SILENT_SECONDS]
    if alive:
        cause = _why_nothing_moves(connection)
        if cause is _UNKNOWN:
            cause = Cause("no daemon lets them in", _UNKNOWN.remedy)
    else:
        cause = Cause("no daemon runs that would let them in", "start a daemon")
    return Stall(
        queue=overdue.queue,
        requires=None,
        jobs=1,
        is_exact=False,
        free_slots=0,
        seconds=overdue.seconds,
        is_hopeless=True,
        is_overdue=True,
        because=cause.text,
        remedy=cause.remedy,
        first_job=overdue.first_job,
    )
