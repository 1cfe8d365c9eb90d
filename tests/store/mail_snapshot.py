"""Everything that a database of jobs holds, as one value; and what the model says it should."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.store.mail_jobs import Job
from tests.store.mail_model import Model
from tests.store.mail_wishes import as_limit

_SNAPSHOT = """
SELECT json_build_object(
    'queued', (
        SELECT json_agg(json_build_array(
            queue, lane, id, attempt, losses, crashes, args, res, place IS NOT NULL)
            ORDER BY queue, lane, seq)
        FROM taskd.queued),
    'scheduled', (
        SELECT json_agg(json_build_array(
            queue, id, attempt, losses, crashes, args, res, place IS NOT NULL)
            ORDER BY run_at, id)
        FROM taskd.scheduled),
    'blocked', (
        SELECT json_agg(json_build_array(
            queue, id, attempt, losses, crashes, args, res, stage, pending,
            CASE WHEN stage = 'l' THEN level END) ORDER BY id)
        FROM taskd.blocked),
    'running', (
        SELECT json_agg(json_build_array(
            queue, id, attempt, losses, crashes, args,
            res || (SELECT array_agg(a.name) FROM taskd.adopted a
                    WHERE a.job = r.id AND a.fence = r.fence),
            fence, worker,
            EXISTS (SELECT FROM taskd.request q WHERE q.job = r.id)) ORDER BY id)
        FROM taskd.running r),
    'history', (
        SELECT json_agg(json_build_array(
            queue, id, attempt, losses, crashes, state, error, requeued_as) ORDER BY id)
        FROM taskd.history),
    'attempts', (
        SELECT json_agg(json_build_array(job, fence, number, outcome) ORDER BY fence)
        FROM taskd.attempt),
    'parents', (
        SELECT json_agg(json_build_array(parent, child) ORDER BY parent, child)
        FROM taskd.dependency),
    'used', (SELECT json_object_agg(name, used) FROM taskd.resource WHERE used <> 0),
    'capacity', (
        SELECT json_agg(json_build_array(name, units, rate, burst, is_declared) ORDER BY name)
        FROM taskd.capacity),
    'retries', (SELECT json_agg(name ORDER BY name) FROM taskd.resource WHERE retry_at IS NOT NULL),
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
    expected = _expected_jobs(model) | _expected_lines(model)
    return {name: value for name, value in expected.items() if value}


def _expected_jobs(model: Model) -> Snapshot:
    state = model.state
    queued = sorted(state.inside("queued"), key=lambda job: (job.queue, job.lane, job.seq))
    return {
        "queued": [
            [j.queue, j.lane, j.id, j.attempt, *_marks(j), j.args, _res(j), _holds(j)]
            for j in queued
        ],
        "scheduled": [
            [j.queue, j.id, j.attempt, *_marks(j), j.args, _res(j), _holds(j)]
            for j in state.scheduled()
        ],
        "blocked": [
            [
                j.queue,
                j.id,
                j.attempt,
                *_marks(j),
                j.args,
                _res(j),
                j.stage,
                state.pending(j),
                _level(j),
            ]
            for j in state.inside("blocked")
        ],
        "running": [
            [
                j.queue,
                j.id,
                j.attempt,
                *_marks(j),
                j.args,
                _res(j),
                j.fence,
                j.worker,
                j.is_to_be_cancelled,
            ]
            for j in state.inside("running")
        ],
        "history": [
            [j.queue, j.id, j.attempt, *_marks(j), j.state, j.error, j.requeued_as]
            for j in state.inside("history")
        ],
        "attempts": [list(one) for one in sorted(state.attempts, key=lambda one: one[1])],
        "parents": [list(pair) for pair in sorted(state.parents)],
        "keys": {key: job for key, (job, _) in model.keys.holders.items()},
    }


def _marks(job: Job) -> tuple[int, int]:
    return job.losses, job.crashes


def _res(job: Job) -> list[str] | None:
    return list(job.needs) or None


def _holds(job: Job) -> bool:
    return job.place is not None


def _level(job: Job) -> int | None:
    return job.level if job.stage == "l" else None


def _expected_lines(model: Model) -> Snapshot:
    lines = model.state.lines
    return {
        "used": {name: lines.used(name) for name in lines.names() if lines.used(name)},
        "lines": [[n, entry.job] for n in lines.names() for entry in lines.waiting(n).values()],
        "capacity": [
            [name, *as_limit(capacity.terms), capacity.is_declared]
            for name, capacity in sorted(lines.capacity.items())
        ],
        "retries": list(lines.retries()),
        "mail": [
            [
                letter.kind,
                sorted(letter.jobs) or None,
                sorted(name for name, _ in letter.entries) or None,
            ]
            for letter in model.state.mail
        ],
    }


def difference(found: Snapshot, expected: Snapshot) -> str:
    """What is told by them otherwise, a line each."""
    names = sorted(found.keys() | expected.keys())
    pairs = [(name, found.get(name), expected.get(name)) for name in names]
    return "\n".join(f"{name}: {is_}, not {should}" for name, is_, should in pairs if is_ != should)
