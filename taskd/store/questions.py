"""Questions to running workers, and their answers; see 21_questions.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import class_row

from taskd.store.hosts import SILENT_SECONDS
from taskd.store.literals import integer_array

AnyConnection = psycopg.Connection[Any]

STACKS, HEAP = "stacks", "heap"
KINDS = (STACKS, HEAP)

_WORKERS = """
SELECT w.id, w.pool, w.slot, w.pid, h.name AS host,
       h.beat_at < clock_timestamp() - %s * interval '1 second' AS is_silent
FROM taskd.worker w
JOIN taskd.host h ON h.id = w.host
WHERE w.ended_at IS NULL AND h.ended_at IS NULL
ORDER BY h.name, h.id, w.pool, w.slot
"""


class Question(NamedTuple):
    """What a worker is asked: "stacks", or "heap" for so many seconds."""

    id: int
    kind: str
    worker: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerName:
    """A worker that lives, as people know it; is_silent: its host was not heard of for a while."""

    id: int
    pool: str
    slot: int
    pid: int
    host: str
    is_silent: bool

    def __str__(self) -> str:
        return f"{self.pool}/{self.slot} on {self.host}, pid {self.pid}"


def list_named_workers(connection: AnyConnection) -> list[WorkerName]:
    """The workers that live, by host, pool and slot."""
    with connection.cursor(row_factory=class_row(WorkerName)) as cursor:
        return cursor.execute(_WORKERS, (SILENT_SECONDS,)).fetchall()


def find_worker_of(connection: AnyConnection, job: int) -> int | None:
    """The worker that has a job in its hands; None if none has."""
    row = connection.execute("SELECT worker FROM taskd.running WHERE id = %s", (job,)).fetchone()
    return None if row is None else int(row[0])


def ask_workers(
    connection: AnyConnection, kind: str, workers: Sequence[int], seconds: float = 0.0
) -> list[int]:
    """Ask workers; the ids of the questions, in the order of the workers."""
    row = connection.execute(
        "SELECT taskd.ask_workers_v1(%s, %s::bigint[], %s::real)",
        (kind, integer_array(workers), seconds),
    ).fetchone()
    return list(row[0] or []) if row else []


def take_questions(connection: AnyConnection, workers: Sequence[int]) -> list[Question]:
    """The questions to these workers that nobody has taken yet."""
    rows = connection.execute(
        "SELECT id, kind, worker, coalesce(seconds, 0) FROM taskd.take_questions_v1(%s::bigint[])",
        (integer_array(workers),),
    ).fetchall()
    return [Question(*row) for row in rows]


def answer_questions(connection: AnyConnection, questions: Sequence[int], said: str) -> None:
    """Answer some questions with the same words, a JSON text."""
    connection.execute("SELECT taskd.answer_v1(%s::bigint[], %s)", (integer_array(questions), said))


def fetch_answers(connection: AnyConnection, questions: Sequence[int]) -> dict[int, str]:
    """What has been answered so far, by the question's id."""
    rows = connection.execute(
        "SELECT request, said FROM taskd.answer WHERE request = ANY (%s::bigint[])",
        (integer_array(questions),),
    ).fetchall()
    return dict(rows)


def forget_questions(connection: AnyConnection, questions: Sequence[int]) -> None:
    """Nobody waits any more: delete questions that were not answered, and what was answered."""
    asked = integer_array(questions)
    # In this order: an answer that is being written is waited for, and deleted as well.
    connection.execute("DELETE FROM taskd.request WHERE id = ANY (%s::bigint[])", (asked,))
    connection.execute("DELETE FROM taskd.answer WHERE request = ANY (%s::bigint[])", (asked,))
