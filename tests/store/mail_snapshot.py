"""Everything that a database of jobs holds, as one value; and what the model says it should."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.store.mail_model import Model

_SNAPSHOT = """
SELECT json_build_object(
    'queued', (
        SELECT json_agg(json_build_array(queue, lane, id, attempt, losses, args, place IS NOT NULL)
                        ORDER BY queue, lane, seq)
        FROM taskd.queued),
    'scheduled', (
        SELECT json_agg(json_build_array(queue, id, attempt, args, place IS NOT NULL)
                        ORDER BY run_at, id)
        FROM taskd.scheduled),
    'blocked', (
        SELECT json_agg(json_build_array(queue, id, attempt, args, stage, pending) ORDER BY id)
        FROM taskd.blocked),
    'running', (
        SELECT json_agg(json_build_array(
            queue, id, attempt, args, fence, worker,
            EXISTS (SELECT FROM taskd.request q WHERE q.job = r.id)) ORDER BY id)
        FROM taskd.running r),
    'history', (
        SELECT json_agg(json_build_array(queue, id, attempt, losses, state, error) ORDER BY id)
        FROM taskd.history),
    'parents', (
        SELECT json_agg(json_build_array(parent, child) ORDER BY parent, child)
        FROM taskd.dependency),
    'used', (SELECT json_object_agg(name, used) FROM taskd.resource WHERE used <> 0),
    'lines', (SELECT json_agg(json_build_array(res, id) ORDER BY res, turn, place) FROM taskd.line),
    'keys', (SELECT json_object_agg(key, job) FROM taskd.unique_key),
    'mail', (
        SELECT json_agg(json_build_array(
            kind, (SELECT json_agg(i ORDER BY i) FROM unnest(ids) i),
            (SELECT json_agg(r ORDER BY r) FROM unnest(res) r)) ORDER BY seq)
        FROM taskd.mail),
    'audit', (SELECT json_agg(a) FROM taskd.audit a))
"""

Snapshot = dict[str, Any]


def take_snapshot(connection: psycopg.Connection[Any]) -> Snapshot:
    """What is there, by table; what is empty is left out."""
    row = connection.execute(_SNAPSHOT).fetchone()
    assert row is not None
    return {name: value for name, value in row[0].items() if value}


def expected_snapshot(model: Model) -> Snapshot:
    """What should be there."""
    queued = sorted(model.inside("queued"), key=lambda job: (job.queue, job.lane, job.seq))
    names = sorted(model.lines)
    expected: Snapshot = {
        "queued": [[j.queue, j.lane, j.id, j.attempt, j.losses, j.args, j.holds] for j in queued],
        "scheduled": [[j.queue, j.id, j.attempt, j.args, j.holds] for j in model.scheduled()],
        "blocked": [
            [j.queue, j.id, j.attempt, j.args, j.stage, model.pending(j)]
            for j in model.inside("blocked")
        ],
        "running": [
            [j.queue, j.id, j.attempt, j.args, j.fence, j.worker, j.is_to_be_cancelled]
            for j in model.inside("running")
        ],
        "history": [
            [j.queue, j.id, j.attempt, j.losses, j.state, j.error] for j in model.inside("history")
        ],
        "parents": [list(pair) for pair in sorted(model.parents)],
        "used": {name: model.used(name) for name in names if model.used(name)},
        "lines": [
            [name, entry.job]
            for name in names
            for entry in model.line(name)
            if not entry.is_granted
        ],
        "keys": {key: job for key, (job, _) in model.keys.items()},
        "mail": [
            [
                letter.kind,
                sorted(letter.jobs) or None,
                sorted(name for name, _ in letter.entries) or None,
            ]
            for letter in model.mail
        ],
    }
    return {name: value for name, value in expected.items() if value}
