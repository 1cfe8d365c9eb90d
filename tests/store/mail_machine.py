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
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskd.errors import ParentUnknown
from taskd.store import bulk, hosts, jobs
from taskd.store.graph import enqueue_graph
from taskd.store.host_rows import Judgement
from taskd.store.limits import declare_limits
from taskd.store.literals import integer_array
from taskd.store.rows import JobEnd, JobRetry, NewGraph, NewJobs, State
from tests.store.conftest import empty_tables
from tests.store.mail_checks import check_lines, check_suspects
from tests.store.mail_end import claim, end_everything, pass_time, stretch_pause
from tests.store.mail_jobs import QUARANTINE_LANE, Terms, Wish
from tests.store.mail_model import Model
from tests.store.mail_snapshot import difference, expected_snapshot, take_snapshot
from tests.store.mail_wishes import (
    QUEUES,
    RATE,
    RESOURCES,
    as_limit,
    delays,
    extra,
    judgements,
    maybe_picks,
    new_job,
    picks,
    queue_units,
    said_units,
    seldom,
    six_booleans,
    wishes,
    with_terms,
)

LANES = [(queue, lane) for queue in QUEUES for lane in (10, 27, 7, 25, 5)]
LANES += [(queue, QUARANTINE_LANE) for queue in QUEUES]
STATES = {State.SUCCEEDED: "s", State.FAILED: "f", State.CANCELLED: "c"}
STEPS_AN_EXAMPLE = 60
MANY = 20
"""Living jobs; with so many nothing is enqueued until some have ended."""
TAKES = ((), ("a",))
"""The queues that the two workers claim from; () is all."""

_DISPATCH_LOCK = "SELECT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1)"


