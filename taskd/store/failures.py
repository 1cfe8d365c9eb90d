"""Failed jobs, grouped by what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

MOST_LOOKED_AT = 100_000
"""Failures that one look takes into account: a tenth of a second, all but the first.

Of a queue or a task it reads their rows as well, and takes longer.
"""

_FAILURES = """
SELECT * FROM taskd.failures_v1(
    %s, %s::text, %s::text, %s::integer, %s, %s::bigint, %s::bigint, %s::integer)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one task whose errors differ in numbers and quoted values alone.

    `sample_job` is the id of the youngest of them.
    """

    task: str
    cause: str
    count: int
    first_at: datetime
    last_at: datetime
    sample_job: int


class Failures(NamedTuple):
    """Groups of failures, and how many failures were looked at for them."""

    groups: list[FailureGroup]
    looked_at: int


def list_failures(
    connection: psycopg.Connection[Any],
    since: float,
    queue: str | None = None,
    task: str | None = None,
    limit: int = 50,
    most: int = MOST_LOOKED_AT,
    after: tuple[int, int] | None = None,
    requeued: bool = False,
) -> Failures:
    """Group what has failed in the last `since` seconds: at most `limit` groups, largest first.

    Looks at the `most` youngest failures, and leaves out those of them that were requeued unless
    told to count them, too. A page begins behind a group with the count and the sample job of
    `after`.
    """
    count, job = after or (None, None)
    parameters = (since, queue, task, most, requeued, count, job, limit)
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FAILURES, parameters).fetchall()
    looked_at = rows[0]["looked_at"] if rows else 0
    fields = FailureGroup.__slots__
    groups = [row for row in rows if row["task"] is not None]  # without any, one row says so
    return Failures(
        [FailureGroup(**{name: row[name] for name in fields}) for row in groups], looked_at
    )
