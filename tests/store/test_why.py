"""Why a job waits: each reason, with the jobs that are in its way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from taskd import Job, configure
from taskd.errors import JobUnknown
from taskd.store.connect import Connection
from taskd.store.waits import FIRST_TOLD, MOST_COUNTED
from taskd.tasks import why
from taskd.tasks.reasons import ReasonKind
from tests.store.graph_makers import (
    EXCLUSIVE,
    add_exclusive,
    add_graph,
    add_one,
    claim_one,
    complete,
    new_job,
    retry,
    set_capacity,
)
from tests.store.makers import add_host, add_jobs, add_worker, claim
from tests.store.reasons import only_reason, reasons

REPO = {"repo:42": EXCLUSIVE}
READER = {"repo:42": 1}


@pytest.fixture
def worker(connection: Connection) -> int:
    return add_worker(connection)


def test_who_waits_for_a_resource_is_told_its_holder_and_who_stands_before_it(
    connection: Connection, worker: int
) -> None:
    holder, first, second, last = (add_exclusive(connection, "repo:42") for _ in range(4))
    assert claim_one(connection, worker)[0] == holder

    reason = only_reason(connection, last)

    assert (reason.kind, reason.name) == (ReasonKind.RESOURCE, "repo:42")
    assert [(job.id, job.state, job.worker) for job in reason.jobs] == [
        (holder, "running", "io/0 on here")
    ]
    assert reason.jobs[0].since is not None
    assert (reason.before, reason.before_count) == ((first, second), 2)
    assert reason.text.startswith(
        f"waits for repo:42 (exclusive), held by job {holder} (running in"
    )
    assert reason.text.endswith(f"; 2 jobs are before it: {first}, {second}")


def test_who_is_first_in_line_is_told_so(connection: Connection, worker: int) -> None:
    add_one(connection, needs=READER)
    claim_one(connection, worker)
    waiting = add_exclusive(connection, "repo:42")

    reason = only_reason(connection, waiting)

    assert (reason.before, reason.before_count) == ((), 0)
    assert reason.text.endswith("; it is the first in line")


def test_many_holders_are_counted_and_the_first_told(connection: Connection, worker: int) -> None:
    readers = [add_one(connection, needs=READER) for _ in range(FIRST_TOLD + 2)]
    claim(connection, worker)
    waiting = add_exclusive(connection, "repo:42")

    reason = only_reason(connection, waiting)

    assert [job.id for job in reason.jobs] == readers[:FIRST_TOLD]
    assert reason.jobs_count == len(readers)
    assert f"held by {len(readers)} jobs: {readers[0]} (running" in reason.text
    assert ", …; it is the first in line" in reason.text


def test_a_holder_that_waits_itself_is_found(connection: Connection, worker: int) -> None:
    holder = add_exclusive(connection, "a")
    also_waits = add_exclusive(connection, "a", "b")  # has b
    waiting = add_exclusive(connection, "b")

    told = {one.name: one for one in reasons(connection, also_waits)}
    assert [(job.id, job.state) for job in told["a"].jobs] == [(holder, "queued")]
    reason = only_reason(connection, waiting)

    assert [(job.id, job.state) for job in reason.jobs] == [(also_waits, "blocked")]


def test_a_holder_in_the_pause_before_its_retry_is_found(
    connection: Connection, worker: int
) -> None:
    holder = add_one(connection, needs=REPO, max_attempts=2)
    retry(connection, worker, claim_one(connection, worker), delay=60)
    waiting = add_exclusive(connection, "repo:42")

    reason = only_reason(connection, waiting)
    pausing = only_reason(connection, holder)

    assert [(job.id, job.state) for job in reason.jobs] == [(holder, "scheduled")]
    assert pausing.kind is ReasonKind.RETRY
    assert pausing.at is not None
    assert "pauses before attempt 2 of at most 2, until " in pausing.text


def test_a_holder_that_is_not_found_in_time_is_told_as_such(
    connection: Connection, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_one(connection, needs=REPO, max_attempts=2)
    waiting = add_exclusive(connection, "repo:42")
    retry(connection, worker, claim_one(connection, worker), delay=600.0)
    add_jobs(connection, 20_000, delay=600.0)
    monkeypatch.setattr(why, "HOLDERS_SECONDS", 0.001)

    reason = only_reason(connection, waiting)

    assert (reason.jobs, reason.jobs_count) == ((), 0)
    assert "held by a job that waits itself or has just ended; it is the first" in reason.text


def test_a_long_line_is_counted_up_to_a_bound(connection: Connection, worker: int) -> None:
    add_exclusive(connection, "repo:42")
    claim_one(connection, worker)
    many = [new_job(needs=REPO) for _ in range(MOST_COUNTED + 50)]
    for start in range(0, len(many), 350):
        add_graph(connection, *many[start : start + 350])
    last = add_exclusive(connection, "repo:42")

    reason = only_reason(connection, last)

    assert reason.before_count == MOST_COUNTED
    assert len(reason.before) == FIRST_TOLD
    assert f"at least {MOST_COUNTED} jobs are before it" in reason.text


def test_a_limit_that_is_reached_names_who_is_under_it(connection: Connection, worker: int) -> None:
    set_capacity(connection, "@key stripe", 2)
    two = [add_one(connection, needs={"@key stripe": 1}) for _ in range(2)]
    claim(connection, worker)
    waiting = add_one(connection, needs={"@key stripe": 1})

    reason = only_reason(connection, waiting)

    assert (reason.kind, reason.name) == (ReasonKind.CONCURRENCY, "@key stripe")
    assert [job.id for job in reason.jobs] == two
    assert reason.text.startswith(
        "waits for the limit stripe (at most 2 at once), held by 2 jobs: "
    )


def test_who_waits_for_a_limit_holds_what_it_works_on(connection: Connection, worker: int) -> None:
    set_capacity(connection, "@key stripe", 1)
    first = add_one(connection, needs={"@key stripe": 1})
    both = add_one(connection, needs={"@key stripe": 1, **REPO})
    waiting = add_one(connection, needs={"@key stripe": 1, **REPO})

    limited, blocked = only_reason(connection, both), only_reason(connection, waiting)

    assert (limited.kind, limited.name) == (ReasonKind.CONCURRENCY, "@key stripe")
    assert [job.id for job in limited.jobs] == [first]
    assert (blocked.kind, blocked.name) == (ReasonKind.RESOURCE, "repo:42")
    assert [(job.id, job.state) for job in blocked.jobs] == [(both, "blocked")]


def test_the_limit_of_a_queue_is_one_of_its_jobs(connection: Connection, worker: int) -> None:
    set_capacity(connection, "@queue mail", 1)
    holder, waiting = (add_jobs(connection, queue="mail")[0] for _ in range(2))

    reason = only_reason(connection, waiting)

    assert (reason.kind, reason.name) == (ReasonKind.CONCURRENCY, "@queue mail")
    assert reason.text.startswith(
        f"waits for the limit of queue mail (at most 1 at once), held by job {holder} (queued"
    )


def test_who_waits_for_the_turn_of_its_share_is_told_so(
    connection: Connection, worker: int
) -> None:
    many = [new_job(extra={"fair": "a"}) for _ in range(25)]
    *_, waiting = add_graph(connection, *many)

    reason = only_reason(connection, waiting)

    assert (reason.kind, reason.name) == (ReasonKind.SHARE, "@queue default")
    assert reason.text.startswith(
        "waits for its share's turn in queue default: 2 are let in at once, "
        "their places are held by 2 jobs: "
    )
    assert reason.before_count == 25 - 2 - 1


def test_who_has_yet_to_ask_for_the_limit_of_its_queue_is_told_so(
    connection: Connection, worker: int
) -> None:
    job = add_one(connection, extra={"fair": "a"}, foreign=True)

    reason = only_reason(connection, job)

    assert reason.kind is ReasonKind.JOINING
    assert "line for the limit of queue default;" in reason.text


def test_a_closed_resource_says_so(connection: Connection, worker: int) -> None:
    set_capacity(connection, "repo:42", 0)
    waiting = add_exclusive(connection, "repo:42")

    assert "(closed: its capacity is 0)" in only_reason(connection, waiting).text


def test_a_rate_says_when_the_next_may_begin(connection: Connection, worker: int) -> None:
    connection.execute(
        "SELECT taskd.declare_limits_v1(%s, '{@key api}', '{NULL}', '{0.1}', '{1}')",
        (add_host(connection),),
    )
    add_one(connection, needs={"@key api": 1})
    claim_one(connection, worker)
    waiting = add_one(connection, needs={"@key api": 1})

    reason = only_reason(connection, waiting)

    assert (reason.kind, reason.name) == (ReasonKind.RATE, "@key api")
    assert reason.at is not None
    assert reason.at - datetime.now(UTC) < timedelta(seconds=11)
    assert "the limit api (6/m); the next may begin in " in reason.text


def test_who_comes_after_jobs_is_told_their_states(connection: Connection, worker: int) -> None:
    running, waiting = add_one(connection), add_one(connection)
    claim(connection, worker, 1)
    child = add_one(connection, parents=(running, waiting))
    connection.execute("SELECT taskd.dispatch_v1(100, 10, 500)")

    reason = only_reason(connection, child)

    assert reason.kind is ReasonKind.PARENTS
    assert [(job.id, job.state, job.worker) for job in reason.jobs] == [
        (running, "running", "io/0 on here"),
        (waiting, "queued", None),
    ]
    assert f"{running} (running in io/0 on here for " in reason.text
    assert reason.jobs_count == 2
    assert "comes after 2 jobs that have not ended: " in reason.text


def test_who_has_yet_to_stand_in_line_is_told_so(connection: Connection, worker: int) -> None:
    job = add_exclusive(connection, "repo:42", foreign=True)

    reason = only_reason(connection, job)

    assert reason.kind is ReasonKind.JOINING
    assert "is about to stand in line for repo:42" in reason.text


def test_a_job_for_later_says_when(connection: Connection, worker: int) -> None:
    (job,) = add_jobs(connection, delay=600)

    reason = only_reason(connection, job)

    assert reason.kind is ReasonKind.SCHEDULED
    assert reason.at is not None
    assert "(in 9 min 5" in reason.text


def test_what_runs_or_has_ended_says_so_in_one_reason(connection: Connection, worker: int) -> None:
    (job,) = add_jobs(connection)
    row = claim_one(connection, worker)

    running = only_reason(connection, job)
    complete(connection, worker, [row])
    ended = only_reason(connection, job)

    assert running.kind is ReasonKind.RUNNING
    assert "it runs in io/0 on here, pid 1 for " in running.text
    assert ended.kind is ReasonKind.ENDED
    assert ended.text.startswith("does not wait: it succeeded ")


def test_the_handle_of_a_job_tells_why(dsn: str, connection: Connection, worker: int) -> None:
    configure(database=dsn)
    try:
        (job,) = add_jobs(connection)

        (reason,) = Job[object](job).why()
        with pytest.raises(JobUnknown):
            Job[object](job + 1000).why()
    finally:
        configure()

    assert str(reason) == reason.text
    assert json.dumps(reason.to_json_dict(), default=str)
