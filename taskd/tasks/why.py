"""Finds every reason why a job waits: what is in its way, and whether anybody could run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from taskd.config.rates import format_rate
from taskd.config.units import span
from taskd.config.versions import written_part
from taskd.store import waits
from taskd.store.look import fetch_job
from taskd.store.needs import EXCLUSIVE, Whose
from taskd.store.resources import NOBODY, Holders, find_holders
from taskd.store.rows import JobRow, State
from taskd.store.waits import FIRST_TOLD, Crew, Stage, Standing
from taskd.tasks.reasons import (
    OtherJob,
    Reason,
    ReasonKind,
    ahead,
    described,
    held_by,
    jobs_of,
    listed,
    titled,
)

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

    Call = Callable[[AnyConnection, Sequence[str]], Mapping[str, str]]

QUARANTINE_LANE = 11
HOLDERS_SECONDS = 0.5
"""How long to look for holders that do not run; a page of all resources takes less."""

ALONE = ", and is to run alone in a worker, for workers have died under it"


def as_they_are(connection: AnyConnection, names: Sequence[str]) -> Mapping[str, str]:
    """Call resources and limits by their names."""
    return {name: name for name in names}


def find_reasons(
    connection: AnyConnection, job_id: int, call: Call = as_they_are
) -> list[Reason] | None:
    """Why a job waits, or in one reason that it does not; None if there is no such job.

    Everything that holds at one moment; a bounded look, however many jobs wait. `call` says what
    to call resources and limits.
    """
    with waits.one_moment(connection) as now:
        job = fetch_job(connection, job_id)
        return None if job is None else list(_reasons(connection, job, now, call))


def _reasons(connection: AnyConnection, job: JobRow, now: datetime, call: Call) -> Iterator[Reason]:
    if job.state.is_final:
        yield _ended(job, now)
        return
    if job.state.is_running:
        yield _running(job, now)
        return
    if job.state is State.SCHEDULED and job.run_at is not None:
        yield _scheduled(job, job.run_at, now)
    if job.state is State.BLOCKED and (stage := waits.find_stage(connection, job.id)):
        yield from _blocked(connection, job, stage, now, call)
    crews = waits.list_crews(connection, written_part(job.queue, job.requires), job.task)
    closed = list(_closed(connection, job, crews))
    yield from closed
    yield from _unknown_task(job, crews)
    if job.state is State.QUEUED and not closed:
        yield _turn(connection, job, crews)


def _ended(job: JobRow, now: datetime) -> Reason:
    ago = "" if job.finished_at is None else f" {span((now - job.finished_at).total_seconds())} ago"
    why = f": {job.error}" if job.error else ""
    return Reason(
        kind=ReasonKind.ENDED,
        text=f"does not wait: it {_ends(job.state)}{ago}{why}",
        at=job.finished_at,
    )


def _ends(state: State) -> str:
    return "was cancelled" if state is State.CANCELLED else str(state)


def _running(job: JobRow, now: datetime) -> Reason:
    where = f" in {job.worker}" if job.worker else ""
    since = "" if job.started_at is None else f" for {span((now - job.started_at).total_seconds())}"
    ends = ", and is to be cancelled" if job.state is State.CANCELLING else ""
    return Reason(
        kind=ReasonKind.RUNNING,
        text=f"does not wait: it runs{where}{since}{ends}",
        at=job.started_at,
    )


def _scheduled(job: JobRow, due: datetime, now: datetime) -> Reason:
    away = (due - now).total_seconds()
    when = f"{due.astimezone():%Y-%m-%d %H:%M:%S %z}"
    distance = f"in {span(away)}" if away > 0 else f"{span(-away)} ago; a daemon lets it in"
    if job.attempt == 0:
        return Reason(
            kind=ReasonKind.SCHEDULED, text=f"is scheduled for {when} ({distance})", at=due
        )
    attempt = f"attempt {job.attempt + 1} of at most {job.max_attempts}"
    text = f"pauses before {attempt}, until {when} ({distance})"
    return Reason(kind=ReasonKind.RETRY, text=text, at=due)


def _blocked(
    connection: AnyConnection, job: JobRow, stage: Stage, now: datetime, call: Call
) -> Iterator[Reason]:
    match stage.stage:
        case "p":
            yield _after_parents(connection, job, stage.pending, now)
        case "l" if lines := waits.list_lines_of(connection, job.id):
            used = {line.name: line.used for line in lines}
            held = find_holders(connection, used, FIRST_TOLD, HOLDERS_SECONDS)
            names = call(connection, [line.name for line in lines])
            for line in lines:
                called = replace(line, name=names[line.name])
                yield from _in_line(called, held.get(line.name, NOBODY), now)
        case _:
            called_so = call(connection, stage.resources)
            listing = ", ".join(titled(called_so[name]) for name in stage.resources)
            yield Reason(
                kind=ReasonKind.JOINING,
                text=f"is about to stand in line for {listing}; that takes moments, "
                "if a daemon runs",
            )


def _after_parents(connection: AnyConnection, job: JobRow, count: int, now: datetime) -> Reason:
    parents = tuple(
        OtherJob(id=one.id, task=one.task, state=one.state, since=one.since, worker=one.worker)
        for one in waits.list_parents(connection, job.id)
    )
    names = [described(parent, now) for parent in parents]
    noun = "job" if count == 1 else f"{count} jobs that have not ended:"
    return Reason(
        kind=ReasonKind.PARENTS,
        text=f"comes after {noun} {listed(names, count)}",
        jobs=parents,
        jobs_count=count,
    )


def _in_line(line: Standing, holders: Holders, now: datetime) -> Iterator[Reason]:
    """The reasons to stand in one line: one, or both of a limit's numbers."""
    is_full = line.units is not None and line.used + line.need > line.units
    if line.retry_at is not None or (line.rate is not None and not is_full):
        yield _rate(line, now)
    if line.rate is None or is_full:
        yield _held(line, holders, now)


