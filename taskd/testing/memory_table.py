"""The jobs of one test and what becomes of them: a database's rules, without the database.

Keys, dependencies and order are those of the store; delays and pauses count as over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from taskd.errors import ParentUnknown
from taskd.store.rows import NewJob, State
from taskd.tasks.context import running_id
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
from taskd.testing.memory_job import MemoryJob


class MemoryTable:
    """Jobs by their ids, which count from 1 in the order in which they were enqueued."""

    def __init__(self) -> None:
        self.jobs: dict[int, MemoryJob] = {}
        self._unfinished: dict[int, MemoryJob] = {}
        self._keys: dict[str, int] = {}

    def add(self, new: Sequence[NewJob]) -> list[int]:
        """Keep new jobs; their ids, or of the job that holds the key of one its id, negative.

        Raises ParentUnknown before any is kept.
        """
        self._check_parents(new)
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
            job = MemoryJob(len(self.jobs) + 1, one, parents=parents)
            self.jobs[job.id] = self._unfinished[job.id] = job
            if one.key is not None:
                self._keys[one.key] = job.id
            ids.append(job.id)
        return ids

    def _check_parents(self, new: Sequence[NewJob]) -> None:
        named = {parent for one in new for parent in one.parents if parent > 0}
        if unknown := sorted(named - self.jobs.keys()):
            raise ParentUnknown(f"no such job: {', '.join(map(str, unknown[:10]))}")

    def _holder(self, new: NewJob) -> MemoryJob | None:
        """The job that holds its unique key, if one does; no time passes, so a window stays."""
        holder = self.jobs.get(self._keys.get(new.key or "", 0))
        if holder is None or holder.id == running_id():
            return None
        match holder.new.until:
            case "started":
                is_free = holder.has_begun or holder.state.is_final
            case "finished":
                is_free = holder.state.is_final
            case _:
                is_free = False
        return None if is_free else holder

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Forget what the block has added, and replaced in jobs that wait, if it raises."""
        before = dict(self.jobs), dict(self._unfinished), dict(self._keys)
        as_enqueued = {job.id: job.new for job in self.jobs.values()}
        try:
            yield
        except BaseException:
            self.jobs, self._unfinished, self._keys = before
            for job_id, new in as_enqueued.items():
                self.jobs[job_id].new = new
            raise

    def cancel(self, job_id: int) -> str:
        """End a job that waits: "cancelled", "ended" (before) or "unknown"."""
        job = self.jobs.get(job_id)
        if job is None or job.state.is_final:
            return "unknown" if job is None else "ended"
        job.state, job.error = State.CANCELLED, "cancelled"
        return "cancelled"

    def requeue(self, job_ids: Sequence[int]) -> dict[int, int]:
        """Add ended jobs once more; the new id of each that has ended."""
        ended = [i for i in job_ids if i in self.jobs and self.jobs[i].state.is_final]
        for i in ended:
            again = replace(
                self.jobs[i].new, key=None, parents=()
            )  # it can still read their results
            self.jobs[i].requeued_as = self.add([again])[0]
        return {i: self.jobs[i].requeued_as or 0 for i in ended}

    def next(self) -> MemoryJob | None:
        """The most urgent job that waits for nothing; those that wait in vain end on the way."""
        ready = [job for job in list(self._unfinished.values()) if self._may_start(job)]
        return max(ready, key=lambda job: (job.new.priority, -job.id), default=None)

    def _may_start(self, job: MemoryJob) -> bool:
        if job.state.is_final:
            del self._unfinished[job.id]
            return False
        if self._is_blocked(job):
            return False
        if job.new.run_if_failed or all(p.state is State.SUCCEEDED for p in self._parents(job)):
            return True
        job.state, job.error = State.CANCELLED, "a job that it came after did not succeed"
        return False

    def _is_blocked(self, job: MemoryJob) -> bool:
        """Whether it waits for others; resources are never short here."""
        return not all(parent.state.is_final for parent in self._parents(job))

    def _parents(self, job: MemoryJob) -> list[MemoryJob]:
        return [self.jobs[parent] for parent in job.parents if parent in self.jobs]


def take_in(job: MemoryJob, outcome: Outcome) -> None:
    """Record how an attempt of a job has ended."""
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
            job.attempt -= 1
        case Stored():
            job.state = State.SUCCEEDED


def _change(holder: MemoryJob, new: NewJob) -> None:
    """What a second enqueue does to the job that holds its key, if that waits, also to retry."""
    if new.on_conflict == "replace" and holder.state is State.QUEUED:
        holder.new = replace(holder.new, args=new.args, kwargs=new.kwargs)
