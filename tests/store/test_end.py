from __future__ import annotations

import pytest

from taskd.store import hosts, jobs, look
from taskd.store.connect import Connection
from taskd.store.rows import JobEnd, JobRetry, State
from tests.store.makers import add_jobs, add_worker, claim, fence_of, ids_of, places


def test_a_completed_job_is_in_history_with_its_worker_and_duration(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    (row,) = claim(connection, worker)

    lost = jobs.complete_succeeded(connection, worker, [job], [fence_of(row)], [1.5])

    found = look.fetch_job(connection, job)
    assert lost == []
    assert found is not None
    assert found.state is State.SUCCEEDED
    assert found.worker == "io/0 on here, pid 1"
    assert found.started_at is not None
    assert found.finished_at is not None
    assert (found.finished_at - found.started_at).total_seconds() == pytest.approx(1.5)


def test_a_completion_with_an_old_fence_changes_nothing_and_says_so(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    (first,) = claim(connection, worker)
    jobs.give_back_jobs(connection, worker, [job], [fence_of(first)])
    claim(connection, worker)

    lost = jobs.complete_succeeded(connection, worker, [job], [fence_of(first)], [0.1])

    assert lost == [job]
    assert places(connection, job) == ["running"]


def test_a_completion_by_another_worker_changes_nothing(connection: Connection) -> None:
    worker, other = add_worker(connection), add_worker(connection)
    (job,) = add_jobs(connection)
    (row,) = claim(connection, worker)

    lost = jobs.complete_succeeded(connection, other, [job], [fence_of(row)], [0.1])

    assert lost == [job]
    assert places(connection, job) == ["running"]


def test_a_report_that_is_sent_twice_loses_nothing(connection: Connection) -> None:
    worker = add_worker(connection)
    done, failed, retried = add_jobs(connection, 3)
    fences = [fence_of(row) for row in claim(connection, worker)]
    end = JobEnd(failed, fences[1], 0.1, "f", None, "boom", "trace")
    again = JobRetry(retried, fences[2], 0.1, "r", 60.0, "later")

    for _ in range(2):
        assert jobs.complete_succeeded(connection, worker, [done], fences[:1], [0.1]) == []
        assert jobs.complete_jobs(connection, worker, [end]) == []
        assert jobs.retry_jobs(connection, worker, [again]) == []

    assert places(connection, done) == ["history"]
    assert places(connection, failed) == ["history"]
    assert places(connection, retried) == ["scheduled"]


def test_of_a_batch_only_the_lost_ones_are_named(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 3)
    fences = [fence_of(row) for row in claim(connection, worker)]
    fences[1] = -1

    lost = jobs.complete_succeeded(connection, worker, ids, fences, [0.1] * 3)

    assert lost == [ids[1]]
    assert [places(connection, job) for job in ids] == [["history"], ["running"], ["history"]]


def test_a_result_and_an_error_are_kept_as_they_are(connection: Connection) -> None:
    worker = add_worker(connection)
    first, second = add_jobs(connection, 2)
    one, two = claim(connection, worker)
    text = 'a "b" \\ {c}, NULL\n☃'

    jobs.complete_jobs(
        connection,
        worker,
        [
            JobEnd(first, fence_of(one), 0.1, "s", '{"n": [1, null]}'),
            JobEnd(second, fence_of(two), None, "f", None, text, text),
        ],
    )

    succeeded, failed = look.fetch_job(connection, first), look.fetch_job(connection, second)
    assert succeeded is not None
    assert failed is not None
    assert succeeded.result == {"n": [1, None]}
    assert (failed.state, failed.error, failed.traceback) == (State.FAILED, text, text)
    assert failed.started_at is None


def test_a_retry_waits_for_its_delay_and_keeps_the_attempt(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection, max_attempts=3)
    (row,) = claim(connection, worker)

    jobs.retry_jobs(connection, worker, [JobRetry(job, fence_of(row), 0.1, "r", 60, "boom", "tb")])

    found = look.fetch_job(connection, job)
    (attempt,) = look.fetch_attempts(connection, job)
    assert found is not None
    assert (found.state, found.attempt) == (State.SCHEDULED, 1)
    assert (attempt.number, attempt.outcome, attempt.error) == (1, "retried", "boom")


def test_a_retry_with_no_delay_returns_to_its_own_lane(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection, priority=3, max_attempts=3)
    (row,) = claim(connection, worker, 1, ("default", 3, 0))

    jobs.retry_jobs(connection, worker, [JobRetry(job, fence_of(row), 0.1, "r", 0)])

    (again,) = claim(connection, worker, 1, ("default", 3, 0))
    assert again[4] == 2


def test_an_interrupted_job_comes_back_first_and_uncharged(connection: Connection) -> None:
    worker = add_worker(connection)
    first, second = add_jobs(connection, 2)
    row = claim(connection, worker, 1)[0]

    jobs.retry_jobs(connection, worker, [JobRetry(first, fence_of(row), 0.1, "i", 0)])

    rows = claim(connection, worker)
    assert ids_of(rows) == [first, second]
    assert rows[0][4] == 1


def test_given_back_jobs_are_claimed_before_all_others(connection: Connection) -> None:
    worker = add_worker(connection)
    ids = add_jobs(connection, 4)
    rows = claim(connection, worker, 2)

    given = jobs.give_back_jobs(connection, worker, ids[:2], [fence_of(row) for row in rows])

    assert given == 2
    again = claim(connection, worker)
    assert ids_of(again) == ids
    assert [row[4] for row in again] == [1, 1, 1, 1]


def test_a_lost_worker_gives_its_jobs_back_with_a_loss_counted(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    claim(connection, worker)

    rescued = hosts.rescue_workers(connection, [worker], "killed by signal 9", charge=True)

    found = look.fetch_job(connection, job)
    (attempt,) = look.fetch_attempts(connection, job)
    assert rescued == (1, 0)
    assert found is not None
    assert (found.state, found.losses, found.attempt) == (State.QUEUED, 1, 0)
    assert (attempt.outcome, attempt.error) == ("lost", "killed by signal 9")


def test_a_job_whose_workers_keep_dying_fails_as_poisoned(connection: Connection) -> None:
    (job,) = add_jobs(connection)
    for _ in range(hosts.MAX_LOSSES):
        worker = add_worker(connection)
        claim(connection, worker)
        hosts.rescue_workers(connection, [worker], "killed by signal 11", charge=True)

    found = look.fetch_job(connection, job)
    assert found is not None
    assert found.state is State.FAILED
    assert found.error == (
        "poisoned: its worker was lost 5 times, the last time because: killed by signal 11"
    )


def test_a_worker_that_was_asked_to_end_charges_nobody(connection: Connection) -> None:
    (job,) = add_jobs(connection)
    for _ in range(hosts.MAX_LOSSES + 1):
        worker = add_worker(connection)
        claim(connection, worker)
        hosts.rescue_workers(connection, [worker], "stopped", charge=False)

    found = look.fetch_job(connection, job)
    assert found is not None
    assert (found.state, found.losses) == (State.QUEUED, 0)


def test_a_late_outcome_after_a_rescue_is_lost_not_recorded(connection: Connection) -> None:
    worker = add_worker(connection)
    (job,) = add_jobs(connection)
    (row,) = claim(connection, worker)
    hosts.rescue_workers(connection, [worker], "stopped", charge=False)

    lost = jobs.complete_succeeded(connection, worker, [job], [fence_of(row)], [0.1])

    assert lost == [job]
    assert places(connection, job) == ["queued"]


def test_a_job_that_was_to_be_cancelled_ends_with_its_worker(connection: Connection) -> None:
    worker = add_worker(connection)
    doomed, other = add_jobs(connection, 2)
    claim(connection, worker)
    jobs.cancel_jobs(connection, [doomed])

    rescued = hosts.rescue_workers(connection, [worker], "killed by SIGKILL", charge=True)

    found = look.fetch_job(connection, doomed)
    assert rescued == (1, 0)
    assert found is not None
    assert found.state is State.CANCELLED
    assert found.error == "cancelled while it ran; its worker is gone: killed by SIGKILL"
    assert places(connection, other) == ["queued"]
    assert hosts.take_requests(connection, [worker]) == []
