"""Resources and limits: what is held of each, by whom, and who stands in line.

The job that holds a resource may run, or wait: for other resources, for a worker, or through the
pause before a retry. Nothing leads from a resource to those that wait but a look at all of them,
which is given little time; what is not found then is told as units alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import errors
from psycopg.rows import class_row

from taskd.clock import monotonic
from taskd.store.literals import text_array
from taskd.store.waits import MOST_COUNTED

AnyConnection = psycopg.Connection[Any]

LOOK_SECONDS = 0.12
"""How long to look for holders that do not run: those are few, and found whatever it takes."""

_STATES = ("queued", "scheduled", "blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A job that holds `need` units; since: how long it is in that state, as far as is known."""

    id: int
    task: str
    state: str
    need: int
    since: datetime | None
    worker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who holds a resource: the first of them, running ones first, and how many were found.

    `hidden` units are held by jobs that were not found in time, or have just been let go.
    """

    first: tuple[Holder, ...] = ()
    found: int = 0
    hidden: int = 0


NOBODY = Holders()


class ResourceKey(NamedTuple):
    """Whether somebody waits for a resource, and its name."""

    waits: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceRow:
    """A resource or limit; `used` of `units` (None: any number) are held.

    `rate` is per second, and `retry_at` when it lets the next begin, if it is that which they wait
    for. `waiting` jobs stand in line (counted up to MOST_COUNTED), `first` of them in front, the
    first one since `since`.
    """

    name: str
    used: int
    units: int | None
    rate: float | None
    burst: int | None
    is_declared: bool
    retry_at: datetime | None
    waiting: int
    first: list[int]
    since: datetime | None

    @property
    def key(self) -> ResourceKey:
        """Where it stands in the list of all."""
        return ResourceKey(self.waiting > 0, self.name)


def list_declared(connection: AnyConnection, names: Sequence[str]) -> list[str]:
    """Those of these limits that a daemon's file has."""
    rows = connection.execute(
        "SELECT c.name FROM taskd.capacity c WHERE c.is_declared AND c.name = ANY (%s::text[])",
        (text_array(names),),
    ).fetchall()
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class InLine:
    """A job that stands in a line, and since when it waits."""

    id: int
    task: str | None
    need: int
    since: datetime | None


def list_resources(
    connection: AnyConnection,
    names: Sequence[str] | None,
    limit: int,
    first: int,
    after: ResourceKey | None = None,
) -> list[ResourceRow]:
    """What is held, waited for or declared, waited-for ones first; `names`: these alone.

    A page of at most `limit`, from behind the one with the key `after`.
    """
    waits, name = after or (None, None)
    with connection.cursor(row_factory=class_row(ResourceRow)) as cursor:
        return cursor.execute(
            "SELECT name, used, units, rate, burst, is_declared, retry_at, waiting, first, since "
            "FROM taskd.resources_v1(%s::text[], %s, %s, %s, %s, %s)",
            (
                None if names is None else text_array(names),
                waits,
                name,
                limit,
                MOST_COUNTED,
                first,
            ),
        ).fetchall()


def list_line(connection: AnyConnection, name: str, after: int | None, limit: int) -> list[InLine]:
    """A page of a line in its order: from its front, or from behind the job `after`."""
    with connection.cursor(row_factory=class_row(InLine)) as cursor:
        return cursor.execute(
            "SELECT id, task, need, since FROM taskd.line_page_v1(%s, %s, %s)",
            (name, after, limit),
        ).fetchall()


def find_holders(
    connection: AnyConnection,
    used: Mapping[str, int],
    first: int,
    seconds: float = LOOK_SECONDS,
) -> dict[str, Holders]:
    """Who holds these resources, of each at most `first` jobs; `used` units of each are held.

    Must be called in a transaction. Looks at running jobs, and then for `seconds` in all at
    others, the queued ones first, until all units are found.
    """
    found = {name: NOBODY for name, units in used.items() if units > 0}
    hidden = {name: used[name] for name in found}

    def look(state: str, rest: float | None) -> None:
        names = [name for name, units in hidden.items() if units > 0]
        for name, holders, units in _look(connection, state, names, first, rest):
            hidden[name] -= units
            found[name] = _joined(found[name], holders, first)

    look("running", None)
    until = monotonic() + seconds
    for number, state in enumerate(_STATES):
        rest = (until - monotonic()) / (len(_STATES) - number)
        if rest <= 0 or not any(units > 0 for units in hidden.values()):
            break
        look(state, rest)
    return {
        name: Holders(first=one.first, found=one.found, hidden=max(hidden[name], 0))
        for name, one in found.items()
    }


def _joined(some: Holders, more: Holders, first: int) -> Holders:
    return Holders(first=(some.first + more.first)[:first], found=some.found + more.found)


def _look(
    connection: AnyConnection, state: str, names: Sequence[str], first: int, seconds: float | None
) -> list[tuple[str, Holders, int]]:
    """Of each resource its holders in one state, and the units that they hold; or none, in time.

    `seconds` None: however long it takes.
    """
    if not names:
        return []
    try:
        with connection.transaction() as part:
            if seconds is not None:
                connection.execute("SELECT taskd.limit_statements_v1(%s)", (max(seconds, 0.001),))
            rows = connection.execute(
                "SELECT name, id, task, need, since, worker, holders, units "
                "FROM taskd.holders_v1(%s, %s::text[], %s)",
                (state, text_array(names), first),
            ).fetchall()
            raise psycopg.Rollback(part)  # which also takes the timeout back
    except errors.QueryCanceled:
        return []
    return list(_by_name(state, rows))


def _by_name(state: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, Holders, int]]:
    names = dict.fromkeys(row[0] for row in rows)
    for name in names:
        own = [row for row in rows if row[0] == name]
        first = tuple(
            Holder(id=job, task=task, state=state, need=need, since=since, worker=worker)
            for _, job, task, need, since, worker, _, _ in own
        )
        *_, found, units = own[0]
        yield name, Holders(first=first, found=found), int(units)