class Machine(RuleBasedStateMachine):
    """The rules: each makes one call here and there."""

    connection: psycopg.Connection[Any]
    other: psycopg.Connection[Any]
    steps: Counter[str]

    @initialize(
        capacities=st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 4)),
        limited=st.one_of(
            st.just({}), st.just({}), st.dictionaries(st.sampled_from(QUEUES), queue_units)
        ),
        is_rated=st.booleans(),
    )
    def begin(
        self, capacities: dict[str, int], limited: dict[str, int | None], is_rated: bool
    ) -> None:
        empty_tables(self.connection)
        self.model = Model()
        self.state = self.model.state
        self.turn = 1
        self.is_congested = False
        self.claims: list[tuple[int, int, int]] = []
        self.purged: list[int] = []
        self._hire()
        self.rates = {"b": RATE} if is_rated else {}
        self.limits: dict[str, Terms] = {}
        for queue, units in limited.items():
            self._limit(queue, units)
        for name, units in capacities.items():
            self._set_capacity(name, units)

    def _hire(self) -> None:
        """A new host, and its workers."""
        self.host = hosts.register_host(self.connection, uuid4(), "here", 1, "0")
        self.workers = [self._worker(which) for which in range(len(TAKES))]

    def _worker(self, which: int) -> int:
        queues = TAKES[which]
        with self._dispatcher(is_busy=False):
            worker = hosts.register_worker(
                self.connection, self.host, 1, "io", which, 1, queues=queues
            )
            assert worker is not None
            self.model.register_worker(worker, queues)
        return worker

    # Which rules come up how often.

    def _has_room(self) -> bool:
        return len(self._living()) < MANY

    def _now_and_then(self) -> bool:
        """Rarer than what jobs live of, unless that is not to be had."""
        stands_still = not self._has_room() and not self._running() and not self._queued()
        return self.turn % 3 == 0 or stands_still

    def _living(self) -> list[int]:
        return [job.id for job in self.state.jobs.values() if job.table != "history"]

    def _running(self) -> list[int]:
        return [job.id for job in self.state.inside("running")]

    def _queued(self) -> list[int]:
        return [job.id for job in self.state.inside("queued")]

    def _anything_runs(self) -> bool:
        return bool(self._running())

    def _anything_waits(self) -> bool:
        return bool(self._queued())

    def _due(self) -> bool:
        times = [job.due[0] for job in self.state.inside("scheduled")]
        times += self.state.lines.retries().values()
        return any(time <= self.state.now for time in times)

    # Enqueue.

    @precondition(_has_room)
    @rule(
        new=st.lists(wishes, min_size=1, max_size=5),
        units=said_units,
        old=maybe_picks,
        siblings=maybe_picks,
        by_itself=seldom,
        is_foreign=st.booleans(),
        is_busy=seldom,
    )
    def enqueue_a_graph(
        self,
        new: list[Wish],
        units: dict[str, int | None],
        old: list[int | None],
        siblings: list[int | None],
        by_itself: bool,
        is_foreign: bool,
        is_busy: bool,
    ) -> None:
        asked = [with_terms(wish, units) for wish in self._with_parents(new, old, siblings)]
        self_id = self._pick(self._running(), [0])[0] if by_itself and self._running() else None
        graph = NewGraph(tuple(map(new_job, asked)), is_foreign, self_id)

        with self._dispatcher(is_busy):
            ids = enqueue_graph(self.connection, graph)
            drawn = self._drawn_ids(ids)
            assert self.model.enqueue_graph(drawn, asked, self_id, is_foreign) == ids
        self._compare("enqueue a graph")

    def _with_parents(
        self, new: list[Wish], old: list[int | None], siblings: list[int | None]
    ) -> list[Wish]:
        known = sorted(self.state.jobs)
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
        names = "k" if wish.on_conflict == "earlier" else "klm"[:count]  # see _with_parents
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
            [None] * len(asked),
            queue=wish.queue,
            priority=wish.priority,
            delay=wish.delay * 60.0 or None,
            extra=json.dumps(extra(wish)) if extra(wish) else None,
            max_attempts=wish.max_attempts,
            unique=json.dumps(unique) if wish.key else None,
        )

        with self._dispatcher(is_busy=False):
            ids = jobs.enqueue_jobs(self.connection, new)
            assert self.model.enqueue_jobs(self._drawn_ids(ids), asked, self_id) == ids
        self._compare("enqueue jobs")

    @precondition(lambda self: self._now_and_then() and self.turn % 2 and self.purged)
    @rule(pick=st.integers(0, 20), wish=wishes)
    def enqueue_after_a_forgotten_job(self, pick: int, wish: Wish) -> None:
        """That is refused before anything is stored."""
        parent = self._pick(self.purged, [pick])[0]
        new = [new_job(wish), new_job(replace(wish, parents=(parent,)))]

        with pytest.raises(ParentUnknown, match=f"{parent}"):
            enqueue_graph(self.connection, NewGraph(tuple(new)))
        self._compare("enqueue after a forgotten job")

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
    def claim_some(self, worker: int, count: int, lanes: Sequence[tuple[str, int]]) -> None:
        lanes = self._lanes_to_ask_for(self.workers[worker], lanes)
        if not lanes:
            return
        rows = claim(self.connection, self.workers[worker], count, lanes)
        fences = [row[3] for row in rows]
        found = self.model.claimable(lanes, count)
        assert [row[0] for row in rows] == [job.id for job in found]
        late = [row[0] for row in rows if row[10] and row[10].get("is_late")]
        assert late == self.model.late(found)
        self.model.claim(lanes, count, self.workers[worker], fences)
        assert all(fence > known for fence in fences for _, known, _ in self.claims)
        self.claims += [(row[0], row[3], self.workers[worker]) for row in rows]
        self._compare("claim")

    def _lanes_to_ask_for(
        self, worker: int, lanes: Sequence[tuple[str, int]]
    ) -> Sequence[tuple[str, int]]:
        """As a worker asks: for a suspect only if it runs nothing, and for nothing beside one."""
        own = [job for job in self.state.inside("running") if job.worker == worker]
        if any(job.is_suspect for job in own):
            return ()
        return [one for one in lanes if one[1] != QUARANTINE_LANE] if own else lanes

    @precondition(_anything_waits)
    @rule(worker=st.integers(0, 1))
    def claim_all(self, worker: int) -> None:
        self.claim_some(worker, 100, LANES)

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
        rows = [JobEnd(job, self.state.jobs[job].fence, 0.1, state) for job, state in ends]
        rows += [JobEnd(job, fence, 0.1, "f") for job, fence in lost]

        with self._dispatcher(is_busy):
            assert sorted(self._send_ends(worker, rows, way)) == sorted(job for job, _ in lost)
            self.model.attempts.complete(
                ends, way in ("own", "fast"), tells_all=way == "old snapshot"
            )
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
            JobRetry(job, self.state.jobs[job].fence, 0.1, outcome, delay * 60.0, release=release)
            for job, outcome, delay, release in again
        ]
        rows += [JobRetry(job, fence, 0.1, "r", 0.0) for job, fence in lost]

        with self._dispatcher(is_busy):
            found = jobs.retry_jobs(self.connection, worker, rows)
            self.model.attempts.retry(again)
        assert sorted(found) == sorted(job for job, _ in lost)
        self._compare("retry")

    @precondition(_anything_runs)
    @rule(picks=picks, stale=st.lists(st.integers(0, 99), max_size=2), is_busy=seldom)
    def give_back(self, picks: list[int], stale: list[int], is_busy: bool) -> None:
        worker, chosen = self._of_one_worker(picks)
        rows = [(job, self.state.jobs[job].fence) for job in chosen]
        rows += self._stale_claims(stale, chosen, worker)
        ids, fences = zip(*rows, strict=True)

        with self._dispatcher(is_busy):
            given = jobs.give_back_jobs(self.connection, worker, ids, fences)
            assert given == self.model.attempts.give_back(chosen)
        self._compare("give back")

    # Deaths.

    @precondition(_anything_runs)
    @rule(
        picks=picks,
        judgement=judgements,
        charge=st.booleans(),
        begun=st.one_of(st.none(), picks),
        is_stale=seldom,
        is_busy=seldom,
    )
    def rescue(
        self,
        picks: list[int],
        judgement: Judgement,
        charge: bool,
        begun: list[int] | None,
        is_stale: bool,
        is_busy: bool,
    ) -> None:
        """A worker dies; maybe because of one of its jobs, or of one that it has no more."""
        worker, chosen = self._of_one_worker(picks)
        culprit = self._pick(sorted(self.state.jobs) if is_stale else chosen, picks)[0]
        judgement = replace(
            judgement,
            culprit=culprit if judgement.why else 0,
            begun=None if begun is None else tuple(self._pick(self._running(), begun)),
        )
        which = self.workers.index(worker)
        self.workers[which] = self._worker(which)

        with self._dispatcher(is_busy), self.connection.transaction():
            found = hosts.rescue_workers(self.connection, [worker], "killed", charge, judgement)
            *counts, pause = self.model.attempts.rescue([worker], "killed", charge, judgement)
            assert list(found) == counts
            if pause is not None:
                assert stretch_pause(self.connection, judgement.culprit) == pause
        self._compare("rescue" + f" ({judgement.why})" * (judgement.why != ""))

    @precondition(lambda self: self._now_and_then() and self._anything_runs())
    @rule(picks=picks, is_busy=seldom)
    def lose_a_worker(self, picks: list[int], is_busy: bool) -> None:
        """All that it ran may be to blame."""
        self.rescue(picks, Judgement(), True, None, False, is_busy)

    @precondition(lambda self: self._stubborn())
    @rule(is_busy=seldom)
    def kill_for_a_cancel(self, is_busy: bool) -> None:
        place = self._running()[::-1].index(self._stubborn()[0])
        self.rescue([place], Judgement(why="cancel"), False, None, False, is_busy)

    def _stubborn(self) -> list[int]:
        """What still runs though it is to be cancelled."""
        return [job for job in self._running() if self.state.jobs[job].is_to_be_cancelled]

    @precondition(lambda self: self._now_and_then() and self._anything_runs())
    @rule(beat=st.sampled_from([None, 0, 1]), charge=st.booleans(), judgement=judgements)
    def rescue_host(self, beat: int | None, charge: bool, judgement: Judgement) -> None:
        """A host is declared dead whose beat stood at 0, and another takes its place."""
        host, workers = self.host, self.workers
        if beat == 1:  # it has gone on since
            found = hosts.rescue_host(self.connection, host, beat, "silent", charge, judgement)
            assert found == (0, 0)
            self._compare("rescue a host that lives")
            return
        self._hire()
        self._declare()

        with self._dispatcher(is_busy=False):
            found = hosts.rescue_host(self.connection, host, beat, "silent", charge, judgement)
            anybody = replace(judgement, why="", interrupted=False)
            assert found == self.model.attempts.rescue(workers, "silent", charge, anybody)[:2]
            again = hosts.rescue_host(self.connection, host, beat, "silent", charge, judgement)
            assert again == (0, 0)
        self._compare("rescue a host")

    # What waits.

    @precondition(_now_and_then)
    @rule(minutes=st.sampled_from([30, 60]))
    def pass_time(self, minutes: int) -> None:
        pass_time(self.connection, minutes)
        self.model.pass_time(minutes)
        self._compare("pass time")

    @precondition(_due)
    @rule(count=st.sampled_from([1, 2, 100]), is_busy=seldom)
    def promote(self, count: int, is_busy: bool) -> None:
        with self._dispatcher(is_busy):
            promoted = jobs.promote_jobs(self.connection, count).promoted
            assert promoted == self.model.promote(count)
        self._compare("promote")

    @precondition(lambda self: self.turn % 2 and self.state.jobs)
    @rule(picks=picks, unknown=st.booleans(), is_lazy=seldom)
    def cancel(self, picks: list[int], unknown: bool, is_lazy: bool) -> None:
        ids = sorted(self._pick(sorted(self.state.jobs), picks)) + [10**12] * unknown
        were_over = {job.id for job in self.state.inside("history")}

        self.model.cancel(ids)
        if is_lazy or self.is_congested:  # as if it had waited for the dispatcher in vain
            letter = "INSERT INTO taskd.mail (kind, ids) VALUES ('c', %s::bigint[])"
            self.connection.execute(letter, (integer_array(ids),))
        else:
            outcomes = jobs.cancel_jobs(self.connection, ids)
            self.model.dispatcher.dispatch()
            assert outcomes == {i: self.model.outcome(i, i in were_over) for i in ids}
        self._compare("cancel")

    @precondition(lambda self: self._now_and_then() and self.state.inside("history"))
    @rule(picks=picks)
    def requeue(self, picks: list[int]) -> None:
        olds = self._pick([job.id for job in self.state.inside("history")], picks[:2])

        with self._dispatcher(is_busy=False):
            renewed = jobs.requeue_jobs(self.connection, olds)
            self.model.requeue(list(renewed.values()), olds)
        assert list(renewed) == olds
        self._compare("requeue")

    @precondition(lambda self: self._now_and_then() and self.state.inside("history"))
    @rule(
        states=st.sets(st.sampled_from(list(STATES)), min_size=1),
        queue=st.sampled_from([None, *QUEUES]),
    )
    def purge(self, states: set[State], queue: str | None) -> None:
        purged = {j.id for j in self.state.inside("history")}

        steps = bulk.purge_jobs(self.connection, 0.0, list(states), queue)
        found = sum(forgotten for _, forgotten in steps)
        assert found == self.model.purge("".join(STATES[state] for state in states), queue)
        self.purged += sorted(purged - self.state.jobs.keys())
        self._compare("purge")

    @precondition(lambda self: self._now_and_then() and self.state.jobs and not self.is_congested)
    @rule(picks=picks, queue=st.sampled_from(QUEUES))
    def move(self, picks: list[int], queue: str) -> None:
        ids = self._pick(self._queued() or sorted(self.state.jobs), picks)

        row = self.connection.execute(
            "SELECT taskd.move_jobs_v1(%s::bigint[], %s)", (integer_array(ids), queue)
        ).fetchone()
        assert row == (self.model.limits.move(ids, queue),)
        self._compare("move")

    @precondition(lambda self: self._now_and_then() and not self.is_congested)
    @rule(name=st.sampled_from(RESOURCES), units=st.one_of(st.none(), st.integers(0, 4)))
    def set_capacity(self, name: str, units: int | None) -> None:
        self._set_capacity(name, units)
        self._compare("set a capacity")

    def _set_capacity(self, name: str, units: int | None) -> None:
        with self._dispatcher(is_busy=False):
            self.connection.execute("SELECT taskd.set_capacity_v1(%s, %s)", (name, units))
            self.model.limits.set_capacity(name, units)

    @precondition(lambda self: self.turn % 2 and self.state.jobs and not self.is_congested)
    @rule(queue=st.sampled_from(QUEUES), units=queue_units, is_the_operator=st.booleans())
    def limit_a_queue(self, queue: str, units: int | None, is_the_operator: bool) -> None:
        """By the file of the host, or over its head, unless that gives a rate."""
        if is_the_operator and queue not in self.rates:
            self._set_capacity(f"@queue {queue}", units)
        else:
            self._limit(queue, units)
        self._compare("limit a queue")

    def _limit(self, queue: str, units: int | None) -> None:
        name, rate = f"@queue {queue}", self.rates.get(queue)
        self.limits.pop(name, None)
        if rate is not None:
            self.limits[name] = replace(rate, units=units)
        elif units is not None:
            self.limits[name] = Terms(units)

        self._declare()
        self.model.limits.declare(name, self.limits.get(name))

    def _declare(self) -> None:
        declared = {name: as_limit(terms) for name, terms in self.limits.items()}
        declare_limits(self.connection, self.host, declared)

    @precondition(lambda self: self._now_and_then() and not self.is_congested)
    @rule()
    def congest(self) -> None:
        """From now on somebody else is always dispatching when we would: letters gather."""
        self.is_congested = True

    @precondition(lambda self: self.state.mail and (len(self.state.mail) > 5 or self.turn % 4 == 0))
    @rule(
        letters=st.sampled_from([1, 2, 3, 100]),
        rounds=st.sampled_from([1, 10]),
        arrivals=st.sampled_from([1, 3, 500]),
    )
    def dispatch(self, letters: int, rounds: int, arrivals: int) -> None:
        row = self.connection.execute(
            "SELECT taskd.dispatch_v1(%s, %s, %s)", (letters, rounds, arrivals)
        ).fetchone()
        assert row == (self.model.dispatcher.dispatch(letters, rounds, arrivals),)
        self.is_congested = self.is_congested and bool(self.state.mail)
        self._compare("dispatch")

    # Picking, and the busy dispatcher.

    @staticmethod
    def _pick(ids: list[int], picks: list[int]) -> list[int]:
        """Some of the ids, each once, the newest likelier to be picked."""
        return list(dict.fromkeys(ids[-1 - pick % len(ids)] for pick in picks))

    def _of_one_worker(self, picks: list[int]) -> tuple[int, list[int]]:
        """Running jobs of one worker, in the order of their ids."""
        chosen = self._pick(self._running(), picks)
        worker = self.state.jobs[chosen[0]].worker
        return worker, sorted(job for job in chosen if self.state.jobs[job].worker == worker)

    def _stale_claims(
        self, picks: list[int], chosen: list[int], worker: int
    ) -> list[tuple[int, int]]:
        """Claims of other times, or of other workers, whose outcomes were never recorded.

        If there are any of jobs that run again by now, then those: they could do harm.
        """
        stale, running = {}, self._running()
        for id_, fence, claimer in self.claims:
            job = self.state.jobs.get(id_)
            is_current = job is not None and (job.table, job.fence, claimer) == (
                "running",
                fence,
                worker,
            )
            if id_ not in chosen and not is_current:
                stale[id_] = fence
        harmful = {id_: stale[id_] for id_ in stale if id_ in running}
        found = harmful or stale
        ids = self._pick(sorted(found), picks) if found and picks else []
        return [(id_, found[id_]) for id_ in ids if not self._is_recorded(id_, found[id_])]

    def _is_recorded(self, job: int, fence: int) -> bool:
        lost = "SELECT taskd.lost_jobs_v1(ARRAY[%s::bigint], ARRAY[%s::bigint])"
        return self.connection.execute(lost, (job, fence)).fetchone() == (None,)

    @contextmanager
    def _dispatcher(self, is_busy: bool) -> Iterator[None]:
        """While inside, somebody else is dispatching, if is_busy."""
        self.state.is_busy = is_busy or self.is_congested
        if not self.state.is_busy:
            yield
            return
        with self.other.transaction():
            assert self.other.execute(_DISPATCH_LOCK).fetchone() == (True,)
            yield
        self.state.is_busy = False

    # The comparison, and the end.

    def _compare(self, step: str) -> None:
        self.steps[step] += 1
        self.turn += 1
        found, expected = take_snapshot(self.connection), expected_snapshot(self.model)
        assert found == expected, difference(found, expected)
        check_lines(self.state)
        check_suspects(self.state)

    def teardown(self) -> None:
        """Everything ends, and nothing is left held."""
        if not hasattr(self, "model"):
            return
        declare_limits(self.connection, self.host, {})
        for name in [*RESOURCES, *(f"@queue {queue}" for queue in QUEUES)]:
            self.connection.execute("SELECT taskd.set_capacity_v1(%s, NULL)", (name,))
        hosts.rescue_workers(self.connection, self.workers, "the end", charge=False)

        assert end_everything(self.connection, self._worker(0), LANES) == {}
        counts = "SELECT count(*), count(DISTINCT id) FROM taskd.history"
        known = len(self.state.jobs)
        assert self.connection.execute(counts).fetchone() == (known, known)


def run_machine(dsn: str, examples: int, number: int, shrink: bool = True) -> Counter[str]:
    """Run so many examples, always the same for one `number`; the steps by their kind."""
    with (
        psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection,
        psycopg.connect(dsn) as other,
    ):
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET lock_timeout = '10s'")
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
