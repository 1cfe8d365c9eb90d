"""Encoded calls as the store takes them, in as few statements as may be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from taskd.store.rows import NewGraph, NewJob, NewJobs
from taskd.tasks.context import running_id
from taskd.tasks.needs import NO_NEEDS, NOTHING, JobNeeds
from taskd.tasks.options import Placement

MAX_STATEMENT_JOBS = 10_000
MAX_STATEMENT_CHARACTERS = 16 * 1024**2

Encoded = tuple[str, str | None]
"""The arguments and keywords of a call as JSON."""


def is_plain(placement: Placement) -> bool:
    """Whether jobs wait for nothing but a worker, and none is another's stand-in."""
    return not placement.after and placement.needs == NO_NEEDS and placement.unique is None


def plain_batches(
    name: str, placement: Placement, encoded: Sequence[Encoded], keys: list[str] | None
) -> Iterator[NewJobs]:
    """Calls with the same options, of jobs that wait for nothing but a worker."""
    rest = iter(encoded)
    rest_of_keys = iter(keys or ())
    for count in split(map(_size, encoded)):
        args, kwargs = zip(*islice(rest, count), strict=True)
        unique = None
        if keys is not None and placement.unique is not None:
            unique = placement.unique.to_json(list(islice(rest_of_keys, count)), running_id())
        yield NewJobs(
            task=name,
            args=list(args),
            kwargs=list(kwargs),
            queue=placement.queue,
            priority=placement.priority,
            delay=placement.delay,
            run_at=placement.run_at,
            max_attempts=1 + placement.retries,
            timeout=placement.timeout,
            extra=json.dumps(placement.extra) if placement.extra else None,
            unique=unique,
        )


def graph_batches(jobs: Sequence[NewJob]) -> Iterator[NewGraph]:
    """Jobs that do not depend on each other."""
    rest = iter(jobs)
    sizes = (_size((one.args, one.kwargs)) + sum(map(len, one.res)) for one in jobs)
    for count in split(sizes):
        yield NewGraph(tuple(islice(rest, count)), self_id=running_id())


def new_job(
    name: str,
    encoded: Encoded,
    placement: Placement,
    key: str | None = None,
    needs: JobNeeds = NOTHING,
) -> NewJob:
    """One job of a graph, as the store takes it."""
    args, kwargs = encoded
    unique = placement.unique
    return NewJob(
        task=name,
        args=args,
        kwargs=kwargs,
        queue=placement.queue,
        priority=placement.priority,
        delay=placement.delay,
        run_at=placement.run_at,
        max_attempts=1 + placement.retries,
        timeout=placement.timeout,
        extra={**placement.extra, **needs.extra} or None,
        key=key,
        until=None if unique is None else unique.until,
        on_conflict=None if unique is None else unique.on_conflict,
        run_if_failed=placement.run_if_failed,
        parents=placement.after,
        res=needs.res,
        need=needs.need,
        limits=needs.limits,
    )


def split(sizes: Iterator[int]) -> Iterator[int]:
    """How many of what is so large go into each statement, in order."""
    count, room = 0, MAX_STATEMENT_CHARACTERS
    for size in sizes:
        if count and (count == MAX_STATEMENT_JOBS or size > room):
            yield count
            count, room = 0, MAX_STATEMENT_CHARACTERS
        count += 1
        room -= size
    if count:
        yield count


def _size(encoded: Encoded) -> int:
    return len(encoded[0]) + len(encoded[1] or "")
