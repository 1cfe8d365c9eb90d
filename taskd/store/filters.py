"""A JobFilter as the conditions of a statement over taskd.job, live_job or ended_job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

from taskd.config.moments import Moment
from taskd.store.literals import text_array
from taskd.store.rows import JobFilter

_CONDITIONS: dict[str, LiteralString] = {
    "state": "j.state = %(state)s",
    # Its parts for versions of the code, too: the next character after @ is A.
    "queue": "(j.part = %(queue)s "
    "OR j.part >= %(queue)s::text || '@' AND j.part < %(queue)s::text || 'A')",
    "task": "j.task = %(task)s",
    "before": "j.id < %(before)s",
    "older_than": "j.created_at < now() - %(older_than)s * interval '1 second'",
    "error": "strpos(j.error, %(error)s) > 0",
    "cause": "j.cause_hash = taskd.cause_hash_v1(j.task, %(cause)s)",
    "worker": "j.worker = %(worker)s",
    "besides": "j.task <> ALL (%(besides)s::text[])",
    "is_requeued": "(j.requeued_as IS NOT NULL) = %(is_requeued)s",
    "group": "(j.extra->>'group')::bigint = %(group)s",
    "args": "taskd.holds_arguments_v1(j.args, j.kwargs, %(args)s::jsonb, NULL)",
    "kwargs": "taskd.holds_arguments_v1(j.args, j.kwargs, NULL, %(kwargs)s::jsonb)",
}
_SPANS: dict[str, LiteralString] = {
    "since": "j.created_at >= ",
    "until": "j.created_at < ",
    "finished_since": "j.finished_at >= ",
    "finished_until": "j.finished_at < ",
}


def conditions(wanted: JobFilter) -> tuple[LiteralString, dict[str, Any]]:
    """The WHERE clause, empty if everything matches, and its parameters."""
    given = {name: value for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    for name in ("args", "kwargs"):
        if name in given:
            given[name] = json.dumps(given[name])
    if "state" in given:
        given["state"] = str(given["state"])
    if "besides" in given:
        given["besides"] = text_array(given["besides"])
    clauses = [_CONDITIONS[name] for name in given]
    for name, compared in _SPANS.items():
        if (moment := getattr(wanted, name)) is not None:
            clauses.append(compared + _moment(name, moment))
            given[name] = moment
    where: LiteralString = (" WHERE " + " AND ".join(clauses)) if clauses else ""
    return where, given


def days(wanted: JobFilter) -> list[LiteralString]:
    """Conditions that leave whole partitions of the history out, and nothing of the others.

    Who was enqueued since a moment has ended since then, too.
    """
    first = "finished_since" if wanted.finished_since is not None else "since"
    clauses: list[LiteralString] = []
    if (since := getattr(wanted, first)) is not None:
        clauses.append("j.finished_at >= date_trunc('day', " + _moment(first, since) + ", 'UTC')")
    if wanted.finished_until is not None:
        until = _moment("finished_until", wanted.finished_until)
        clauses.append("j.finished_at < date_trunc('day', " + until + ", 'UTC') + interval '1 day'")
    return clauses


def since_about(wanted: JobFilter) -> list[LiteralString]:
    """Whether a job is as young as `since` asks, or nearly.

    A job is as old as its transaction, and has the id of its insert: one that was enqueued at the
    end of a long transaction stands before younger ones.
    """
    if wanted.since is None:
        return []
    return ["j.created_at >= " + _moment("since", wanted.since) + " - interval '1 hour'"]


def also(where: LiteralString, clauses: Sequence[LiteralString]) -> LiteralString:
    """A WHERE clause, which may be empty, with further conditions."""
    words: LiteralString = " AND ".join(clauses)
    if not words:
        return where
    return where + " AND " + words if where else " WHERE " + words


def _moment(name: LiteralString, moment: Moment) -> LiteralString:
    parameter: LiteralString = "%(" + name + ")s"
    if isinstance(moment, datetime):
        return parameter + "::timestamptz"
    return "(now() - " + parameter + " * interval '1 second')"
