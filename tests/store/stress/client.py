"""One process that enqueues, claims, ends, cancels and rescues at random until its time is over."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg

from taskd.store import connect, hosts, jobs, mail
from taskd.store.graph import enqueue_graph
from taskd.store.rows import JobEnd, JobRetry, NewGraph, NewJob, NewJobs
from tests.store.graph_makers import EXCLUSIVE, new_job
from tests.store.makers import lanes
from tests.store.stress import witness

EXCLUSIVES = [f"x{number}" for number in range(12)]
SHARED = [f"s{number}" for number in range(3)]
COUNTED = ["c1", "c3", "c10"]
MIXED = [f"m{number}" for number in range(4)]
QUEUES = ("a", "b")
MOST_BLOCKED = 1500


def some_needs(chance: random.Random) -> dict[str, int]:
    """What a job may ask for."""
    kind = chance.random()
    if kind < 0.35:
        return dict.fromkeys(chance.sample(EXCLUSIVES, chance.choice([1, 2, 3])), EXCLUSIVE)
    if kind < 0.5:
        return {chance.choice(SHARED): 1, chance.choice(EXCLUSIVES): EXCLUSIVE}
    if kind < 0.6:
        return {chance.choice(COUNTED): 1}
    if kind < 0.7:
        return {chance.choice(COUNTED): 1, chance.choice(MIXED): chance.choice([1, 1, EXCLUSIVE])}
    if kind < 0.8:
        return {name: chance.choice([1, 1, 2, EXCLUSIVE]) for name in chance.sample(MIXED, 2)}
    return {}


class Client:
    """A worker, and a program that enqueues, in one."""

    def __init__(self, dsn: str, host: int, pid: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._connection = connect.connect(dsn)
        self._host, self._pid = host, pid
        self._worker = self._register()
        self._mine: dict[int, int] = {}  # the fences of what it runs
        self._known: list[int] = []
        self.done: Counter[str] = Counter()

    def _register(self) -> int:
        worker = hosts.register_worker(self._connection, self._host, self._pid, "io", 0, 1)
        if worker is None:
            raise AssertionError("the host has ended")
        return worker

    def run(self, until: float) -> None:
        """Do something at random until then."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.enqueue, 12),
            (self.enqueue_in_a_transaction, 5),
            (self.enqueue_unique, 6),
            (self.claim, 40),
            (self.end, 22),
            (self.end_in_a_transaction, 4),
            (self.retry, 6),
            (self.give_back, 2),
            (self.cancel, 4),
            (self.move, 1),
            (self.promote, 3),
            (self.rescue, 2),
        ]
        choices, weights = zip(*actions, strict=True)
        while time.monotonic() < until:
            action = self._chance.choices(choices, weights)[0]
            try:
                action()
            except psycopg.errors.SerializationFailure:
                self.done["serialization failures"] += 1
            else:
                self.done[action.__name__] += 1
        rows = list(self.done.items())
        self._connection.cursor().executemany("INSERT INTO stress.done VALUES (%s, %s)", rows)

    # Enqueue.

    def _new_jobs(self) -> list[NewJob]:
        chance = self._chance
        made = []
        for number in range(1, chance.choice([1, 3, 10, 30]) + 1):
            parents = set()
            if number > 1 and chance.random() < 0.3:
                parents.add(-chance.randrange(1, number))
            if self._known and chance.random() < 0.2:
                parents.add(chance.choice(self._known[-30:]))
            made.append(
                new_job(
                    needs=some_needs(chance),
                    parents=tuple(parents),
                    run_if_failed=chance.random() < 0.5,
                    queue=chance.choice(QUEUES),
                    delay=0.05 if chance.random() < 0.1 else None,
                    max_attempts=5,
                )
            )
        return made

    def _note(self, ids: list[int]) -> None:
        new = [job for job in ids if job > 0]
        self._known += new
        self._connection.execute("INSERT INTO stress.enqueued SELECT unnest(%s::bigint[])", (new,))

    def _is_full(self) -> bool:
        row = self._connection.execute("SELECT count(*) FROM taskd.blocked").fetchone()
        return row is None or row[0] > MOST_BLOCKED

    def enqueue(self) -> None:
        """A graph in one call."""
        if not self._is_full():
            with self._connection.transaction():
                self._note(enqueue_graph(self._connection, NewGraph(tuple(self._new_jobs()))))

    def enqueue_in_a_transaction(self) -> None:
        """Two graphs in a slow transaction that may be rolled back."""
        if self._is_full():
            return
        known = len(self._known)
        give_up = self._chance.random() < 0.3
        with self._connection.transaction(force_rollback=give_up):
            for _ in range(2):
                graph = NewGraph(tuple(self._new_jobs()), always_notify=True)
                self._note(enqueue_graph(self._connection, graph))
                time.sleep(self._chance.random() * 0.03)
        if give_up:
            del self._known[known:]

    def enqueue_unique(self) -> None:
        """Jobs with keys that others want, too."""
        keys = [f"k{self._chance.randrange(20)}" for _ in range(self._chance.choice([1, 5]))]
        unique = {
            "keys": keys,
            "until": self._chance.choice(["started", "finished"]),
            "on_conflict": self._chance.choice(["keep", "replace", "earlier"]),
            "self": next(iter(self._mine), None),
        }
        new = NewJobs(
            "shop.sync",
            ["[]"] * len(keys),
            [None] * len(keys),
            queue=self._chance.choice(QUEUES),
            delay=self._chance.choice([None, 0.05]),
            unique=json.dumps(unique),
        )
        with self._connection.transaction():
            self._note(jobs.enqueue_jobs(self._connection, new))

    # Work.

    def claim(self) -> None:
        """Claim, and tell the witness."""
        wanted = [(queue, lane, 0) for queue in QUEUES for lane in (10, 25, 5)]
        count = self._chance.choice([1, 5, 20])
        rows = jobs.claim_jobs(self._connection, self._worker, lanes(*wanted), count)
        if rows is None:  # somebody took this worker for dead
            self._worker, self._mine = self._register(), {}
            return
        if rows:
            self._mine |= {row[0]: row[3] for row in rows}
            self._known += [row[0] for row in rows[:3]]
            witness.hold(self._connection, self._worker, sorted(row[0] for row in rows))

    def _some_of_mine(self) -> list[tuple[int, int]]:
        count = self._chance.randrange(len(self._mine) + 1)
        chosen = sorted(self._chance.sample(list(self._mine.items()), count))
        for job, _ in chosen:
            del self._mine[job]
        return chosen

    def _ends(self, chosen: list[tuple[int, int]]) -> list[JobEnd]:
        ends = [JobEnd(job, fence, 0.1, self._chance.choice("sssf")) for job, fence in chosen]
        stale = [JobEnd(job, fence - 1, 0.1, "s") for job, fence in list(self._mine.items())[:1]]
        return ends + stale

    def end(self) -> None:
        """Complete, in a short transaction with the witness."""
        if chosen := self._some_of_mine():
            with self._connection.transaction():
                witness.let_go(self._connection, self._worker, [job for job, _ in chosen])
                jobs.complete_jobs(self._connection, self._worker, self._ends(chosen))
            mail.dispatch(self._connection)

    def end_in_a_transaction(self) -> None:
        """Complete in a slow transaction of a caller's, at any isolation level."""
        if not (chosen := self._some_of_mine()):
            return
        try:
            with self._connection.transaction():
                if self._chance.random() < 0.5:
                    self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                self._connection.execute("SELECT count(*) FROM stress.dead")
                time.sleep(self._chance.random() * 0.02)
                witness.let_go(self._connection, self._worker, [job for job, _ in chosen])
                jobs.complete_jobs(self._connection, self._worker, self._ends(chosen), is_own=False)
                time.sleep(self._chance.random() * 0.02)
        except psycopg.errors.SerializationFailure:
            self._mine |= dict(chosen)
            raise

    def retry(self) -> None:
        """Another attempt, later or at once, with or without what it holds."""
        if not (chosen := self._some_of_mine()):
            return
        again = [
            JobRetry(
                job,
                fence,
                0.1,
                self._chance.choice("rtzi"),
                self._chance.choice([0.0, 0.02]),
                release=self._chance.random() < 0.5,
            )
            for job, fence in chosen
        ]
        with self._connection.transaction():
            witness.let_go(self._connection, self._worker, [job for job, _ in chosen])
            jobs.retry_jobs(self._connection, self._worker, again)

    def give_back(self) -> None:
        """Return some as if they had never been claimed."""
        if chosen := self._some_of_mine():
            ids, fences = zip(*chosen, strict=True)
            with self._connection.transaction():
                witness.let_go(self._connection, self._worker, list(ids))
                jobs.give_back_jobs(self._connection, self._worker, ids, fences)

    # What else happens to jobs.

    def cancel(self) -> None:
        """Cancel some that are known, wherever they are."""
        if self._known:
            recent = self._known[-200:]
            jobs.cancel_jobs(self._connection, self._chance.sample(recent, min(3, len(recent))))

    def move(self) -> None:
        """Let some wait in another queue."""
        self._connection.execute(
            "SELECT taskd.move_jobs_v1(%s, %s)", (self._known[-50:], self._chance.choice(QUEUES))
        )

    def promote(self) -> None:
        """Whatever is due."""
        jobs.promote_jobs(self._connection, self._chance.choice([5, 100]))

    def rescue(self) -> None:
        """Give back the jobs of the dead, and now and then of a living one: itself."""
        rows = self._connection.execute("SELECT worker FROM stress.dead").fetchall()
        dead = [row[0] for row in rows] + [self._worker] * (self._chance.random() < 0.05)
        if dead:
            rescue_all(self._connection, dead)


def rescue_all(connection: psycopg.Connection[Any], workers: list[int]) -> None:
    """End workers; the witness forgets what they held in the same transaction."""
    with connection.transaction():
        connection.execute(
            "SELECT FROM taskd.worker WHERE id = ANY (%s) ORDER BY id FOR UPDATE", (workers,)
        )
        connection.execute(
            "SELECT FROM taskd.running WHERE worker = ANY (%s) ORDER BY id FOR UPDATE", (workers,)
        )
        connection.execute("DELETE FROM stress.held WHERE worker = ANY (%s)", (workers,))
        hosts.rescue_workers(connection, workers, "killed", charge=False)
