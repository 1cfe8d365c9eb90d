"""The judge finds each kind of fault, or its acquittals would be worth nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from taskd.store import jobs
from taskd.store.connect import Connection
from taskd.store.rows import JobRetry
from tests.faults import work
from tests.faults.ledger import AnyTask, Ledger
from tests.faults.plan import make_plan
from tests.store.makers import add_worker, claim

DOUBLED = """
INSERT INTO taskd.history (
    id, fence, created_at, finished_at, priority, attempt, max_attempts, state, queue, task, args)
SELECT id, fence, created_at, finished_at, priority, attempt, max_attempts, state, queue, task, args
FROM taskd.history
WHERE id = %(id)s
"""


@dataclass
class Bench:
    """A ledger with jobs that a worker in this process runs."""

    ledger: Ledger
    connection: Connection
    worker: int

    def run(self, *, ends: bool = True, books: int = 0) -> list[tuple[int, int]]:
        """Claim everything, leave an effect for each, and end it; (id, fence) of each."""
        held = [(row[0], row[3]) for row in claim(self.connection, self.worker, 100)]
        for job, fence in held:
            self.connection.execute("INSERT INTO ledger.effect VALUES (%s, 1, %s, 7)", [job, fence])
            for _ in range(books):
                self.connection.execute("INSERT INTO ledger.booking VALUES (%s, %s)", [job, fence])
        if ends and held:
            ids, fences = (list(column) for column in zip(*held, strict=True))
            jobs.complete_succeeded(self.connection, self.worker, ids, fences, [0.1] * len(ids))
        return held


@pytest.fixture
def bench(dsn: str, connection: Connection) -> Bench:
    ledger = Ledger(dsn)
    ledger.create()
    ledger.enqueue(3, work.book, random.Random(1))
    return Bench(ledger, connection, add_worker(connection))


def test_a_good_run_has_no_faults(bench: Bench) -> None:
    bench.run(books=1)

    verdict = bench.ledger.judge()

    assert (verdict.faults, verdict.jobs, verdict.repeated) == ({}, 3, 0)


@pytest.mark.parametrize(
    ("fault", "harm"),
    [
        ("lost", "DELETE FROM taskd.history WHERE id = %(id)s"),
        ("doubled", DOUBLED),
        ("failed", "UPDATE taskd.history SET state = 'f' WHERE id = %(id)s"),
        ("stale end", "UPDATE ledger.effect SET at = at + interval '1 h' WHERE id = %(id)s"),
        ("run after its end", "INSERT INTO ledger.effect VALUES (%(id)s, 2, 1000000, 8)"),
        ("not booked once", "INSERT INTO ledger.booking VALUES (%(id)s, 1)"),
        ("acknowledged and gone", "DELETE FROM ledger.enqueued WHERE id = %(id)s"),
    ],
)
def test_a_fault_is_found(bench: Bench, fault: str, harm: str) -> None:
    ((job, _), *_) = bench.run(books=1)

    bench.connection.execute(harm.encode(), {"id": job})

    assert bench.ledger.judge().faults[fault] == (job,)


def test_what_has_not_ended_is_found(bench: Bench) -> None:
    held = bench.run(ends=False, books=1)

    faults = bench.ledger.judge().faults

    assert set(faults) == {"not ended", "running", "not booked once"}
    assert set(faults["running"]) == {job for job, _ in held}


def test_what_is_held_for_ever_is_found(bench: Bench) -> None:
    bench.run(books=1)

    bench.connection.execute(
        "INSERT INTO taskd.resource (name, used, waiting) VALUES ('x', 1, false)"
    )

    assert set(bench.ledger.judge().faults) == {"held"}


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (work.once, "unique_key"),
        (work.gather, "dependency"),
        (work.few, "mail"),
        (work.hold, "mail"),
    ],
)
def test_jobs_of_the_runs_hold_what_may_be_left_behind(
    bench: Bench, kind: AnyTask, table: str
) -> None:
    bench.ledger.enqueue(4, kind, random.Random(1))

    assert bench.ledger.query(f"SELECT count(*) > 0 FROM taskd.{table}") == [(True,)]


def test_a_repeated_execution_is_explained_by_its_attempt(bench: Bench) -> None:
    held = bench.run(ends=False)
    retries = [JobRetry(job, fence, 0.1, "r", 0.0) for job, fence in held]
    jobs.retry_jobs(bench.connection, bench.worker, retries)
    jobs.promote_jobs(bench.connection, 10)
    bench.run(books=1)

    verdict = bench.ledger.judge()
    bench.connection.execute("DELETE FROM taskd.attempt WHERE job = %s", [held[0][0]])

    assert (verdict.faults, verdict.repeated, verdict.unexplained) == ({}, 3, 0)
    assert bench.ledger.judge().unexplained == 1


def test_a_plan_is_the_same_again_from_its_seed() -> None:
    plan = make_plan(["a", "b", "c"], 12, 10.0, seed=5)

    assert plan == make_plan(["a", "b", "c"], 12, 10.0, seed=5)
    assert plan != make_plan(["a", "b", "c"], 12, 10.0, seed=6)
    assert [strike.at for strike in plan] == sorted(strike.at for strike in plan)
    assert sorted(strike.fault for strike in plan) == sorted("abc" * 4)
