"""Drives a database and the model of it side by side, and compares them after every step."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
from hypothesis import HealthCheck, Phase, seed, settings
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
from taskd.store.host_rows import Judgement
from taskd.store.literals import integer_array, text_array
from taskd.store.rows import JobEnd, JobRetry, NewGraph, NewJob, NewJobs
from tests.store.conftest import empty_tables
from tests.store.mail_model import EVERYTHING, Model, Wish
from tests.store.mail_snapshot import expected_snapshot, take_snapshot

RESOURCES = ("w", "x", "y", "z")
QUEUES = ("a", "b")
LANES = [(queue, lane) for queue in QUEUES for lane in (10, 7, 5)]
STEPS_AN_EXAMPLE = 60
JUDGEMENT = Judgement(max_losses=2)
MANY = 20
"""Living jobs; with so many nothing is enqueued until some have ended."""

_DISPATCH_LOCK = "SELECT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1)"
_PASS_TIME = """
WITH later AS (SELECT %(minutes)s * interval '1 minute' AS by),
     s AS (UPDATE taskd.scheduled SET run_at = run_at - later.by FROM later),
     b AS (UPDATE taskd.blocked SET run_at = run_at - later.by FROM later)
UPDATE taskd.unique_key SET expires_at = expires_at - later.by FROM later
"""

needs = st.dictionaries(
    st.sampled_from(RESOURCES),
    st.sampled_from([1, 1, 2, 3, EVERYTHING, EVERYTHING]),
    min_size=1,
    max_size=3,
)
delays = st.sampled_from([0, 0, 0, 30, 90])
untils = st.sampled_from(["started", "finished", "finished", "3600"])
wishes = st.builds(
    Wish,
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([5, 7]),
    needs=st.one_of(st.just({}), needs, needs),
    run_if_failed=st.booleans(),
    delay=delays,
    key=st.sampled_from([None, None, None, "k", "l", "m"]),
    until=untils,
    on_conflict=st.sampled_from(["keep", "replace", "earlier"]),
    args=st.sampled_from(["[1]", "[2]", "[3]"]),
)
picks = st.lists(st.integers(0, 20), min_size=1, max_size=5)
maybe_picks = st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=5, max_size=5)
six_booleans = st.lists(st.booleans(), min_size=6, max_size=6)
seldom = st.sampled_from([False, False, False, True])


class Machine(RuleBasedStateMachine):
    """The rules: each makes one call here and there."""

    connection: psycopg.Connection[Any]
    other: psycopg.Connection[Any]
    steps: Counter[str]

    @initialize(capacities=st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 4)))
    def begin(self, capacities: dict[str, int]) -> None:
        empty_tables(self.connection)
        self.model = Model()
        self.turn = 1
        self.is_congested = False
        self.claims: list[tuple[int, int, int]] = []
        self.host = hosts.register_host(self.connection, uuid4(), "here", 1, "0")
        self.workers = [self._worker(), self._worker()]
        for name, units in capacities.items():
            self._set_capacity(name, units)

    def _worker(self) -> int:
        worker = hosts.register_worker(self.connection, self.host, 1, "io", 0, 1)
        assert worker is not None
        return worker

    # Which rules come up how often.

    def _has_room(self) -> bool:
        return len(self._living()) < MANY

    def _now_and_then(self) -> bool:
        """Rarer than what jobs live of, unless that is not to be had."""
        stands_still = not self._has_room() and not self._running() and not self._queued()
        return self.turn % 3 == 0 or stands_still

    def _living(self) -> list[int]:
        return [job.id for job in self.model.jobs.values() if job.table != "history"]

    def _running(self) -> list[int]:
        return [job.id for job in self.model.inside("running")]

    def _queued(self) -> list[int]:
        return [job.id for job in self.model.inside("queued")]

    def _anything_runs(self) -> bool:
        return bool(self._running())

    def _anything_waits(self) -> bool:
        return bool(self._queued())

    def _due(self) -> bool:
        return any(job.due[0] <= self.model.now for job in self.model.inside("scheduled"))

    # Enqueue.

    @precondition(_has_room)
    @rule(
        new=st.lists(wishes, min_size=1, max_size=5),
        old=maybe_picks,
        siblings=maybe_picks,
        by_itself=seldom,
        is_foreign=st.booleans(),
        is_busy=seldom,
    )
    def enqueue_a_graph(
        self,
        new: list[Wish],
        old: list[int | None],
        siblings: list[int | None],
        by_itself: bool,
        is_foreign: bool,
        is_busy: bool,
    ) -> None:
        asked = self._with_parents(new, old, siblings)
        self_id = self._pick(self._running(), [0])[0] if by_itself and self._running() else None
        graph = NewGraph(tuple(map(_new_job, asked)), is_foreign, self_id)
        letters = len(self.model.mail)

        with self._dispatcher(is_busy):
            ids = enqueue_graph(self.connection, graph)
        self._expect_ids(ids, asked, self_id)
        if len(self.model.mail) > letters and not is_foreign:
            self._see_to_mail(is_busy)
        self._compare("enqueue a graph")

    def _with_parents(
        self, new: list[Wish], old: list[int | None], siblings: list[int | None]
    ) -> list[Wish]:
        known = sorted(self.model.jobs)
        asked = []
        for place, wish in enumerate(new):
            parents = set()
            if (pick := old[place]) is not None and known:
                parents.add(known[-1 - pick % len(known)])
            if (pick := siblings[place]) is not None and place:
                parents.add(-1 - pick % place)
            # Two that are moved by one call could be due at the same microsecond, in either order.
            if wish.on_conflict == "earlier" and place:
                wish = replace(wish, on_conflict="keep")
            asked.append(replace(wish, parents=tuple(parents)))
        return asked

    @precondition(lambda self: self._now_and_then() and self._has_room())
    @rule(count=st.integers(1, 3), wish=wishes, by_itself=seldom)
    def enqueue_jobs(self, count: int, wish: Wish, by_itself: bool) -> None:
        names = "klm"[:count]
        like = replace(wish, needs={}, run_if_failed=False)
        asked = [
            replace(like, key=wish.key and name, args=f"[{number}]")
            for number, name in enumerate(names)
        ]
        self_id = self._pick(self._running(), [0])[0] if by_itself and self._running() else None
        unique = {
            "keys": list(names),
            "until": wish.until,
            "on_conflict": wish.on_conflict,
            "self": self_id,
        }
        new = NewJobs(
            "shop.sync",
            [one.args for one in asked],
            [None] * count,
            queue=wish.queue,
            priority=wish.priority,
            delay=wish.delay * 60.0 or None,
            unique=json.dumps(unique) if wish.key else None,
        )

        self._expect_ids(jobs.enqueue_jobs(self.connection, new), asked, self_id)
        self._compare("enqueue jobs")

    def _expect_ids(self, ids: list[int], asked: list[Wish], self_id: int | None) -> None:
        assert self.model.enqueue(self._drawn_ids(ids), asked, self_id) == ids

    def _drawn_ids(self, ids: list[int]) -> list[int]:
        """What the sequence gave to a call: the ids that were used tell those that were not."""
        for place, number in enumerate(ids):
            if number > 0:
                return list(range(number - place, number - place + len(ids)))
        row = self.connection.execute("SELECT last_value FROM taskd.job_seq").fetchone()
        assert row is not None
        return list(range(row[0] - len(ids) + 1, row[0] + 1))

    # Claims and ends.

    @precondition(_anything_waits)
    @rule(worker=st.integers(0, 1), count=st.integers(1, 8), lanes=st.permutations(LANES))
    def claim(self, worker: int, count: int, lanes: Sequence[tuple[str, int]]) -> None:
        rows = self._claim(self.workers[worker], count, lanes)
        fences = [row[3] for row in rows]
        found = self.model.claim(lanes, count, self.workers[worker], fences)
        assert [row[0] for row in rows] == found
        assert all(fence > known for fence in fences for _, known, _ in self.claims)
        self.claims += [(row[0], row[3], self.workers[worker]) for row in rows]
        self._compare("claim")

    @precondition(_anything_waits)
    @rule(worker=st.integers(0, 1))
    def claim_all(self, worker: int) -> None:
        self.claim(worker, 100, LANES)

    def _claim(
        self, worker: int, count: int, lanes: Sequence[tuple[str, int]] = LANES
    ) -> list[list[Any]]:
        queues, levels = zip(*lanes, strict=True)
        marks = integer_array([0] * len(lanes))
        wanted = (text_array(queues), integer_array(levels), marks)
        rows = jobs.claim_jobs(self.connection, worker, wanted, count)
        assert rows is not None
        return rows

    @precondition(_anything_runs)
    @rule(
        picks=picks,
        states=st.lists(st.sampled_from("sssfc"), min_size=6, max_size=6),
        stale=st.lists(st.integers(0, 99), max_size=2),
        way=st.sampled_from(["own", "own", "fast", "foreign", "old snapshot"]),
        is_busy=seldom,
    )
    def complete(
        self, picks: list[int], states: list[str], stale: list[int], way: str, is_busy: bool
    ) -> None:
        worker, chosen = self._of_one_worker(picks)
        ends = [
            (job, "s" if way == "fast" else state)
            for job, state in zip(chosen, states, strict=False)
        ]
        lost = self._stale_claims(stale, chosen, worker)
        rows = [JobEnd(job, self.model.jobs[job].fence, 0.1, state) for job, state in ends]
        rows += [JobEnd(job, fence, 0.1, "f") for job, fence in lost]

        with self._dispatcher(is_busy):
            assert sorted(self._send_ends(worker, rows, way)) == sorted(job for job, _ in lost)
        self.model.complete(ends, tells_all=way == "old snapshot")
        if way in ("own", "fast"):
            self._see_to_mail(is_busy)
        self._compare("complete")

    @precondition(_anything_runs)
    @rule(picks=picks, is_busy=seldom)
    def succeed(self, picks: list[int], is_busy: bool) -> None:
        self.complete(picks, ["s"] * 6, [len(picks)], "fast", is_busy)

    def _send_ends(self, worker: int, rows: list[JobEnd], way: str) -> list[int]:
        if way == "fast":
            ids, fences = [row.id for row in rows], [row.fence for row in rows]
            return jobs.complete_succeeded(self.connection, worker, ids, fences, [0.1] * len(ids))
        if way == "own":
            return jobs.complete_jobs(self.connection, worker, rows)
        with self.connection.transaction():
            if way == "old snapshot":
                self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return jobs.complete_jobs(self.connection, worker, rows, is_own=False)

    @precondition(_anything_runs)
    @rule(
        picks=picks,
        outcomes=st.lists(st.sampled_from("rtzi"), min_size=6, max_size=6),
        delays=st.lists(delays, min_size=6, max_size=6),
        releases=six_booleans,
        stale=st.lists(st.integers(0, 99), max_size=2),
        is_busy=seldom,
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
        lost = self._stale_claims(stale, chosen, worker)
        rows = [
            JobRetry(job, self.model.jobs[job].fence, 0.1, outcome, delay * 60.0, release=release)
            for job, outcome, delay, release in again
        ]
        rows += [JobRetry(job, fence, 0.1, "r", 0.0) for job, fence in lost]
        letters, is_over = len(self.model.mail), self._is_any_to_be_cancelled(chosen)

        with self._dispatcher(is_busy):
            found = jobs.retry_jobs(self.connection, worker, rows)
        assert sorted(found) == sorted(job for job, _ in lost)
        self.model.retry(again)
        if len(self.model.mail) > letters or is_over:
            self._see_to_mail(is_busy)
        self._compare("retry")

    @precondition(_anything_runs)
    @rule(picks=picks, stale=st.lists(st.integers(0, 99), max_size=2), is_busy=seldom)
    def give_back(self, picks: list[int], stale: list[int], is_busy: bool) -> None:
        worker, chosen = self._of_one_worker(picks)
        rows = [(job, self.model.jobs[job].fence) for job in chosen]
        rows += self._stale_claims(stale, chosen, worker)
        ids, fences = zip(*rows, strict=True)
        is_over = self._is_any_to_be_cancelled(chosen)

        with self._dispatcher(is_busy):
            given = jobs.give_back_jobs(self.connection, worker, ids, fences)
        assert given == self.model.give_back(chosen)
        if is_over:
            self._see_to_mail(is_busy)
        self._compare("give back")

    def _is_any_to_be_cancelled(self, chosen: list[int]) -> bool:
        return any(self.model.jobs[job].is_to_be_cancelled for job in chosen)

    @precondition(_anything_runs)
    @rule(which=st.integers(0, 1), charge=st.booleans(), is_busy=seldom)
    def rescue(self, which: int, charge: bool, is_busy: bool) -> None:
        worker, self.workers[which] = self.workers[which], self._worker()
        ended = len(self.model.inside("history"))

        with self._dispatcher(is_busy):
            found = hosts.rescue_workers(self.connection, [worker], "killed", charge, JUDGEMENT)
        assert found == self.model.rescue(worker, "killed", charge, JUDGEMENT.max_losses)
        if len(self.model.inside("history")) > ended:
            self._see_to_mail(is_busy)
        self._compare("rescue")

    # What waits.

    @precondition(_now_and_then)
    @rule(minutes=st.sampled_from([30, 60]))
    def pass_time(self, minutes: int) -> None:
        self.connection.execute(_PASS_TIME, {"minutes": minutes})
        self.model.pass_time(minutes)
        self._compare("pass time")

    @precondition(_due)
    @rule(count=st.sampled_from([1, 2, 100]), is_busy=seldom)
    def promote(self, count: int, is_busy: bool) -> None:
        letters = len(self.model.mail)

        with self._dispatcher(is_busy):
            promoted = jobs.promote_jobs(self.connection, count).promoted
        assert promoted == self.model.promote(count)
        if len(self.model.mail) > letters:
            self._see_to_mail(is_busy)
        self._compare("promote")

    @precondition(lambda self: self.turn % 2 and self.model.jobs)
    @rule(picks=picks, unknown=st.booleans(), is_lazy=seldom)
    def cancel(self, picks: list[int], unknown: bool, is_lazy: bool) -> None:
        ids = sorted(self._pick(sorted(self.model.jobs), picks)) + [10**12] * unknown
        were_over = {job.id for job in self.model.inside("history")}

        self.model.cancel(ids)
        if is_lazy or self.is_congested:  # as if it had waited for the dispatcher in vain
            letter = "INSERT INTO taskd.mail (kind, ids) VALUES ('c', %s::bigint[])"
            self.connection.execute(letter, (integer_array(ids),))
        else:
            outcomes = jobs.cancel_jobs(self.connection, ids)
            self.model.dispatch()
            assert outcomes == {i: self.model.outcome(i, i in were_over) for i in ids}
        self._compare("cancel")

    @precondition(lambda self: self._now_and_then() and self.model.inside("history"))
    @rule(picks=picks)
    def requeue(self, picks: list[int]) -> None:
        olds = self._pick([job.id for job in self.model.inside("history")], picks[:2])

        with self._dispatcher(is_busy=False):
            renewed = jobs.requeue_jobs(self.connection, olds)
        assert list(renewed) == olds
        self.model.requeue(list(renewed.values()), olds)
        if any(self.model.jobs[old].wish.needs for old in olds):
            self._see_to_mail()
        self._compare("requeue")

    @precondition(lambda self: self._now_and_then() and self.model.jobs)
    @rule(picks=picks, queue=st.sampled_from(QUEUES))
    def move(self, picks: list[int], queue: str) -> None:
        ids = self._pick(self._queued() or sorted(self.model.jobs), picks)

        row = self.connection.execute(
            "SELECT taskd.move_jobs_v1(%s::bigint[], %s)", (integer_array(ids), queue)
        ).fetchone()
        assert row == (self.model.move(ids, queue),)
        self._compare("move")

    @precondition(_now_and_then)
    @rule(name=st.sampled_from(RESOURCES), units=st.one_of(st.none(), st.integers(0, 4)))
    def set_capacity(self, name: str, units: int | None) -> None:
        self._set_capacity(name, units)
        self._compare("set a capacity")

    def _set_capacity(self, name: str, units: int | None) -> None:
        with self._dispatcher(is_busy=False):
            self.connection.execute("SELECT taskd.set_capacity_v1(%s, %s)", (name, units))
        self.model.set_capacity(name, units)
        self._see_to_mail()

    @precondition(lambda self: self._now_and_then() and not self.is_congested)
    @rule()
    def congest(self) -> None:
        """From now on somebody else is always dispatching when we would: letters gather."""
        self.is_congested = True

    @precondition(lambda self: self.model.mail and (len(self.model.mail) > 5 or self.turn % 4 == 0))
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
        self.is_congested = self.is_congested and bool(self.model.mail)
        self._compare("dispatch")

    # Picking, and the busy dispatcher.

    @staticmethod
    def _pick(ids: list[int], picks: list[int]) -> list[int]:
        """Some of the ids, each once, the newest likelier to be picked."""
        return list(dict.fromkeys(ids[-1 - pick % len(ids)] for pick in picks))

    def _of_one_worker(self, picks: list[int]) -> tuple[int, list[int]]:
        """Running jobs of one worker, in the order of their ids."""
        chosen = self._pick(self._running(), picks)
        worker = self.model.jobs[chosen[0]].worker
        return worker, sorted(job for job in chosen if self.model.jobs[job].worker == worker)

    def _stale_claims(
        self, picks: list[int], chosen: list[int], worker: int
    ) -> list[tuple[int, int]]:
        """Claims of other times, or of other workers, whose outcomes were never recorded.

        If there are any of jobs that run again by now, then those: they could do harm.
        """
        stale = {}
        for id_, fence, claimer in self.claims:
            job = self.model.jobs[id_]
            is_current = job.table == "running" and (job.fence, claimer) == (fence, worker)
            if id_ not in chosen and not is_current:
                stale[id_] = fence
        harmful = {id_: stale[id_] for id_ in stale if self.model.jobs[id_].table == "running"}
        found = harmful or stale
        ids = self._pick(sorted(found), picks) if found and picks else []
        return [(id_, found[id_]) for id_ in ids if not self._is_recorded(id_, found[id_])]

    def _is_recorded(self, job: int, fence: int) -> bool:
        lost = "SELECT taskd.lost_jobs_v1(ARRAY[%s::bigint], ARRAY[%s::bigint])"
        return self.connection.execute(lost, (job, fence)).fetchone() == (None,)

    @contextmanager
    def _dispatcher(self, is_busy: bool) -> Iterator[None]:
        """While inside, somebody else is dispatching, if is_busy."""
        if not (is_busy or self.is_congested):
            yield
            return
        with self.other.transaction():
            assert self.other.execute(_DISPATCH_LOCK).fetchone() == (True,)
            yield

    def _see_to_mail(self, is_busy: bool = False) -> None:
        if not (is_busy or self.is_congested):
            self.model.dispatch()

    # The comparison, and the end.

    def _compare(self, step: str) -> None:
        self.steps[step] += 1
        self.turn += 1
        assert take_snapshot(self.connection) == expected_snapshot(self.model)
        self._check_lines()

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
        hosts.rescue_workers(self.connection, self.workers, "the end", charge=False)
        worker = self._worker()
        for _ in range(100):
            self.connection.execute(_PASS_TIME, {"minutes": 600})
            mail.dispatch(self.connection)
            jobs.promote_jobs(self.connection, 1000)
            rows = self._claim(worker, 1000)
            if not rows and not self._left():
                break
            if rows:
                ids, fences = [row[0] for row in rows], [row[3] for row in rows]
                jobs.complete_succeeded(self.connection, worker, ids, fences, [0.1] * len(ids))
        assert self._left() == {}
        counts = "SELECT count(*), count(DISTINCT id) FROM taskd.history"
        known = len(self.model.jobs)
        assert self.connection.execute(counts).fetchone() == (known, known)

    def _left(self) -> dict[str, Any]:
        left = take_snapshot(self.connection)
        return {name: left[name] for name in left.keys() - {"history", "keys"}}


def _new_job(wish: Wish) -> NewJob:
    return NewJob(
        task="shop.sync",
        args=wish.args,
        queue=wish.queue,
        priority=wish.priority,
        delay=wish.delay * 60.0 or None,
        key=wish.key,
        until=wish.until,
        on_conflict=wish.on_conflict,
        run_if_failed=wish.run_if_failed,
        parents=wish.parents,
        res=tuple(wish.needs),
        need=tuple(wish.needs.values()),
    )


def run_machine(dsn: str, examples: int, number: int, shrink: bool = True) -> Counter[str]:
    """Run so many examples, always the same for one `number`; the steps by their kind."""
    with (
        psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection,
        psycopg.connect(dsn) as other,
    ):
        connection.execute("SET synchronous_commit = off")
        Machine.connection, Machine.other, Machine.steps = connection, other, Counter()
        run_state_machine_as_test(
            seed(number)(Machine),
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS_AN_EXAMPLE,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            ),
        )
    return Machine.steps
