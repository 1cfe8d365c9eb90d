"""Calls on their way into the store: checked, encoded, and sent in as few statements as may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from taskd.errors import ArgumentsMismatch, NotJson, TooLarge
from taskd.store.rows import NewJobs
from taskd.tasks.arguments import encode_call
from taskd.tasks.options import DEFAULTS, Defaults, Placement
from taskd.tasks.signature import CallShape

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection
    from taskd.tasks.job import Job

MAX_STATEMENT_JOBS = 10_000
MAX_STATEMENT_CHARACTERS = 16 * 1024**2


class Call(NamedTuple):
    """The arguments of one call."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be called: its name, its options, and what it takes.

    Without a shape the name is all that is known here.
    """

    name: str
    defaults: Defaults = DEFAULTS
    shape: CallShape | None = None


def store_calls(
    target: Target,
    calls: Sequence[Call],
    placement: Placement,
    connection: AnyConnection | None,
) -> list[Job[Any]]:
    """Store calls as jobs, all or none; handles on them, in order.

    A statement takes thousands. With a connection of the caller's they join its transaction.
    Raises ArgumentsMismatch, NotJson and TooLarge before anything is stored; then ConnectionUnfit,
    DatabaseError, or what psycopg raises on the caller's connection.
    """
    from taskd.tasks.client import default_client
    from taskd.tasks.job import Job

    client = default_client()
    encoded = encode_calls(target, calls, client.max_args)
    always_notify = connection is not None
    batches = [
        _new_jobs(target.name, placement, part, always_notify) for part in split_calls(encoded)
    ]
    ids = client.store(batches) if connection is None else client.store_on(connection, batches)
    return [Job(job_id) for job_id in ids]


def encode_calls(target: Target, calls: Sequence[Call], limit: int) -> list[tuple[str, str | None]]:
    """Give each call's arguments and keywords as JSON; of several calls a fault names its item.

    Raises ArgumentsMismatch, NotJson and TooLarge; `limit` is in bytes a call.
    """
    encoded = []
    for index, (args, kwargs) in enumerate(calls):
        try:
            if target.shape is not None:
                target.shape.check(args, kwargs)
            encoded.append(encode_call(args, kwargs, limit))
        except (ArgumentsMismatch, NotJson, TooLarge) as fault:
            if len(calls) > 1:
                fault.args = (f"item {index}: {fault}",)
            raise
    return encoded


def split_calls(encoded: list[tuple[str, str | None]]) -> Iterator[list[tuple[str, str | None]]]:
    """Cut into parts that one statement each can take."""
    part: list[tuple[str, str | None]] = []
    room = MAX_STATEMENT_CHARACTERS
    for args, kwargs in encoded:
        size = len(args) + len(kwargs or "")
        if part and (len(part) == MAX_STATEMENT_JOBS or size > room):
            yield part
            part, room = [], MAX_STATEMENT_CHARACTERS
        part.append((args, kwargs))
        room -= size
    if part:
        yield part


def _new_jobs(
    name: str,
    placement: Placement,
    encoded: Iterable[tuple[str, str | None]],
    always_notify: bool,
) -> NewJobs:
    args, kwargs = zip(*encoded, strict=True)
    return NewJobs(
        task=name,
        args=list(args),
        kwargs=list(kwargs),
        queue=placement.queue,
        priority=placement.priority,
        delay=placement.delay,
        run_at=placement.run_at,
        max_attempts=1 + placement.retries,
        timeout=placement.timeout,
        always_notify=always_notify,
    )
