"""The ids of the newest jobs that match, without looking at all the others.

The view of all jobs can be read in the order of ids only by its branches, each from its own index
on id. So each state is asked by itself, and the answers are put together here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, LiteralString, NamedTuple

import psycopg

from taskd.store.filters import also, conditions, days, since_about
from taskd.store.rows import JobFilter, State
from taskd.store.waits import one_moment

MOST_LOOKED_AT = 20_000
MOST_PARSED = 4_000
"""Jobs of each state that a page looks at; fewer where it takes long to see what matches."""

_RUNNING = frozenset({State.RUNNING, State.CANCELLING})


class _Branch(NamedTuple):
    """Where jobs in some states are, newest first by an index."""

    states: frozenset[State]
    source: LiteralString
    has_ended: bool = False


_BRANCHES = (
    _Branch(frozenset({State.QUEUED}), "(SELECT * FROM taskd.live_job WHERE state = 'queued')"),
    _Branch(
        frozenset({State.SCHEDULED}), "(SELECT * FROM taskd.live_job WHERE state = 'scheduled')"
    ),
    _Branch(frozenset({State.BLOCKED}), "(SELECT * FROM taskd.live_job WHERE state = 'blocked')"),
    _Branch(_RUNNING, "(SELECT * FROM taskd.live_job WHERE state IN ('running', 'cancelling'))"),
    # Not the view of ended jobs: as it has their results, it is not read in the order of an index.
    _Branch(
        frozenset({State.SUCCEEDED}),
        "(SELECT *, queue AS part FROM taskd.history WHERE state = 's')",
        has_ended=True,
    ),
    _Branch(
        frozenset({State.FAILED}),
        "(SELECT *, queue AS part FROM taskd.history WHERE state = 'f')",
        has_ended=True,
    ),
    _Branch(
        frozenset({State.CANCELLED}),
        "(SELECT *, queue AS part FROM taskd.history WHERE state = 'c')",
        has_ended=True,
    ),
)


class IdPage(NamedTuple):
    """Ids, newest first; next_before: older ones are to be asked for, before this id."""

    ids: list[int]
    next_before: int | None


def newest_ids(connection: psycopg.Connection[Any], wanted: JobFilter) -> list[int]:
    """The ids of the `wanted.limit` newest jobs that match, newest first, however far back.

    Since a moment, it looks no further back than that is: call it outside of a transaction then.
    """
    if wanted.since is not None:
        with one_moment(connection):
            return _ids_since(connection, wanted)
    where, parameters = conditions(_beside_state(wanted))
    lists: list[LiteralString] = [
        "(SELECT j.id FROM "
        + branch.source
        + " j"
        + also(where, days(wanted) if branch.has_ended else [])
        + " ORDER BY j.id DESC LIMIT %(most)s)"
        for branch in _asked(wanted)
    ]
    if not lists:
        return []
    # One statement, so of one moment: a job that moves meanwhile is in it once.
    statement = (
        "SELECT a.id FROM (" + " UNION ALL ".join(lists) + ") a ORDER BY a.id DESC LIMIT %(most)s"
    )
    rows = connection.execute(statement, {**parameters, "most": wanted.limit}).fetchall()
    return [row[0] for row in rows]


def _ids_since(connection: psycopg.Connection[Any], wanted: JobFilter) -> list[int]:
    """The same page by page: a page sees where nothing older is young enough."""
    ids: list[int] = []
    before = wanted.before
    while True:
        rest = replace(wanted, before=before, limit=wanted.limit - len(ids))
        page = page_of_ids(connection, rest)
        ids += page.ids
        before = page.next_before
        if before is None or len(ids) >= wanted.limit:
            return ids


def page_of_ids(
    connection: psycopg.Connection[Any],
    wanted: JobFilter,
    states: Collection[State] = tuple(State),
) -> IdPage:
    """A page that is quickly found: of each state it looks at some thousands of jobs and no more.

    So it may hold fewer than `wanted.limit` ids, even none, and yet have a next page. Several
    statements: call it in a transaction of one moment, or a job that moves may be missing.
    `states`: where to look beside what the filter says; running and cancelling are one there.
    """
    narrowed = replace(wanted, before=None, state=None)
    most = _most(wanted) if not narrowed.is_empty else wanted.limit + 1
    found: list[int] = []
    floor: int | None = None  # all that is older was not looked at in some state
    for branch in _asked(wanted, states):
        looked = _look(connection, branch, wanted, most)
        found += looked.ids
        if looked.number == most and looked.has_recent:
            floor = looked.lowest if floor is None else max(floor, looked.lowest)
    ids = sorted((each for each in found if floor is None or each >= floor), reverse=True)
    if len(ids) > wanted.limit:
        return IdPage(ids[: wanted.limit], ids[wanted.limit - 1])
    return IdPage(ids, floor)


def _asked(wanted: JobFilter, states: Collection[State] = tuple(State)) -> list[_Branch]:
    asked = set(states) if wanted.state is None else {wanted.state}.intersection(states)
    if wanted.cause is not None:
        asked &= {State.FAILED}
    ended_only = wanted.finished_since is not None or wanted.finished_until is not None
    return [
        branch
        for branch in _BRANCHES
        if not branch.states.isdisjoint(asked) and (branch.has_ended or not ended_only)
    ]


def _beside_state(wanted: JobFilter) -> JobFilter:
    """The filter without what the choice of branches says; two states share one branch."""
    return wanted if wanted.state in _RUNNING else replace(wanted, state=None)


def _most(wanted: JobFilter) -> int:
    return MOST_LOOKED_AT if wanted.args is None and wanted.kwargs is None else MOST_PARSED


class _Looked(NamedTuple):
    """Ids that match; how many jobs were looked at, and the lowest id of those.

    has_recent: some of those were enqueued since about the moment that is asked for. Ids grow with
    time, so where none was, no older one was since that moment.
    """

    ids: list[int]
    number: int
    lowest: int
    has_recent: bool


def _look(
    connection: psycopg.Connection[Any], branch: _Branch, wanted: JobFilter, most: int
) -> _Looked:
    keys, _ = conditions(JobFilter(limit=wanted.limit, before=wanted.before))
    match, parameters = conditions(replace(_beside_state(wanted), before=None))
    recent: LiteralString = " AND ".join(since_about(wanted)) or "true"
    statement = (
        "SELECT array_agg(s.id) FILTER (WHERE s.fits), count(*), min(s.id), bool_or(s.is_recent) "
        "FROM (SELECT j.id, "
        + (match.removeprefix(" WHERE ") or "true")
        + " AS fits, "
        + recent
        + " AS is_recent FROM (SELECT j.* FROM "
        + branch.source
        + " j"
        + also(keys, days(wanted) if branch.has_ended else [])
        + " ORDER BY j.id DESC LIMIT %(most)s) j) s"
    )
    values = {**parameters, "before": wanted.before, "most": most}
    row = connection.execute(statement, values).fetchone()
    ids, number, lowest, has_recent = row or (None, 0, None, None)
    return _Looked(ids or [], number, lowest or 0, bool(has_recent))
