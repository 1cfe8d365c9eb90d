"""Asks a running worker what grows in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taskd.store import questions
from taskd.store.questions import HEAP, WorkerName
from taskd.tasks.stacks import wait_for_answers

if TYPE_CHECKING:
    from taskd.store.jobs import AnyConnection

PATIENCE_SECONDS = 60.0


def heap_of_workers(
    connection: AnyConnection, pool: str, slot: int | None, seconds: float
) -> list[dict[str, Any]]:
    """What grows in workers within so many seconds: of one, or of all of a pool; on all hosts.

    Blocks for so long, and as long as the counting takes. Each: worker, note (what hindered an
    answer, "" if nothing did), seconds, blocks_before, blocks_after (of Python's allocator),
    longest_stop (seconds of its thread's time that the worker was held up at most), types and
    containers (type, name, before, after), the most grown first.
    """
    workers = [
        one
        for one in questions.list_named_workers(connection)
        if one.pool == pool and slot in (None, one.slot)
    ]
    return ask_heaps(connection, workers, seconds)


def ask_heaps(
    connection: AnyConnection,
    workers: Sequence[WorkerName],
    seconds: float,
    patience: float = PATIENCE_SECONDS,
) -> list[dict[str, Any]]:
    """The same of these workers; waits for `patience` seconds more, no longer."""
    told = wait_for_answers(connection, HEAP, workers, seconds, seconds + patience)
    return [
        {"worker": str(one), **({"note": "does not answer"} if said is None else said)}
        for one, said in zip(workers, told, strict=True)
    ]
