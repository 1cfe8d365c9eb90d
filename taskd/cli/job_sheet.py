"""All that is known of one job, as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from textwrap import indent

from taskd.cli.moments import distance, size, span, took
from taskd.cli.output import painted, printable
from taskd.store.log_rows import Progress
from taskd.store.rows import AttemptRow, JobRow

LABEL_WIDTH = 12
SHOWN_VALUE = 20_000
"""A longer argument or result is cut on the terminal; --json has all of it."""

LEAST_WAIT = 0.1
"""Seconds; whoever waited less did not wait."""


def job_lines(
    job: JobRow, attempts: Sequence[AttemptRow], progress: Progress | None, now: datetime
) -> Iterator[str]:
    """The job's fields, then its earlier attempts, then its last traceback."""
    for label, value in _fields(job, progress, now):
        if value:
            shown = painted(value) if label == "state" else printable(value)
            yield f"{label + ':':<{LABEL_WIDTH}}{shown}"
    for attempt in attempts:
        yield from _attempt_lines(attempt)
    if job.traceback:
        yield f"\nTraceback of attempt {job.attempt}:"
        yield indent(printable(job.traceback.rstrip()), "  ")


def percent(progress: Progress) -> str:
    """How far: `40 %`; 100 % only when it is all."""
    return f"{int(progress.fraction * 100 + 1e-9)} %"


def _fields(job: JobRow, progress: Progress | None, now: datetime) -> Iterator[tuple[str, str]]:
    yield "job", str(job.id)
    yield "task", job.task
    yield "queue", job.queue
    yield "requires", f"code {job.requires}" if job.requires else ""
    yield "state", job.state
    yield "priority", str(job.priority)
    yield "attempt", f"{job.attempt} of at most {job.max_attempts}"
    yield "timeout", "" if job.timeout is None else span(job.timeout)
    yield "lost", f"{job.losses} workers lost under it" if job.losses else ""
    yield "crashed", f"{job.crashes} workers killed because of it" if job.crashes else ""
    yield "args", _shown(job.args)
    yield "kwargs", _shown(job.kwargs) if job.kwargs else ""
    headers = job.extra.get("headers")
    yield "headers", _shown(headers) if headers else ""
    yield "schedule", job.extra.get("schedule", "")
    yield "created", _moment(job.created_at, now)
    yield "run at", _moment(job.run_at, now)
    yield "waited", _waited(job)
    yield "started", _moment(job.started_at, now)
    yield "finished", _moment(job.finished_at, now)
    yield "took", "" if job.finished_at is None else took(job.started_at, job.finished_at)
    yield "used", used(job.cpu_seconds, job.memory_growth)
    yield "worker", job.worker or ""
    yield "requeued", f"as job {job.requeued_as}" if job.requeued_as else ""
    yield "progress", "" if progress is None else _progress(progress, now)
    yield "result", "" if job.result is None else _shown(job.result)
    yield "error", job.error or ""


def used(cpu_seconds: float | None, memory_growth: int | None) -> str:
    """What an attempt has used of the processor, and by how much its process has grown."""
    cpu = "" if cpu_seconds is None else f"{span(cpu_seconds)} of CPU"
    if memory_growth is None or cpu_seconds is None:
        return cpu
    sign = "-" if memory_growth < 0 else "+"
    return f"{cpu}, {sign}{size(abs(memory_growth))} of memory"


def _waited(job: JobRow) -> str:
    """Say how long the job waited for what, if it was long enough to be noticed."""
    figures = (("resources", job.waited_for_resources), ("a worker", job.waited_for_worker))
    return ", ".join(
        f"{span(seconds)} for {what}"
        for what, seconds in figures
        if seconds is not None and seconds >= LEAST_WAIT
    )


def _progress(progress: Progress, now: datetime) -> str:
    parts = (percent(progress), progress.message, distance(progress.updated_at, now))
    return ", ".join(part for part in parts if part)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= SHOWN_VALUE:
        return text
    return f"{text[:SHOWN_VALUE]}… ({len(text)} characters; --json shows all)"


def _moment(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z} ({distance(moment, now)})"


def _attempt_lines(attempt: AttemptRow) -> Iterator[str]:
    lasted = took(attempt.started_at, attempt.ended_at)
    where = f" in {attempt.worker}" if attempt.worker else ""
    cost = used(attempt.cpu_seconds, attempt.memory_growth)
    cost = f" ({cost})" if cost else ""
    yield f"\nAttempt {attempt.number}: {attempt.outcome} after {lasted}{where}{cost}"
    if attempt.error and attempt.error not in (attempt.traceback or ""):
        yield indent(printable(attempt.error.rstrip()), "  ")
    if attempt.traceback:
        yield indent(printable(attempt.traceback.rstrip()), "  ")
