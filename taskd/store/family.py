"""The jobs that a job comes after, and those that come after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import psycopg

from taskd.store.literals import integer_array
from taskd.store.rows import State

AnyConnection = psycopg.Connection[Any]

MAX_ID = 2**63 - 1
MOST = 100
NEAR = 1000
"""A child that waits no more is found if it was enqueued so many jobs later at most."""

_NAMED = "SELECT j.id, j.task, j.state FROM taskd.job j WHERE j.id = ANY (%s::bigint[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A parent or child; task and state are None if its history has been dropped."""

    id: int
    task: str | None
    state: State | None


class Family(NamedTuple):
    """Parents and children of a job by id, at most MOST of each."""

    parents: list[Relative]
    children: list[Relative]


def find_family(connection: AnyConnection, job_id: int) -> Family:
    """Whom a job comes after, and who comes after it, as far as that is quickly found."""
    statement = files("taskd.store").joinpath("sql", "find_family.sql").read_text("utf-8")
    wanted = {"id": job_id, "most": MOST, "upto": min(job_id + NEAR, MAX_ID)}
    parents, children = connection.execute(statement.encode(), wanted).fetchone() or ([], [])
    return Family(_relatives(connection, parents), _relatives(connection, children))


def _relatives(connection: AnyConnection, ids: Sequence[int]) -> list[Relative]:
    if not ids:
        return []
    rows = connection.execute(_NAMED, (integer_array(ids),)).fetchall()
    known = {job_id: (task, State(state)) for job_id, task, state in rows}
    return [
        Relative(id=each, task=task, state=state)
        for each in ids
        for task, state in (known.get(each, (None, None)),)
    ]
