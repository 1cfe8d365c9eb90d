"""Random interleavings against the model in mail_model.py, all of it compared after every step.

This holds DESIGN's guarantees: a job is in exactly one table, no stale fence counts, a final state is
final, order is causal. TASKD_MODEL_EXAMPLES=5000 makes it longer, and then every run differs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskd.store import hosts, jobs, mail
from taskd.store.graph import enqueue_graph
from taskd.store.literals import integer_array
from taskd.store.rows import NewGraph, NewJob, NewJobs
from tests.store.mail_model import EVERYTHING, Model, Wish

RESOURCES = ("w", "x", "y", "z")
QUEUES = ("a", "b")
LANES = [(queue, lane) for queue in QUEUES for lane in (10, 7, 5)]
STEPS_AN_EXAMPLE = 60
EXAMPLES = int(os.environ.get("TASKD_MODEL_EXAMPLES", "0"))
MAX_LOSSES = 2
MANY = 20

DISPATCH_LOCK = "SELECT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1)"
PASS_TIME = """
UPDATE taskd.scheduled SET run_at = run_at - %(minutes)s * interval '1 minute';
UPDATE taskd.blocked SET run_at = run_at - %(minutes)s * interval '1 minute';
UPDATE taskd.unique_key SET expires_at = expires_at - %(minutes)s * interval '1 minute';
"""
SNAPSHOT = """
SELECT json_build_object(
    'queued', (SELECT json_agg(json_build_array(queue, lane, id, attempt, losses, args, place IS NOT NULL)
               ORDER BY queue, lane, seq) FROM taskd.queued),
    'scheduled', (SELECT json_agg(json_build_array(queue, id, attempt, args, place IS NOT NULL)
                  ORDER BY run_at, id) FROM taskd.scheduled),
    'blocked', (SELECT json_agg(json_build_array(queue, id, attempt, args, stage, pending)
                ORDER BY id) FROM taskd.blocked),
    'running', (SELECT json_agg(json_build_array(queue, id, attempt, args, fence, worker,
                    EXISTS (SELECT FROM taskd.request q WHERE q.job = r.id)) ORDER BY id)
                FROM taskd.running r),
    'history', (SELECT json_agg(json_build_array(queue, id, attempt, losses, state, error) ORDER BY id)
                FROM taskd.history),
    'parents', (SELECT json_agg(json_build_array(parent, child) ORDER BY parent, child)
                FROM taskd.dependency),
    'used', (SELECT json_object_agg(name, used) FROM taskd.resource WHERE used <> 0),
    'lines', (SELECT json_agg(json_build_array(res, id) ORDER BY res, place) FROM taskd.line),
    'keys', (SELECT json_object_agg(key, job) FROM taskd.unique_key),
    'mail', (SELECT json_agg(json_build_array(kind, (SELECT json_agg(i ORDER BY i) FROM unnest(ids) i),
                 (SELECT json_agg(r ORDER BY r) FROM unnest(res) r)) ORDER BY seq) FROM taskd.mail),
    'audit', (SELECT json_agg(a) FROM taskd.audit a))
