"""New jobs of every kind, in one transaction."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from taskd.store.graph import enqueue_graph
from taskd.store.jobs import AnyConnection, enqueue_jobs, enqueue_parts
from taskd.store.rows import NewGraph, NewJobs


def store_batches(connection: AnyConnection, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
    """Store them all or none; the ids in order. Blocks for a round trip a batch."""
    if len(batches) > 1 and connection.autocommit:
        with connection.transaction():
            return [job_id for batch in batches for job_id in _store(connection, batch)]
    # Otherwise a transaction is open or this begins one, and its owner ends it.
    return [job_id for batch in batches for job_id in _store(connection, batch)]


def store_parts(connection: AnyConnection, parts: Iterable[NewJobs]) -> Generator[list[int]]:
    """Store jobs in a transaction that its owner ends; the ids of each part, in order.

    A part is asked for, and the ids of the one before are handed out, while the server stores
    another. Whoever does not read on closes it.
    """
    return enqueue_parts(connection, (part.in_a_callers_transaction() for part in parts))


def _store(connection: AnyConnection, batch: NewJobs | NewGraph) -> list[int]:
    if isinstance(batch, NewGraph):
        return enqueue_graph(connection, batch)
    return enqueue_jobs(connection, batch)
