"""Calls on their way into the store: checked, encoded, and sent in as few statements as may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from taskd.errors import ArgumentsMismatch, NotJson, TooLarge
from taskd.store.rows import NewGraph, NewJob, NewJobs
from taskd.tasks.arguments import encode_call, encode_together
from taskd.tasks.batches import (
    MAX_STATEMENT_JOBS,
    Encoded,
    graph_batches,
    is_plain,
    new_job,
    plain_batches,
)
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.needs import NO_NEEDS, NOTHING, JobNeeds
from taskd.tasks.options import DEFAULTS, Defaults, Placement, defaults_offered
from taskd.tasks.signature import CallShape

if TYPE_CHECKING:
    from taskd.store.job_transaction import CallersConnection
    from taskd.tasks.hooks.new_call import NewCall
    from taskd.tasks.job import Job

PART_JOBS = 1_000
"""Of more plain jobs the first statement has so many: while it is carried out the next ones are
encoded, twice as many each time, as far as a statement may go. So few round trips are made."""

TOGETHER = 100
"""How many calls are encoded as one text: more save nothing, and take more memory."""


class Call(NamedTuple):
    """The arguments of one call."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]


class PositionalCalls(Sequence[Call]):
    """Calls without keywords, made when they are asked for.

    Python's collector of garbage would stop for thousands that are there at once.
    """

    def __init__(self, arguments: list[Sequence[Any]]) -> None:
        self._arguments = arguments

    def __len__(self) -> int:
        return len(self._arguments)

    @overload
    def __getitem__(self, at: int) -> Call: ...
    @overload
    def __getitem__(self, at: slice) -> list[Call]: ...
    def __getitem__(self, at: int | slice) -> Call | list[Call]:
        if isinstance(at, slice):
            return [Call(args, {}) for args in self._arguments[at]]
        return Call(self._arguments[at], {})


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be called: its name, its options, and what it takes.

    Without a shape the name is all that is known here, or what a daemon has published: `offered` is
    what the function takes there. Only the keys of unique jobs go by it: the call may be meant for
    code that is newer.
    """

    name: str
    defaults: Defaults = DEFAULTS
    shape: CallShape | None = None
    offered: CallShape | None = None

    def with_offer(self, offer: Mapping[str, Any]) -> Target:
        """The same with what a daemon has published of it, as `describe_tasks` has it."""
        parameters = offer.get("parameters")
        offered = None if parameters is None else CallShape.described(self.name, parameters)
        return replace(self, defaults=defaults_offered(offer), offered=offered)

    def keys(self, placement: Placement, calls: Sequence[Call]) -> list[str] | None:
        """The unique key of each call; None if they have none. Raises as `Uniqueness.keys`."""
        if placement.unique is None:
            return None
        return placement.unique.keys(self.name, self.shape or self.offered, calls)

    def needs(self, placement: Placement, calls: Sequence[Call]) -> list[JobNeeds] | None:
        """What each call needs; None if nothing is said of it. Raises as `Needs.of_calls`."""
        return placement.needs.of_calls(self.name, self.shape or self.offered, calls)


def store_calls(
    target: Target,
    calls: Sequence[Call],
    placement: Placement,
    connection: CallersConnection | None,
) -> list[Job[Any]]:
    """Store calls as jobs, all or none; handles on them, in order.

    A statement takes thousands. With a connection of the caller's they join its transaction.
    Raises ArgumentsMismatch, NotJson and TooLarge, on a caller's connection before anything is
    stored; ConnectionUnfit, DatabaseError, or what psycopg raises on the caller's connection. What
    middleware raises comes out as it is, and nothing is stored.
    """
    if not hooks.around_enqueue:
        return _store_alike(target, calls, placement, connection)
    from taskd.tasks.hooks.enqueueing import store_through_middleware
    from taskd.tasks.hooks.new_call import NewCall

    new = [
        NewCall(target=target, args=args, kwargs=kwargs, placement=placement)
        for args, kwargs in calls
    ]
    return store_through_middleware(new, connection, _store_each)


def _store_each(calls: Sequence[NewCall], connection: CallersConnection | None) -> list[Job[Any]]:
    """Store calls that middleware may have made different from each other."""
    if not calls:
        return []
    first = calls[0]
    if all(one.placement == first.placement and one.headers == first.headers for one in calls):
        plain = [Call(one.args, one.kwargs) for one in calls]
        return _store_alike(first.target, plain, first.full_placement, connection)
    jobs = [as_new_job(one) for one in calls]
    return store_batches(list(graph_batches(jobs)), connection)


def as_new_job(new: NewCall) -> NewJob:
    """A call as a job of a graph. Raises ArgumentsMismatch, NotJson and TooLarge."""
    from taskd.tasks.client import default_client

    target, placement = new.target, new.full_placement
    call = Call(new.args, new.kwargs)
    encoded = encode_calls(target, [call], default_client().max_args)
    (job,) = _graph_jobs(target, [call], placement, encoded)
    return job


def _store_alike(
    target: Target,
    calls: Sequence[Call],
    placement: Placement,
    connection: CallersConnection | None,
) -> list[Job[Any]]:
    """Store calls of one task that have their options in common."""
    from taskd.tasks.client import default_client

    limit = default_client().max_args
    if connection is None and len(calls) > PART_JOBS and is_plain(placement):
        return default_client().store_parts(_parts(target, calls, placement, limit), _handles)
    return store_batches(batches_alike(target, calls, placement, limit), connection)


def _parts(
    target: Target, calls: Sequence[Call], placement: Placement, limit: int
) -> Iterator[NewJobs]:
    """Calls of plain jobs, encoded a part at a time, when it is asked for."""
    first, size = 0, PART_JOBS
    while first < len(calls):
        encoded = _encode(target, calls[first : first + size], limit, first)
        yield from plain_batches(target.name, placement, encoded, None)
        first, size = first + size, min(2 * size, MAX_STATEMENT_JOBS)


def batches_alike(
    target: Target, calls: Sequence[Call], placement: Placement, limit: int
) -> list[NewJobs | NewGraph]:
    """Calls of one task with the same options, as the store takes them; `limit` is in bytes a call.

    Raises ArgumentsMismatch, NotJson, TooLarge and OptionInvalid.
    """
    encoded = encode_calls(target, calls, limit)
    if placement.after or placement.needs != NO_NEEDS:
        return list(graph_batches(_graph_jobs(target, calls, placement, encoded)))
    keys = target.keys(placement, calls)
    return list(plain_batches(target.name, placement, encoded, keys))


def _graph_jobs(
    target: Target, calls: Sequence[Call], placement: Placement, encoded: Sequence[Encoded]
) -> list[NewJob]:
    """Calls as jobs of a graph, which none of them depends on another in."""
    keys = target.keys(placement, calls)
    needs = target.needs(placement, calls) or [NOTHING] * len(calls)
    return [
        new_job(target.name, one, placement, None if keys is None else keys[i], needs[i])
        for i, one in enumerate(encoded)
    ]


def store_batches(
    batches: Sequence[NewJobs | NewGraph], connection: CallersConnection | None
) -> list[Job[Any]]:
    """Store new jobs, all or none; handles on them, in order. Raises DatabaseError and others."""
    from taskd.tasks.client import default_client

    client = default_client()
    if connection is None:
        return _handles(client.store(batches))
    batches = [batch.in_a_callers_transaction() for batch in batches]
    return _handles(client.store_on(connection, batches))


def _handles(ids: list[int]) -> list[Job[Any]]:
    from taskd.tasks.job import Job

    return [Job(abs(job_id), is_new=job_id > 0) for job_id in ids]


def encode_calls(target: Target, calls: Sequence[Call], limit: int) -> list[Encoded]:
    """Give each call's arguments and keywords as JSON; of several calls a fault names its item.

    Raises ArgumentsMismatch, NotJson and TooLarge; `limit` is in bytes a call.
    """
    if len(calls) == 1:
        return [_encode_one(target, calls[0], limit)]
    return _encode(target, calls, limit)


def _encode(target: Target, calls: Sequence[Call], limit: int, first: int = 0) -> list[Encoded]:
    """As `encode_calls`, of calls whose first one is item `first`."""
    encoded: list[Encoded] = []
    for start in range(0, len(calls), TOGETHER):
        some = calls[start : start + TOGETHER]
        encoded += _encode_together(target, some, limit) or _encode_each(
            target, some, limit, first + start
        )
    return encoded


def _encode_together(target: Target, calls: Sequence[Call], limit: int) -> list[Encoded] | None:
    """The fast path; None if each must be looked at by itself."""
    args, kwargs = zip(*calls, strict=True)
    if any(kwargs) or not (target.shape is None or target.shape.fits_each(args)):
        return None
    texts = encode_together(args, limit)
    return None if texts is None else [(text, None) for text in texts]


def _encode_each(target: Target, calls: Sequence[Call], limit: int, first: int) -> list[Encoded]:
    encoded = []
    for index, call in enumerate(calls, first):
        try:
            encoded.append(_encode_one(target, call, limit))
        except (ArgumentsMismatch, NotJson, TooLarge) as fault:
            fault.args = (f"item {index}: {fault}",)
            raise
    return encoded


def _encode_one(target: Target, call: Call, limit: int) -> Encoded:
    args, kwargs = call
    if target.shape is not None:
        target.shape.check(args, kwargs)
    return encode_call(args, kwargs, limit)
