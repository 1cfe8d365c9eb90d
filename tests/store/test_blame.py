"""What becomes of the jobs of a worker that was killed for one of them."""

from __future__ import annotations

from typing import Any

import pytest

from taskd.store import hosts, jobs, look
from taskd.store.connect import Connection
from taskd.store.host_rows import Judgement, Rescued
from taskd.store.rows import JobRow, State
from tests.store.makers import add_jobs, add_worker, claim, lanes, places

STACK = 'File "shop/render.py", line 88 in layout'


def kill_for(connection: Connection, culprit: int, why: str, **judgement: Any) -> Rescued:
    """Claim what waits, in whichever lane, and kill the worker for one of its jobs."""
    worker = add_worker(connection)
    jobs.claim_jobs(connection, worker, lanes(), 100)
    chosen = Judgement(culprit=culprit, why=why, stack=STACK, stood=culprit, **judgement)
    return hosts.rescue_workers(connection, [worker], f"job {culprit} …", False, chosen)


def job(connection: Connection, job_id: int) -> JobRow:
    found = look.fetch_job(connection, job_id)
    assert found is not None
    return found


def pause_of(connection: Connection, job_id: int) -> float:
    """How long it is until it is due, in seconds."""
    row = connection.execute(
        "SELECT extract(epoch FROM run_at - now())::float8 FROM taskd.scheduled WHERE id = %s",
        (job_id,),
    ).fetchone()
    assert row is not None
    return float(row[0])


def fetch_due(connection: Connection) -> None:
    connection.execute("UPDATE taskd.scheduled SET run_at = now()")
    jobs.promote_jobs(connection, 100)


def test_neighbours_of_a_hog_go_back_first_and_uncharged(connection: Connection) -> None:
    hog, neighbour = add_jobs(connection, 2)

    assert kill_for(connection, hog, "hog") == (2, 0)

    found = job(connection, neighbour)
    assert (found.state, found.losses, found.crashes, found.attempt) == (State.QUEUED, 0, 0, 0)
    assert connection.execute("SELECT lane FROM taskd.queued").fetchall() == [(10,)]
    assert [one.outcome for one in look.fetch_attempts(connection, neighbour)] == ["given back"]


def test_a_hog_comes_back_later_with_a_crash_counted_and_no_attempt(connection: Connection) -> None:
    (hog,) = add_jobs(connection)

    kill_for(connection, hog, "hog")

    found = job(connection, hog)
    assert (found.state, found.losses, found.crashes, found.attempt) == (State.SCHEDULED, 0, 1, 0)
    assert pause_of(connection, hog) == pytest.approx(5, abs=1)
    (attempt,) = look.fetch_attempts(connection, hog)
    assert (attempt.outcome, attempt.error, attempt.traceback) == ("killed", f"job {hog} …", STACK)


def test_a_job_that_took_too_many_workers_down_fails_as_poisoned(connection: Connection) -> None:
    (hog,) = add_jobs(connection)

    for _ in range(3):
        kill_for(connection, hog, "hog")
        fetch_due(connection)

    found = job(connection, hog)
    assert found.state is State.FAILED
    assert found.error == (
        f"poisoned: its worker had to be killed 3 times, the last time because: job {hog} …"
    )
    assert (found.crashes, found.traceback) == (3, STACK)


def test_how_many_workers_a_job_may_take_down_is_a_setting(connection: Connection) -> None:
    (hog,) = add_jobs(connection)

    assert kill_for(connection, hog, "hog", max_crashes=1) == (0, 1)
    assert job(connection, hog).state is State.FAILED


def test_how_many_losses_a_job_may_bear_is_a_setting(connection: Connection) -> None:
    add_jobs(connection)
    worker = add_worker(connection)
    claim(connection, worker)

    rescued = hosts.rescue_workers(connection, [worker], "gone", True, Judgement(max_losses=1))

    assert rescued == (0, 1)


def test_only_those_that_had_begun_count_a_loss(connection: Connection) -> None:
    begun, waiting = add_jobs(connection, 2)
    worker = add_worker(connection)
    claim(connection, worker)

    rescued = hosts.rescue_workers(
        connection, [worker], "killed", True, Judgement(max_losses=2, begun=(begun, 1 << 40))
    )

    assert rescued == (2, 0)
    assert (job(connection, begun).losses, job(connection, waiting).losses) == (1, 0)
    outcomes = [look.fetch_attempts(connection, one)[0].outcome for one in (begun, waiting)]
    assert outcomes == ["lost", "given back"]


def test_a_job_that_ran_alone_crashed_its_worker_and_comes_back_later(
    connection: Connection,
) -> None:
    crasher, waiting = add_jobs(connection, 2)
    worker = add_worker(connection)
    claim(connection, worker)
    judgement = Judgement(culprit=crasher, why="crash", begun=(crasher,))

    hosts.rescue_workers(connection, [worker], "killed by SIGSEGV", True, judgement)

    found = job(connection, crasher)
    assert (found.state, found.losses, found.crashes, found.attempt) == (State.SCHEDULED, 0, 1, 0)
    assert pause_of(connection, crasher) == pytest.approx(5, abs=1)
    assert look.fetch_attempts(connection, crasher)[0].outcome == "lost"
    assert (job(connection, waiting).losses, job(connection, waiting).crashes) == (0, 0)


def test_a_job_that_crashes_its_workers_again_and_again_fails_as_poisoned(
    connection: Connection,
) -> None:
    (crasher,) = add_jobs(connection)
    worker = add_worker(connection)
    claim(connection, worker)
    judgement = Judgement(culprit=crasher, why="crash", begun=(crasher,), max_crashes=1)

    assert hosts.rescue_workers(connection, [worker], "SIGSEGV", True, judgement) == (0, 1)

    assert job(connection, crasher).error == (
        "poisoned: it took its worker down 1 times, the last time because: SIGSEGV"
    )