def _held(line: Standing, holders: Holders, now: datetime) -> Reason:
    jobs = jobs_of(holders)
    who = held_by(holders, jobs, now)
    if line.units is None:
        kind = ReasonKind.RESOURCE
    else:
        kind = ReasonKind.CONCURRENCY if line.has_limit else ReasonKind.SHARE
    if kind is ReasonKind.SHARE:
        queue = line.name.removeprefix(Whose.QUEUE.limit(""))
        text = f"waits for its share's turn in queue {queue}: {line.units} are let in at once"
        who = who and f"their places are {who}"
    else:
        text = f"waits for {titled(line.name)} ({_wanted(line)})"
    return Reason(
        kind=kind,
        text=f"{text}{', ' if who else ''}{who}; {ahead(line.first, line.before)}",
        name=line.name,
        jobs=jobs,
        jobs_count=holders.found,
        before=tuple(line.first),
        before_count=line.before,
    )


def _wanted(line: Standing) -> str:
    """How much a job wants of a resource, or how much there is of it."""
    if line.units == 0:
        return "closed: its capacity is 0"
    if line.units is not None:
        return f"at most {line.units} at once"
    return "exclusive" if line.need == EXCLUSIVE else "shared"


def _rate(line: Standing, now: datetime) -> Reason:
    text = f"waits for {titled(line.name)} ({format_rate(line.rate or 0.0)})"
    if line.retry_at is not None:
        away = max((line.retry_at - now).total_seconds(), 0.0)
        text += f"; the next may begin in {span(away)}"
    return Reason(
        kind=ReasonKind.RATE,
        text=f"{text}; {ahead(line.first, line.before)}",
        name=line.name,
        before=tuple(line.first),
        before_count=line.before,
        at=line.retry_at,
    )


def _closed(connection: AnyConnection, job: JobRow, crews: list[Crew]) -> Iterator[Reason]:
    """What keeps every worker from claiming the job, whenever its turn comes."""
    if waits.is_paused(connection, job.queue):
        yield Reason(
            kind=ReasonKind.PAUSED,
            text=f"its queue {job.queue} is paused: `taskd queues resume {job.queue}` opens it",
            name=job.queue,
        )
    takers = [crew for crew in crews if crew.takes]
    if not crews:
        yield Reason(kind=ReasonKind.NO_WORKER, text="no worker lives: start a daemon")
    elif not takers:
        yield Reason(kind=ReasonKind.NO_POOL, text=_no_pool(job, crews), name=job.queue)
    elif not any(crew.offers for crew in takers):
        yield Reason(
            kind=ReasonKind.NO_VERSION,
            text=f"requires code {job.requires}, which no living worker of its queue "
            f"{job.queue} offers",
            name=job.requires,
        )


def _no_pool(job: JobRow, crews: list[Crew]) -> str:
    taken = dict.fromkeys(f"{crew.pool} on {crew.host}: {', '.join(crew.queues)}" for crew in crews)
    return f"no living worker takes its queue {job.queue} ({'; '.join(taken)})"


def _unknown_task(job: JobRow, crews: list[Crew]) -> Iterator[Reason]:
    able = [crew for crew in crews if crew.could_run_it]
    if able and not any(crew.knows for crew in able):
        yield Reason(
            kind=ReasonKind.NO_TASK,
            text=f"no living worker of its queue {job.queue} has the task {job.task}: one that "
            "takes it looks for a function of that path, and fails it if there is none",
            name=job.task,
        )


def _turn(connection: AnyConnection, job: JobRow, crews: list[Crew]) -> Reason:
    able = [crew for crew in crews if crew.could_run_it]
    turn = waits.find_turn(connection, job.id)
    first, before = (turn.first, turn.before) if turn else ([], 0)
    alone = "" if turn is None or turn.lane != QUARANTINE_LANE else ALONE
    return Reason(
        kind=ReasonKind.TURN,
        text=f"waits for nothing but its turn in {job.queue}: {ahead(first, before)}{alone}; "
        f"{_busy(able)}",
        name=job.queue,
        before=tuple(first),
        before_count=before,
    )


def _busy(crews: list[Crew]) -> str:
    """Say how much those have to do who take the queue."""
    workers, slots, jobs = (
        sum(count) for count in zip(*((c.workers, c.slots, c.jobs) for c in crews), strict=True)
    )
    take = "1 worker takes it" if workers == 1 else f"{workers} workers take it"
    return f"{take}, {slots} at once, with {'1 job' if jobs == 1 else f'{jobs} jobs'} in hand"
