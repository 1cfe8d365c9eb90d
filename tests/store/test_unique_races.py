"""Unique keys under fixed interleavings: one job a key, and nobody waits but who asks for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg.errors import SerializationFailure

from taskd.store import hosts, jobs
from taskd.store.connect import Connection
from taskd.store.host_rows import Judgement
from taskd.store.rows import NewJobs
from tests.store.graph_makers import (
    add_graph,
    add_one,
    claim_one,
    complete,
    is_settled,
    is_waiting,
    new_job,
    one_that_waits,
    retry,
    wait_for_nobody,
)
from tests.store.makers import AnyConnection, add_worker, claim, places
from tests.waiting import eventually

Open = Callable[[], Connection]


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    return emptied_dsn


def add_unique(
    connection: AnyConnection,
    *keys: str,
    args: str = "[]",
    until: str = "finished",
    on_conflict: str = "keep",
    self_id: int | None = None,
    **options: Any,
) -> list[int]:
    """Enqueue a job for each key in one call; -id where another job holds the key."""
    unique = {"keys": keys, "until": until, "on_conflict": on_conflict, "self": self_id}
    new = NewJobs(
        "shop.sync",
        [args] * len(keys),
        [None] * len(keys),
        unique=json.dumps(unique),
        always_notify=True,
        **options,
    )
    return jobs.enqueue_jobs(connection, new)


def add_unique_graph(connection: AnyConnection, *keys: str, **options: Any) -> list[int]:
    """The same as a graph, which has code of its own for keys."""
    until = options.pop("until", "finished")
    self_id = options.pop("self_id", None)
    made = [new_job(key=key, until=until, **options) for key in keys]
    return add_graph(connection, *made, foreign=True, self_id=self_id)


both_ways = pytest.mark.parametrize("add", [add_unique, add_unique_graph])


def arguments(connection: AnyConnection, job: int) -> str:
    row = connection.execute("SELECT args FROM taskd.job WHERE id = %s", (job,)).fetchone()
    assert row is not None
    return str(row[0])


def holder(connection: AnyConnection, key: str) -> int | None:
    row = connection.execute("SELECT job FROM taskd.unique_key WHERE key = %s", (key,)).fetchone()
    return None if row is None else int(row[0])


@pytest.mark.parametrize("count", [1, 2])
def test_serializable_callers_with_other_keys_do_not_make_each_other_fail(
    connection: Connection, connect_again: Open, count: int
) -> None:
    callers = connect_again(), connect_again()
    for caller in callers:
        caller.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        caller.execute("SELECT 1")

    for turn in range(2):
        for number, caller in enumerate(callers):
            add_unique(caller, *(f"{number}-{turn}-{key}" for key in range(count)))
    for caller in callers:
        caller.execute("COMMIT")

    assert connection.execute("SELECT count(*) FROM taskd.unique_key").fetchone() == (4 * count,)


@both_ways
def test_the_second_of_two_at_once_waits_and_is_given_the_firsts_job(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    first, watcher = connect_again(), connect_again()

    first.execute("BEGIN")
    (job,) = add(first, "k")
    with one_that_waits(watcher, connection, lambda: add(connection, "k")) as call:
        first.execute("COMMIT")
        assert call.result() == [-job]

    assert holder(connection, "k") == job


@both_ways
def test_after_a_rollback_of_the_first_the_second_has_its_own_job(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    first, watcher = connect_again(), connect_again()

    first.execute("BEGIN")
    (gone,) = add(first, "k")
    with one_that_waits(watcher, connection, lambda: add(connection, "k")) as call:
        first.execute("ROLLBACK")
        (job,) = call.result()

    assert job > 0
    assert places(connection, gone) == []
    assert places(connection, job) == ["queued"]


def test_an_old_snapshot_that_cannot_see_the_holder_fails_and_may_be_tried_again(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    caller.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    caller.execute("SELECT count(*) FROM taskd.queued")
    add_unique(connection, "k")

    with pytest.raises(SerializationFailure):
        add_unique(caller, "k")


@both_ways
def test_a_forgotten_duplicate_keeps_nobody_from_completing_the_holder(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    forgetful = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add(connection, "k")
    row = claim_one(connection, worker)

    forgetful.execute("BEGIN")
    assert add(forgetful, "k") == [-job]

    assert complete(connection, worker, [row]) == []
    assert holder(connection, "k") is None
    (again,) = add(connection, "k")
    assert again > 0


@both_ways
def test_a_job_that_enqueues_its_own_key_again_has_a_successor(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    worker = add_worker(connection)
    (job,) = add(connection, "k")
    row = claim_one(connection, worker)

    (successor,) = add(connection, "k", self_id=job)
    complete(connection, worker, [row])

    assert successor > 0
    assert holder(connection, "k") == successor
    assert add(connection, "k") == [-successor]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@both_ways
def test_a_job_whose_own_successor_is_not_committed_can_be_completed_all_the_same(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]], end: str
) -> None:
    forgetful = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add(connection, "k")
    row = claim_one(connection, worker)

    forgetful.execute("BEGIN")
    (successor,) = add(forgetful, "k", self_id=job)
    assert complete(connection, worker, [row]) == []
    forgetful.execute(end.encode())

    (next_one,) = add(connection, "k")
    if end == "COMMIT":
        assert next_one == -successor
    else:  # the key is still that of a job that has ended: free
        assert next_one > 0
        assert holder(connection, "k") == next_one
    assert is_settled(connection)


def test_a_cancel_does_not_wait_for_a_successor_that_is_not_committed(
    connection: Connection, connect_again: Open
) -> None:
    forgetful = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add_unique(connection, "k")
    claim_one(connection, worker)

    forgetful.execute("BEGIN")
    add_unique(forgetful, "k", self_id=job)
    hosts.rescue_workers(connection, [worker], "killed", charge=False)

    assert jobs.cancel_jobs(connection, [job]) == {job: "cancelled"}


@both_ways
def test_a_job_whose_worker_is_killed_keeps_its_key_until_it_has_ended(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    (job,) = add(connection, "k")
    held = []
    for _ in range(2):
        worker = add_worker(connection)
        claim_one(connection, worker)
        hosts.rescue_workers(connection, [worker], "killed", True, Judgement(max_losses=2))
        held.append(holder(connection, "k"))

    assert held == [job, None]
    assert places(connection, job) == ["history"]
    (again,) = add(connection, "k")
    assert again > 0


def test_a_key_until_started_is_let_go_of_by_the_claim(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_unique(connection, "k", until="started")
    before = add_unique(connection, "k", until="started")

    claim_one(connection, worker)

    assert before == [-job]
    assert holder(connection, "k") is None


def test_a_second_attempt_does_not_let_go_of_a_key_that_is_another_jobs_by_now(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    add_unique(connection, "k", until="started")
    row = claim_one(connection, worker)
    (other,) = add_unique(connection, "k", until="started", delay=60)

    retry(connection, worker, row)
    again = claim_one(connection, worker)
    assert holder(connection, "k") == other
    complete(connection, worker, [again])

    assert holder(connection, "k") == other
    assert add_unique(connection, "k", until="started") == [-other]


@both_ways
def test_a_window_is_over_when_its_time_is_also_if_its_job_has_ended_long_before(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    worker = add_worker(connection)
    (job,) = add(connection, "k", until="3600")
    complete(connection, worker, [claim_one(connection, worker)])

    within = add(connection, "k", until="3600")
    connection.execute("UPDATE taskd.unique_key SET expires_at = now()")
    (after,) = add(connection, "k", until="3600")

    assert within == [-job]
    assert after > 0
    assert add(connection, "k", until="3600") == [-after]


def test_a_window_takes_nothing_from_what_else_a_job_carries(connection: Connection) -> None:
    (job,) = add_unique_graph(connection, "k", until="3600", extra={"headers": {"trace": "t"}})

    row = connection.execute("SELECT extra FROM taskd.job WHERE id = %s", (job,)).fetchone()
    assert row == ({"headers": {"trace": "t"}},)


@both_ways
def test_a_key_named_twice_in_one_call_makes_one_job(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    first, other, again = add(connection, "k", "l", "k")

    assert (first > 0, other > 0, again) == (True, True, -first)


def test_a_child_of_a_job_that_was_there_already_waits_for_that_one(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_unique(connection, "k")
    same, child = add_graph(connection, new_job(key="k", until="finished"), new_job(parents=(-1,)))

    assert same == -job
    assert places(connection, child) == ["blocked"]
    complete(connection, worker, [claim_one(connection, worker)])
    assert places(connection, child) == ["queued"]


@both_ways
def test_the_keys_of_one_call_are_taken_in_their_order_not_in_that_of_the_call(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    first, last, watcher = connect_again(), connect_again(), connect_again()
    wait_for_nobody(last)

    first.execute("BEGIN")
    add(first, "m")
    with one_that_waits(watcher, connection, lambda: add(connection, "z", "m", "a")) as call:
        (job,) = add(last, "z")
        first.execute("ROLLBACK")
        z, m, a = call.result()

    assert z == -job
    assert min(m, a) > 0


@both_ways
def test_two_calls_with_the_same_keys_in_opposite_order_do_not_wait_in_a_ring(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    keys = [f"k{number}" for number in range(200)]
    other = connect_again()
    found: list[list[int]] = []

    def enqueue_backwards() -> None:
        found.append(add(other, *reversed(keys)))

    for _ in range(3):
        connection.execute("TRUNCATE taskd.unique_key")
        thread = threading.Thread(target=enqueue_backwards)
        thread.start()
        mine = add(connection, *keys)
        thread.join()
        theirs = found.pop()
        assert sorted(map(abs, mine)) == sorted(map(abs, theirs))


def test_whoever_goes_back_for_a_key_that_has_become_free_holds_none_meanwhile(
    connection: Connection, connect_again: Open
) -> None:
    third, second, watcher = connect_again(), connect_again(), connect_again()
    wait_for_nobody(second)
    add_unique(connection, "a", until="3600")
    connection.execute("UPDATE taskd.unique_key SET expires_at = now()")

    third.execute("BEGIN")
    add_unique(third, "b")
    with one_that_waits(watcher, connection, lambda: add_unique(connection, "a", "b", "c")) as call:
        second.execute("BEGIN")
        (first_key,) = add_unique(second, "a")  # it was free; the other has passed by it
        third.execute("ROLLBACK")
        eventually(lambda: holder(watcher, "b") is None and is_waiting(watcher, connection))
        (last_key,) = add_unique(second, "c")
        second.execute("COMMIT")
        a, b, c = call.result()

    assert (a, c) == (-first_key, -last_key)
    assert places(connection, b) == ["queued"]


def test_forty_threads_with_fifty_keys_make_fifty_jobs(
    connection: Connection, connect_again: Open
) -> None:
    keys = [f"k{number}" for number in range(50)]
    sessions = [connect_again() for _ in range(40)]
    start = threading.Barrier(len(sessions))
    answers: list[list[int]] = []

    def enqueue(session: Connection, number: int) -> None:
        start.wait()
        ways = keys[number:] + keys[:number]
        for key in ways[:25]:
            add_unique(session, key)
        answers.append(add_unique(session, *ways))

    threads = [
        threading.Thread(target=enqueue, args=(session, number))
        for number, session in enumerate(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 40
    assert {abs(job) for answer in answers for job in answer} == {
        row[0] for row in connection.execute("SELECT id FROM taskd.queued").fetchall()
    }
    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (50,)


_ENQUEUE_FOREVER = """
import sys
from taskd.store import connect
from tests.store.test_unique_races import add_unique
connection = connect.connect(sys.argv[1])
print(flush=True)
while True:
    with connection.transaction():
        add_unique(connection, *(f"k{n}" for n in range(50)))
        connection.execute("DELETE FROM taskd.unique_key")
        connection.execute("DELETE FROM taskd.queued")
        add_unique(connection, *(f"k{n}" for n in range(50)))