"""

needs = st.dictionaries(
    st.sampled_from(RESOURCES),
    st.sampled_from([1, 1, 2, 3, EVERYTHING, EVERYTHING]),
    max_size=3,
)
delays = st.sampled_from([0, 0, 0, 30, 90])
keys = st.sampled_from([None, None, None, "k", "l", "m"])
untils = st.sampled_from(["started", "finished", "finished", "3600"])
conflicts = st.sampled_from(["keep", "replace", "earlier"])
wishes = st.builds(
    Wish,
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([5, 7]),
    needs=st.one_of(st.just({}), needs),
    run_if_failed=st.booleans(),
    delay=delays,
    key=keys,
    until=untils,
    on_conflict=conflicts,
    args=st.sampled_from(["[1]", "[2]", "[3]"]),
)
numbers = st.lists(st.integers(0, 60), min_size=1, max_size=5)


class Machine(RuleBasedStateMachine):
    """One database and one model, driven side by side."""

    connection: psycopg.Connection[Any]
    busy: psycopg.Connection[Any]
    empty: Callable[[], None]
    steps: Counter[str]

    @initialize(capacities=st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 4)))
    def begin(self, capacities: dict[str, int]) -> None:
        self.empty()
        self.model = Model()
        self.turn = 1
        self.claims: list[tuple[int, int, int]] = []
        self.host = hosts.register_host(self.connection, uuid4(), "here", 1, "0")
        self.workers = [self._worker(), self._worker()]
        for name, units in capacities.items():
            self._set_capacity(name, units)

    def _worker(self) -> int:
        worker = hosts.register_worker(self.connection, self.host, 1, "io", 0, 1)
        assert worker is not None
        return worker

    # Enqueue.

    @precondition(lambda self: len(self._alive()) < MANY)
    @rule(
        new=st.lists(wishes, min_size=1, max_size=5),
        old=st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=5, max_size=5),
        siblings=st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=5, max_size=5),
        by_itself=st.booleans(),
        is_foreign=st.booleans(),
        is_busy=st.booleans(),
    )
    def enqueue_graph(
        self,
        new: list[Wish],
        old: list[int | None],
        siblings: list[int | None],
        by_itself: bool,
        is_foreign: bool,
        is_busy: bool,
    ) -> None:
        known = sorted(self.model.jobs)
        asked: list[Wish] = []
        for place, wish in enumerate(new):
            parents = set()
            if (pick := old[place]) is not None and known:
                parents.add(known[-1 - pick % len(known)])
            if (pick := siblings[place]) is not None and place:
                parents.add(-1 - pick % place)
            earlier = wish.on_conflict == "earlier" and place > 0  # two could tie to a microsecond
            asked.append(_changed(wish, tuple(parents), "keep" if earlier else wish.on_conflict))
        self_id = self._pick_running([0])[0] if by_itself and self._running() else None

        with self._dispatcher(is_busy):
            graph = NewGraph(tuple(map(_new_job, asked)), is_foreign, self_id)
            ids = enqueue_graph(self.connection, graph)
        letters = len(self.model.mail)
        self._expect_ids(ids, asked, self_id)
        if len(self.model.mail) > letters and not is_foreign:
            self._see_to_mail(is_busy)
        self._compare("enqueue a graph")

    @precondition(lambda self: len(self._alive()) < MANY)
    @rule(count=st.integers(1, 3), wish=wishes, until=untils, by_itself=st.booleans())
    def enqueue_jobs(self, count: int, wish: Wish, until: str, by_itself: bool) -> None:
        names = "klm"[:count]
        asked = [
            Wish(
                queue=wish.queue,
                priority=wish.priority,
                delay=wish.delay,
                key=None if wish.key is None else name,
                until=until,
                on_conflict=wish.on_conflict,
                args=f"[{number}]",
            )
            for number, name in enumerate(names)
        ]
        self_id = self._pick_running([0])[0] if by_itself and self._running() else None
        unique = {
            "keys": list(names),
            "until": until,
            "on_conflict": wish.on_conflict,
            "self": self_id,
        }
        new = NewJobs(
            "shop.sync",
            [one.args for one in asked],
            [None] * count,
            queue=wish.queue,
            priority=wish.priority,
            delay=wish.delay * 60.0 if wish.delay else None,
            unique=None if wish.key is None else json.dumps(unique),
        )
        self._expect_ids(jobs.enqueue_jobs(self.connection, new), asked, self_id)
        self._compare("enqueue jobs")

    def _expect_ids(self, ids: list[int], asked: list[Wish], self_id: int | None) -> None:
        row = self.connection.execute("SELECT last_value FROM taskd.job_seq").fetchone()
        assert row is not None
        fresh = self._fresh_ids(ids, row[0])
        assert self.model.enqueue(fresh, asked, self_id) == ids

    def _fresh_ids(self, ids: list[int], last: int) -> list[int]:
        """The ids that the sequence gave to this call: those that were used tell the others."""
        for place, number in enumerate(ids):
            if number > 0:
                return list(range(number - place, number - place + len(ids)))
        return list(range(last - len(ids) + 1, last + 1))

    # Claims and ends.

    @precondition(lambda self: self.model.inside("queued"))
    @rule(worker=st.integers(0, 1), count=st.integers(1, 8), lanes=st.permutations(LANES))
    def claim(self, worker: int, count: int, lanes: list[tuple[str, int]]) -> None:
        queues, levels = zip(*lanes, strict=True)
        marks = integer_array([0] * len(lanes))
        rows = jobs.claim_jobs(
            self.connection,
            self.workers[worker],
            ("{" + ",".join(queues) + "}", integer_array(levels), marks),
            count,
        )
        assert rows is not None
        fences = [row[3] for row in rows]
        found = self.model.claim(lanes, count, self.workers[worker], fences)
        assert [row[0] for row in rows] == found
        assert all(fence > known for fence in fences for _, known, _ in self.claims)
        self.claims += [(row[0], row[3], self.workers[worker]) for row in rows]
        self._compare("claim")

    @precondition(lambda self: self.model.inside("queued"))
    @rule(worker=st.integers(0, 1))
    def claim_all(self, worker: int) -> None:
        self.claim(worker, 100, LANES)

    @precondition(lambda self: self._running())
    @rule(
        picks=numbers,
        states=st.lists(st.sampled_from("sssfc"), min_size=6, max_size=6),
        stale=st.lists(st.integers(0, 99), max_size=2),
        way=st.sampled_from(["own", "own", "fast", "foreign", "old snapshot"]),
        is_busy=st.booleans(),
    )
    def complete(
        self, picks: list[int], states: list[str], stale: list[int], way: str, is_busy: bool
    ) -> None:
        worker, chosen = self._of_one_worker(picks)
        ends = [(job, "s" if way == "fast" else state) for job, state in zip(chosen, states)]
        rows = [jobs.JobEnd(job, self.model.jobs[job].fence, 0.1, state) for job, state in ends]
        lost = self._stale_claims(stale, chosen, worker)
        rows += [jobs.JobEnd(job, fence, 0.1, "f") for job, fence in lost]

        with self._dispatcher(is_busy):
            assert sorted(self._send_ends(worker, rows, way)) == sorted(job for job, _ in lost)
        self.model.complete(ends, tells_all=way == "old snapshot")
        if way in ("own", "fast"):
            self._see_to_mail(is_busy)
        self._compare("complete")

    def _send_ends(self, worker: int, rows: list[jobs.JobEnd], way: str) -> list[int]:
        if way == "fast":
            ids, fences = [row.id for row in rows], [row.fence for row in rows]
            return jobs.complete_succeeded(self.connection, worker, ids, fences, [0.1] * len(ids))
        if way == "own":
            return jobs.complete_jobs(self.connection, worker, rows)
        with self.connection.transaction():
            if way == "old snapshot":
                self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return jobs.complete_jobs(self.connection, worker, rows, is_own=False)

    @precondition(lambda self: self._running())
    @rule(picks=numbers, is_busy=st.booleans())
    def succeed(self, picks: list[int], is_busy: bool) -> None:
        self.complete(picks, ["s"] * 6, [], "fast", is_busy)

    @precondition(lambda self: self._running())
    @rule(
        picks=numbers,
        outcomes=st.lists(st.sampled_from("rtzi"), min_size=6, max_size=6),
        delays=st.lists(delays, min_size=6, max_size=6),
        releases=st.lists(st.booleans(), min_size=6, max_size=6),
        stale=st.lists(st.integers(0, 99), max_size=2),
        is_busy=st.booleans(),
    )
    def retry(
        self,
        picks: list[int],
        outcomes: list[str],
        delays: list[int],
        releases: list[bool],
        stale: list[int],
        is_busy: bool,
    ) -> None:
        worker, chosen = self._of_one_worker(picks)
        again = list(zip(chosen, outcomes, delays, releases, strict=False))
        rows = [
            jobs.JobRetry(
                job, self.model.jobs[job].fence, 0.1, outcome, delay * 60.0, release=release
            )
            for job, outcome, delay, release in again
        ]
        lost = self._stale_claims(stale, chosen, worker)
        rows += [jobs.JobRetry(job, fence, 0.1, "r", 0.0) for job, fence in lost]

        with self._dispatcher(is_busy):
            found = jobs.retry_jobs(self.connection, worker, rows)
        assert sorted(found) == sorted(job for job, _ in lost)
        letters, over = (
            len(self.model.mail),
            any(self.model.jobs[j].is_to_be_cancelled for j in chosen),
        )
        self.model.retry(again)
        if len(self.model.mail) > letters or over:
            self._see_to_mail(is_busy)
        self._compare("retry")

    @precondition(lambda self: self._running())
    @rule(picks=numbers, stale=st.lists(st.integers(0, 99), max_size=2), is_busy=st.booleans())
    def give_back(self, picks: list[int], stale: list[int], is_busy: bool) -> None:
        worker, chosen = self._of_one_worker(picks)
        rows = [(job, self.model.jobs[job].fence) for job in chosen]
        rows += self._stale_claims(stale, chosen, worker)
        over = any(self.model.jobs[job].is_to_be_cancelled for job in chosen)

        with self._dispatcher(is_busy):
            given = jobs.give_back_jobs(
                self.connection, worker, [job for job, _ in rows], [fence for _, fence in rows]
            )
        assert given == self.model.give_back(chosen)
        if over:
            self._see_to_mail(is_busy)
        self._compare("give back")

    @precondition(lambda self: self._now_and_then() and self._running())
    @rule(which=st.integers(0, 1), charge=st.booleans(), is_busy=st.booleans())
    def rescue(self, which: int, charge: bool, is_busy: bool) -> None:
        worker, self.workers[which] = self.workers[which], self._worker()
        with self._dispatcher(is_busy):
            found = hosts.rescue_workers(self.connection, [worker], "killed", charge, MAX_LOSSES)
        ended = len(self.model.inside("history"))
        assert found == self.model.rescue(worker, "killed", charge, MAX_LOSSES)
        if len(self.model.inside("history")) > ended:
            self._see_to_mail(is_busy)
        self._compare("rescue")

    # What waits.

    @precondition(lambda self: self._now_and_then() and self._is_waiting())
    @rule(minutes=st.sampled_from([30, 60]))
    def pass_time(self, minutes: int) -> None:
        for statement in PASS_TIME.strip().split("\n"):
            self.connection.execute(statement.encode(), {"minutes": minutes})
        self.model.pass_time(minutes)
        self._compare("pass time")

    @precondition(lambda self: self._due())
    @rule(count=st.sampled_from([1, 2, 100]), is_busy=st.booleans())
    def promote(self, count: int, is_busy: bool) -> None:
        letters = len(self.model.mail)
        with self._dispatcher(is_busy):
            promoted = jobs.promote_jobs(self.connection, count).promoted
        assert promoted == self.model.promote(count)
        if len(self.model.mail) > letters:
            self._see_to_mail(is_busy)
        self._compare("promote")

    @precondition(lambda self: self._now_and_then() and self.model.jobs)
    @rule(picks=numbers, unknown=st.booleans(), is_lazy=st.booleans())
    def cancel(self, picks: list[int], unknown: bool, is_lazy: bool) -> None:
        ids = sorted(self._pick(sorted(self.model.jobs), picks)) + [10**9] * unknown
        were_over = {job.id for job in self.model.inside("history")}
        self.model.cancel(ids)
        if is_lazy:  # as if the dispatcher had been busy all along
            self.connection.execute(
                "INSERT INTO taskd.mail (kind, ids) VALUES ('c', %s::bigint[])",
                (integer_array(ids),),
            )
        else:
            outcomes = jobs.cancel_jobs(self.connection, ids)
            self.model.dispatch()
            assert outcomes == {i: self.model.outcome(i, i in were_over) for i in ids}
        self._compare("cancel")

    @precondition(lambda self: self._now_and_then() and self.model.inside("history"))
    @rule(picks=numbers)
    def requeue(self, picks: list[int]) -> None:
        olds = self._pick([job.id for job in self.model.inside("history")], picks[:2])
        renewed = jobs.requeue_jobs(self.connection, olds)
        assert list(renewed) == olds
        self.model.requeue(list(renewed.values()), olds)
        if any(self.model.jobs[old].wish.needs for old in olds):
            self._see_to_mail(False)
        self._compare("requeue")

    @precondition(lambda self: self._now_and_then() and self.model.jobs)
    @rule(picks=numbers, queue=st.sampled_from(QUEUES))
    def move(self, picks: list[int], queue: str) -> None:
        ids = self._pick(sorted(self.model.jobs), picks)
        row = self.connection.execute(
            "SELECT taskd.move_jobs_v1(%s::bigint[], %s)", (integer_array(ids), queue)
        ).fetchone()
        assert row == (self.model.move(ids, queue),)
        self._compare("move")

    @precondition(lambda self: self._now_and_then())
    @rule(name=st.sampled_from(RESOURCES), units=st.one_of(st.none(), st.integers(0, 4)))
    def set_capacity(self, name: str, units: int | None) -> None:
        self._set_capacity(name, units)
        self._compare("set a capacity")

    def _set_capacity(self, name: str, units: int | None) -> None:
        self.connection.execute("SELECT taskd.set_capacity_v1(%s, %s)", (name, units))
        self.model.set_capacity(name, units)
        self.model.dispatch()

    @precondition(lambda self: self.model.mail)
    @rule(
        letters=st.sampled_from([1, 2, 3, 100]),
        rounds=st.sampled_from([1, 10]),
        arrivals=st.sampled_from([1, 3, 500]),
    )
    def dispatch(self, letters: int, rounds: int, arrivals: int) -> None:
        row = self.connection.execute(
            "SELECT taskd.dispatch_v1(%s, %s, %s)", (letters, rounds, arrivals)
        ).fetchone()
        assert row == (self.model.dispatch(letters, rounds, arrivals),)
        self._compare("dispatch")

    # Which rules come up how often; picking; the busy dispatcher.

    def _now_and_then(self) -> bool:
        """Rarer than what jobs live of, unless that is not to be had."""
        stands_still = len(self._alive()) >= MANY and not self._running()
        return self.turn % 3 == 0 or (stands_still and not self.model.inside("queued"))

    def _is_waiting(self) -> bool:
        return bool(self.model.inside("scheduled") or self.model.inside("blocked"))

    def _due(self) -> bool:
        return any(job.due[0] <= self.model.now for job in self.model.inside("scheduled"))

    def _alive(self) -> list[int]:
        return [job.id for job in self.model.jobs.values() if job.table != "history"]

    def _running(self) -> list[int]:
        return [job.id for job in self.model.inside("running")]

    @staticmethod
    def _pick(ids: list[int], picks: list[int]) -> list[int]:
        """Some of the ids, each once, the newest likelier to be picked."""
        return list(dict.fromkeys(ids[-1 - pick % len(ids)] for pick in picks))

    def _pick_running(self, picks: list[int]) -> list[int]:
        return self._pick(self._running(), picks)

    def _of_one_worker(self, picks: list[int]) -> tuple[int, list[int]]:
        """Running jobs of one worker, in the order of their ids."""
        chosen = self._pick_running(picks)
        worker = self.model.jobs[chosen[0]].worker
        return worker, sorted(job for job in chosen if self.model.jobs[job].worker == worker)

    def _stale_claims(
        self, picks: list[int], chosen: list[int], worker: int
    ) -> list[tuple[int, int]]:
        """Claims of other times, or of other workers, whose outcomes were never recorded."""
        found = {}
        for pick in picks:
            job, fence, claimer = self.claims[pick % len(self.claims)]
            is_current = (
                self.model.jobs[job].table == "running" and self.model.jobs[job].fence == fence
            )
            if job not in chosen and not (is_current and claimer == worker):
                found[job] = fence
        return [claim for claim in found.items() if not self._is_recorded(*claim)]

    def _is_recorded(self, job: int, fence: int) -> bool:
        row = self.connection.execute(
            "SELECT taskd.lost_jobs_v1(ARRAY[%s::bigint], ARRAY[%s::bigint]) IS NULL", (job, fence)
        ).fetchone()
        return bool(row and row[0])

    @contextmanager
    def _dispatcher(self, is_busy: bool) -> Iterator[None]:
        """While inside, somebody else is dispatching, if is_busy."""
        if not is_busy:
            yield
            return
        with self.busy.transaction():
            assert self.busy.execute(DISPATCH_LOCK).fetchone() == (True,)
            yield

    def _see_to_mail(self, is_busy: bool) -> None:
        if not is_busy:
            self.model.dispatch()

    # The comparison.

    def _compare(self, step: str) -> None:
        self.steps[step] += 1
        self.turn += 1
        row = self.connection.execute(SNAPSHOT.encode()).fetchone()
        assert row is not None
        found = {name: value or None for name, value in row[0].items()}
        assert found == self._expected()
        self._check_lines()

    def _expected(self) -> dict[str, Any]:
        model = self.model
        queued = sorted(model.inside("queued"), key=lambda job: (job.queue, job.lane, job.seq))
        used = {name: model.used(name) for name in RESOURCES}
        expected = {
            "queued": [
                [j.queue, j.lane, j.id, j.attempt, j.losses, j.args, j.holds] for j in queued
            ],
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
                [j.queue, j.id, j.attempt, j.losses, j.state, j.error]
                for j in model.inside("history")
            ],
            "parents": [list(pair) for pair in sorted(model.parents)],
            "used": {name: units for name, units in used.items() if units},
            "lines": [
                [name, entry.job]
                for name in RESOURCES
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
            "audit": None,
        }
        return {name: value or None for name, value in expected.items()}

    def _check_lines(self) -> None:
        """What must hold whatever the rules of the model say."""
        for name in RESOURCES:
            line = self.model.line(name)
            holders = [entry for entry in line if entry.is_granted]
            waiting = [entry for entry in line if not entry.is_granted]
            assert line == holders + waiting, "first come, first granted"
            if any(entry.need == EVERYTHING for entry in holders):
                assert len(holders) == 1, "an exclusive holder is alone"
            if not self.model.mail and waiting:
                assert not self.model.fits(name, waiting[0].need), "nobody waits for nothing"

    def teardown(self) -> None:
        """Everything ends, and nothing is left held."""
        if not hasattr(self, "model"):
            return
        for name in RESOURCES:
            self.connection.execute("SELECT taskd.set_capacity_v1(%s, NULL)", (name,))
        worker = self._worker()
        hosts.rescue_workers(self.connection, self.workers, "the end", charge=False)
        for _ in range(200):
            for statement in PASS_TIME.strip().split("\n"):
                self.connection.execute(statement.encode(), {"minutes": 600})
            mail.dispatch(self.connection)
            jobs.promote_jobs(self.connection, 1000)
            queues, levels = zip(*LANES, strict=True)
            rows = jobs.claim_jobs(
                self.connection,
                worker,
                ("{" + ",".join(queues) + "}", integer_array(levels), "{0,0,0,0,0,0}"),
                1000,
            )
            if not rows and not self._left():
                break
            if rows:
                ids, fences = [row[0] for row in rows], [row[3] for row in rows]
                jobs.complete_succeeded(self.connection, worker, ids, fences, [0.1] * len(ids))
        left = self._left()
        if left:
            import sys

            print(
                "LEFT",
                left,
                {
                    p: (j.table, j.state, j.error)
                    for p, j in self.model.jobs.items()
                    if any(p == a for a, _ in left["parents"])
                },
                self.connection.execute(
                    "select id, state, error from taskd.history where id = any(%s)",
                    ([a for a, _ in left["parents"]],),
                ).fetchall(),
                self.connection.execute(
                    "select id, state from taskd.job where id = any(%s)",
                    ([a for a, _ in left["parents"]],),
                ).fetchall(),
                file=sys.stderr,
            )
        assert left == {}
        assert self.connection.execute(
            "SELECT count(*), count(DISTINCT id) FROM taskd.history"
        ).fetchone() == (len(self.model.jobs), len(self.model.jobs))

    def _left(self) -> dict[str, Any]:
        row = self.connection.execute(SNAPSHOT.encode()).fetchone()
        assert row is not None
        return {k: v for k, v in row[0].items() if v and k not in ("history", "keys")}


def _changed(wish: Wish, parents: tuple[int, ...], on_conflict: str) -> Wish:
    from dataclasses import replace

    return replace(wish, parents=parents, on_conflict=on_conflict)


def _new_job(wish: Wish) -> NewJob:
    return NewJob(
        task="shop.sync",
        args=wish.args,
        queue=wish.queue,
        priority=wish.priority,
        delay=wish.delay * 60.0 if wish.delay else None,
        key=wish.key,
        until=wish.until,
        on_conflict=wish.on_conflict,
        run_if_failed=wish.run_if_failed,
        parents=wish.parents,
        res=tuple(wish.needs),
        need=tuple(wish.needs.values()),
    )


@pytest.mark.one_server
@pytest.mark.timeout(3600)
def test_every_interleaving_does_what_the_model_does(dsn: str) -> None:
    with (
        psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection,
        psycopg.connect(dsn) as busy,
    ):
        connection.execute("SET synchronous_commit = off")
        Machine.connection, Machine.busy, Machine.steps = connection, busy, Counter()
        Machine.empty = staticmethod(lambda: empty_tables(connection))
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES or 200,
                stateful_step_count=STEPS_AN_EXAMPLE,
                derandomize=not EXAMPLES,
                print_blob=bool(EXAMPLES),
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            ),
        )

    print(f"{Machine.steps.total()} steps: {dict(Machine.steps)}")
    assert Machine.steps.total() >= 10_000


def empty_tables(connection: psycopg.Connection[Any]) -> None:
    """Forget everything but the schema; quicker than TRUNCATE for a few rows."""
    connection.execute(
        """
        DO $$ DECLARE name regclass; BEGIN
            FOR name IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'taskd'::regnamespace
                        AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                        AND c.relname <> 'schema_version'
            LOOP EXECUTE format('DELETE FROM %s', name); END LOOP;
        END $$
        """
    )
