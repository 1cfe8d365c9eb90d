"""What people have said of failures: acknowledged, muted, a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from taskd.store.failures import FailureGroup

AnyConnection = psycopg.Connection[Any]

ANY_TASK = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureMark:
    """What is said of a cause of one task, or of any (ANY_TASK)."""

    task: str
    cause: str
    acknowledged_at: datetime | None
    muted: bool
    note: str


def mark_failure(
    connection: AnyConnection,
    task: str,
    cause: str,
    *,
    acknowledged: bool | None = None,
    muted: bool | None = None,
    note: str | None = None,
) -> None:
    """Change what is said of a cause; None leaves as it is."""
    connection.execute(
        "SELECT taskd.mark_failure_v1(%s, %s, %s, %s, %s)", (task, cause, acknowledged, muted, note)
    )


def list_marks(connection: AnyConnection) -> dict[tuple[str, str], FailureMark]:
    """All that has been said, by task and cause."""
    with connection.cursor(row_factory=class_row(FailureMark)) as cursor:
        rows = cursor.execute(
            "SELECT m.task, m.cause, m.acknowledged_at, m.muted, m.note FROM taskd.failure_mark m"
        ).fetchall()
    return {(row.task, row.cause): row for row in rows}


def marked(group: FailureGroup, marks: Mapping[tuple[str, str], FailureMark]) -> dict[str, Any]:
    """A group with what is said of its cause for its task, or else for any task.

    is_acknowledged: nothing has failed so since somebody said that it is known.
    """
    mark = marks.get((group.task, group.cause)) or marks.get((ANY_TASK, group.cause))
    acknowledged_at = None if mark is None else mark.acknowledged_at
    return {
        **asdict(group),
        "acknowledged_at": acknowledged_at,
        "is_acknowledged": acknowledged_at is not None and acknowledged_at >= group.last_at,
        "muted": mark is not None and mark.muted,
        "note": "" if mark is None else mark.note,
    }


def prune_marks(connection: AnyConnection, keep_seconds: float) -> int:
    """Forget what was said longer ago, unless it is muted or has a note; how many."""
    return connection.execute(
        "DELETE FROM taskd.failure_mark m WHERE m.changed_at < now() - %s * interval '1 second' "
        "AND NOT m.muted AND m.note = ''",
        (keep_seconds,),
    ).rowcount
