"""New jobs of every kind, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from taskd.store.graph import enqueue_graph
from taskd.store.jobs import AnyConnection, enqueue_jobs
from taskd.store.rows import NewGraph, NewJobs


def store_batches(connection: AnyConnection, batches: Sequence[NewJobs | NewGraph]) -> list[int]:
    """Store them all or none; the ids in order. Blocks for a round trip a batch."""
    if len(batches) > 1 and connection.autocommit:
        with connection.transaction():
            return [job_id for batch in batches for job_id in _store(connection, batch)]
    # Otherwise a transaction is open or this begins one, and its owner ends it.
    return [job_id for batch in batches for job_id in _store(connection, batch)]


def _store(connection: AnyConnection, batch: NewJobs | NewGraph) -> list[int]:
    if isinstance(batch, NewGraph):
        return enqueue_graph(connection, batch)
    return enqueue_jobs(connection, batch)