"""


def test_one_that_is_killed_while_it_enqueues_leaves_no_key_without_its_job(
    connection: Connection, dsn: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ENQUEUE_FOREVER, dsn], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        keys = [f"k{number}" for number in range(50)]
        for _ in range(20):
            add_unique(connection, *keys)
        os.kill(process.pid, signal.SIGKILL)

    add_unique(connection, *keys)

    assert connection.execute("SELECT count(*) FROM taskd.queued").fetchone() == (50,)
    assert connection.execute(
        "SELECT count(*) FROM taskd.unique_key k JOIN taskd.queued q ON q.id = k.job "
        "AND q.extra->>'unique' = k.key"
    ).fetchone() == (50,)


@both_ways
def test_a_replacement_changes_the_arguments_of_what_waits(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    waiting, later = add(connection, "k"), add(connection, "l", delay=60.0)

    assert add(connection, "k", args="[1]", on_conflict="replace") == [-waiting[0]]
    assert add(connection, "l", args="[2]", on_conflict="replace") == [-later[0]]

    assert arguments(connection, waiting[0]) == "[1]"
    assert arguments(connection, later[0]) == "[2]"


@both_ways
def test_a_claim_passes_over_what_is_being_replaced(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    caller = connect_again()
    wait_for_nobody(connection)
    worker = add_worker(connection)
    (job,) = add(connection, "k")

    with caller.transaction():
        add(caller, "k", args="[1]", on_conflict="replace")
        assert claim(connection, worker) == []

    row = claim_one(connection, worker)
    assert (row[0], row[8]) == (job, [1])


@both_ways
def test_a_replacement_that_a_claim_beats_is_a_job_of_its_own_if_the_key_is_free_then(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    claimer, watcher = connect_again(), connect_again()
    worker = add_worker(connection)
    options = {"until": "started", "on_conflict": "replace"}
    (job,) = add(connection, "k", **options)

    claimer.execute("BEGIN")
    claim_one(claimer, worker)
    with one_that_waits(
        watcher, connection, lambda: add(connection, "k", args="[1]", **options)
    ) as call:
        claimer.execute("COMMIT")
        (mine,) = call.result()

    assert mine > job
    assert arguments(connection, mine) == "[1]"
    assert arguments(connection, job) == "[]"
    assert holder(connection, "k") == mine


def test_a_replacement_of_what_runs_until_finished_changes_nothing(
    connection: Connection, connect_again: Open
) -> None:
    worker = add_worker(connection)
    (job,) = add_unique(connection, "k")
    claim_one(connection, worker)

    assert add_unique(connection, "k", args="[1]", on_conflict="replace") == [-job]
    assert arguments(connection, job) == "[]"


@both_ways
def test_an_earlier_call_moves_the_waiting_job_forward_but_never_back(
    connection: Connection, add: Callable[..., list[int]]
) -> None:
    (job,) = add(connection, "k", delay=600.0)

    def due() -> float:
        row = connection.execute(
            "SELECT extract(epoch FROM run_at - now())::float8 FROM taskd.scheduled WHERE id = %s",
            (job,),
        ).fetchone()
        assert row is not None
        return float(row[0])

    add(connection, "k", delay=60.0, on_conflict="earlier")
    sooner = due()
    add(connection, "k", delay=300.0, on_conflict="earlier")

    assert 50 < sooner <= 60
    assert 50 < due() <= 60
    assert add(connection, "k", on_conflict="earlier") == [-job]
    assert jobs.promote_jobs(connection, 10).promoted == 1


@both_ways
def test_an_earlier_call_that_a_promote_beats_leaves_the_job_queued(
    connection: Connection, connect_again: Open, add: Callable[..., list[int]]
) -> None:
    promoter, watcher = connect_again(), connect_again()
    (job,) = add(connection, "k", delay=600.0)
    connection.execute("UPDATE taskd.scheduled SET run_at = clock_timestamp()")
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)

    promoter.execute("BEGIN")
    jobs.promote_jobs(promoter, 10)
    with one_that_waits(
        watcher, connection, lambda: add(connection, "k", run_at=long_ago, on_conflict="earlier")
    ) as call:
        promoter.execute("COMMIT")
        assert call.result() == [-job]

    assert places(connection, job) == ["queued"]


def test_an_earlier_call_in_an_open_transaction_does_not_hold_up_a_promote(
    connection: Connection, connect_again: Open
) -> None:
    caller = connect_again()
    wait_for_nobody(connection)
    (job,) = add_unique(connection, "k", delay=600.0)

    caller.execute("BEGIN")
    add_unique(caller, "k", on_conflict="earlier")
    connection.execute("SELECT 1")
    assert jobs.promote_jobs(connection, 10).promoted == 0
    caller.execute("COMMIT")

    assert jobs.promote_jobs(connection, 10).promoted == 1
    assert places(connection, job) == ["queued"]


def test_threads_that_replace_the_same_keys_do_not_wait_in_a_ring(
    connection: Connection, connect_again: Open
) -> None:
    keys = [f"k{number}" for number in range(30)]
    ids = add_unique(connection, *keys)
    sessions = [connect_again() for _ in range(6)]
    failures: list[Exception] = []

    def replace_all(session: Connection, number: int) -> None:
        try:
            for turn in range(10):
                ways = keys[number:] + keys[:number] if turn % 2 else keys[::-1]
                add_unique(session, *ways, args=f"[{number}]", on_conflict="replace")
        except Exception as failure:  # carried to the test's own thread
            failures.append(failure)

    threads = [
        threading.Thread(target=replace_all, args=(session, number))
        for number, session in enumerate(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert {arguments(connection, job) for job in ids} <= {f"[{n}]" for n in range(6)}


@pytest.mark.parametrize("place", ["queued", "scheduled", "blocked", "running"])
def test_the_holder_of_a_key_has_not_ended_wherever_it_is(
    connection: Connection, place: str
) -> None:
    worker = add_worker(connection)
    parents = (add_one(connection, delay=60.0),) if place == "blocked" else ()
    delay = 60.0 if place == "scheduled" else None
    (job,) = add_unique_graph(connection, "k", parents=parents, delay=delay)
    if place == "running":
        claim_one(connection, worker)

    assert places(connection, job) == [place]
    assert add_unique(connection, "k") == [-job]


def test_no_job_comes_to_wait_for_itself_when_two_of_a_call_want_one_key(
    connection: Connection,
) -> None:
    worker = add_worker(connection)
    first, second, last = add_graph(
        connection,
        new_job(key="k", until="started"),
        new_job(key="k", until="finished", parents=(-1,)),
        new_job(parents=(-2,)),
    )

    assert second == -first
    assert claim_one(connection, worker)[0] == first
    assert places(connection, last) == ["blocked"]