def test_a_stack_in_which_no_job_stood_is_kept_for_none_also_not_for_the_guilty(
    connection: Connection,
) -> None:
    (crasher,) = add_jobs(connection)
    worker = add_worker(connection)
    claim(connection, worker)
    judgement = Judgement(culprit=crasher, why="crash", begun=(crasher,), stack=STACK)

    hosts.rescue_workers(connection, [worker], "killed by SIGSEGV", True, judgement)

    (attempt,) = look.fetch_attempts(connection, crasher)
    assert (attempt.outcome, attempt.traceback) == ("lost", None)


def test_a_hard_timeout_without_retries_fails_as_a_timeout(connection: Connection) -> None:
    late, neighbour = add_jobs(connection, 2)

    assert kill_for(connection, late, "timeout") == (1, 1)

    found = job(connection, late)
    assert (found.state, found.attempt, found.crashes) == (State.FAILED, 1, 1)
    assert found.error == f"JobTimeout: job {late} …; its worker was killed"
    assert found.traceback == STACK
    assert job(connection, neighbour).losses == 0


def test_a_hard_timeout_uses_up_one_of_the_retries(connection: Connection) -> None:
    (late,) = add_jobs(connection, max_attempts=3)
    pauses = []

    for _ in range(2):
        kill_for(connection, late, "timeout", max_crashes=9)
        pauses.append(round(pause_of(connection, late)))
        fetch_due(connection)
    kill_for(connection, late, "timeout", max_crashes=9)

    found = job(connection, late)
    assert pauses == [5, 10]
    assert (found.state, found.attempt, found.crashes) == (State.FAILED, 3, 3)
    outcomes = [one.outcome for one in look.fetch_attempts(connection, late)]
    assert outcomes == ["timed out and killed"] * 2


def test_pauses_do_not_grow_beyond_an_hour(connection: Connection) -> None:
    (late,) = add_jobs(connection, max_attempts=2000)
    connection.execute("UPDATE taskd.queued SET attempt = 1500")

    kill_for(connection, late, "timeout", max_crashes=9)

    assert pause_of(connection, late) == pytest.approx(3600, abs=1)


def test_a_cancelled_job_that_had_to_be_killed_is_cancelled(connection: Connection) -> None:
    doomed, neighbour = add_jobs(connection, 2, max_attempts=5)
    worker = add_worker(connection)
    claim(connection, worker)
    jobs.cancel_jobs(connection, [doomed])
    hosts.take_requests(connection, [worker])  # it heard, and did not end

    judgement = Judgement(culprit=doomed, why="cancel", stack=STACK, stood=doomed)
    assert hosts.rescue_workers(connection, [worker], "killed", False, judgement) == (1, 0)

    found = job(connection, doomed)
    assert (found.state, found.crashes, found.traceback) == (State.CANCELLED, 0, STACK)
    assert places(connection, neighbour) == ["queued"]


def test_a_culprit_that_has_ended_meanwhile_changes_nothing(connection: Connection) -> None:
    (other,) = add_jobs(connection)

    assert kill_for(connection, 10**9, "hog") == (1, 0)

    assert (job(connection, other).losses, job(connection, other).crashes) == (0, 0)


@pytest.mark.parametrize("charge", [True, False])
def test_what_must_not_run_twice_fails_with_its_worker(
    connection: Connection, charge: bool
) -> None:
    (once,) = add_jobs(connection, extra='{"on_lost": "fail"}', max_attempts=5)
    (other,) = add_jobs(connection)
    worker = add_worker(connection)
    claim(connection, worker)

    rescued = hosts.rescue_workers(connection, [worker], "killed by SIGKILL", charge)

    assert rescued == (1, 1)
    found = job(connection, once)
    assert found.state is State.FAILED
    assert found.error == (
        'lost: its worker is gone (killed by SIGKILL), and its task says on_lost="fail"'
    )
    assert places(connection, other) == ["queued"]


def test_what_must_not_run_twice_fails_also_as_a_hog(connection: Connection) -> None:
    (once,) = add_jobs(connection, extra='{"on_lost": "fail"}')

    assert kill_for(connection, once, "hog") == (0, 1)
    assert (job(connection, once).error or "").startswith("lost: ")


def test_what_must_not_be_interrupted_fails_if_it_had_to_be_killed_at_the_stop(
    connection: Connection,
) -> None:
    (careful,) = add_jobs(connection, extra='{"on_interrupt": "fail"}')
    worker = add_worker(connection)
    claim(connection, worker)

    judgement = Judgement(interrupted=True)
    hosts.rescue_workers(connection, [worker], "did not end", False, judgement)

    assert job(connection, careful).error == (
        'interrupted: did not end, and its task says on_interrupt="fail"'
    )


def test_what_must_not_be_interrupted_goes_back_when_its_worker_is_lost(
    connection: Connection,
) -> None:
    (careful,) = add_jobs(connection, extra='{"on_interrupt": "fail"}')
    worker = add_worker(connection)
    claim(connection, worker)

    hosts.rescue_workers(connection, [worker], "killed by SIGKILL", True)

    assert job(connection, careful).state is State.QUEUED


def test_a_dead_host_fails_what_must_not_run_twice(connection: Connection) -> None:
    (once,) = add_jobs(connection, extra='{"on_lost": "fail"}')
    worker = add_worker(connection)
    claim(connection, worker)
    row = connection.execute("SELECT host FROM taskd.worker WHERE id = %s", (worker,)).fetchone()
    assert row is not None

    assert hosts.rescue_host(connection, row[0], None, "it gave no sign", True) == (0, 1)
    assert job(connection, once).state is State.FAILED
