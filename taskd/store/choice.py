"""Which jobs an order is about: a bounded number, found in bounded steps, whatever waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import psycopg

from taskd.clock import monotonic
from taskd.store.literals import integer_array, text_array
from taskd.store.paging import IdPage, page_of_ids
from taskd.store.rows import JobFilter, State

AnyConnection = psycopg.Connection[Any]

LOOK_SECONDS = 4.0
"""After so long a search says how far it has come."""

_AMONG = """
SELECT DISTINCT j.id FROM taskd.job j
WHERE j.id = ANY (%s::bigint[]) AND j.state = ANY (%s::text[])
ORDER BY j.id
"""


def among(connection: AnyConnection, ids: Sequence[int], states: Collection[State]) -> list[int]:
    """Those of the ids whose jobs are in one of these states, by id."""
    rows = connection.execute(_AMONG, (integer_array(ids), text_array(states))).fetchall()
    return [row[0] for row in rows]


def choose_jobs(connection: AnyConnection, wanted: JobFilter, states: Collection[State]) -> IdPage:
    """At most `wanted.limit` jobs that match and are in one of these states, newest first.

    next_before: where to go on, None if there are no more. It is there too if nothing was found for
    LOOK_SECONDS. Call it in a transaction of one moment.
    """
    deadline = monotonic() + LOOK_SECONDS
    ids: list[int] = []
    before = wanted.before
    while True:
        rest = replace(wanted, before=before, limit=wanted.limit - len(ids))
        page = page_of_ids(connection, rest, states)
        ids += page.ids
        before = page.next_before
        if before is None or len(ids) >= wanted.limit or monotonic() > deadline:
            return IdPage(ids, before)


def delete_jobs(connection: AnyConnection, ids: Sequence[int]) -> int:
    """Forget jobs that have ended, with all that they have left; how many. Others stay."""
    row = connection.execute("SELECT taskd.delete_jobs_v1(%s::bigint[])", (integer_array(ids),))
    found = row.fetchone()
    return int(found[0]) if found else 0
