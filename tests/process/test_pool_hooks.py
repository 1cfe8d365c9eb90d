"""Hooks in real workers of both kinds: when they are called, and what their failures do."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from taskd.board import WorkerState
from taskd.clock import monotonic_ns
from taskd.config.settings import PoolSettings
from taskd.store import hosts
from taskd.store.host_rows import Judgement
from tests.conftest import TestServer
from tests.pool_stand import Stand, lasting_stand
from tests.waiting import eventually

APP = """
import json
import os
import sys
import time

from taskd import (
    Middleware, Retry, WorkerLost, after_fork, current_job, middleware, on_failure,
    on_worker_start, on_worker_stop, task,
)
from taskd.errors import JobTimeout


def note(what, **more):
    with open("notes", "a") as notes:
        notes.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + "\\n")


IMPORTED_BY = os.getpid()


@on_worker_start
def first(worker):
    note("start", worker=worker.name, greenlets=worker.greenlets, generation=worker.generation)


@on_worker_start
def second(worker):
    note("start again")


@after_fork
def reopen(worker):
    note("fork", imported_here=IMPORTED_BY == os.getpid())


@on_worker_stop
def close_last(worker):
    note("stop last")


@on_worker_stop
def break_down(worker):
    raise OSError("cannot flush")


@on_worker_stop
def close_first(worker):
    note("stop first")


def summary(job, by):
    try:
        current = current_job().id
    except LookupError:
        current = None
    note(
        f"failed, says {by}", id=job.id, task=job.task, queue=job.queue, args=list(job.args),
        kwargs=job.kwargs, headers=job.headers, attempts=job.attempts, of=job.max_attempts,
        error=job.error, exception=type(job.exception).__name__, current=current,
        traceback=job.traceback and job.traceback.splitlines()[-1],
    )


@on_failure
def anything(job):
    summary(job, "anything")


@on_failure(ValueError)
def broken(job):
    raise RuntimeError("the handler is broken, too")


@on_failure(ValueError)
def value(job):
    summary(job, "value")


@on_failure(JobTimeout, WorkerLost)
def late(job):
    summary(job, "late")


def own(job):
    summary(job, "own")


@task(on_failure=own, retry=Retry(max=1, delay=0))
def refuse(why):
    raise ValueError(why)


@task(timeout=0.3)
def oversleep():
    time.sleep(60)


def leave():
    sys.exit(3)


def nap(seconds):
    note("running")
    time.sleep(seconds)


def noop():
    pass


def headers():
    return current_job().headers


@middleware
class Shouting(Middleware):
    def attempt(self, job, call_next):
        result = call_next()
        return {"said": result} if job.task == "app.headers" else result
"""
HANGING = """
import time
from taskd import {decorator}

@{decorator}
def hang(worker):
    time.sleep(60)

def noop(): pass
"""
BROKEN = """
from taskd import {decorator}

@{decorator}
def connect(worker):
    raise ConnectionError("no such\\0 host")

def noop(): pass
"""
IMPATIENT = {"startup_timeout": 1.0, "shutdown_timeout": 1.0, "kill_grace": 1.0}


def pools(**more: Any) -> dict[str, PoolSettings]:
    return {"io": PoolSettings(greenlets=5, **more), "cpu": PoolSettings(**more)}


@pytest.fixture(scope="module")
def shared_stand(
    embedded_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A host with a pool of either kind, for all tests."""
    folder = tmp_path_factory.mktemp("stand")
    with lasting_stand(embedded_server, folder, pools(), APP) as stand:
        yield stand


@pytest.fixture
def stand(shared_stand: Stand) -> Stand:
    """Nothing runs on it but its seeds; code is imported anew."""
    shared_stand.renew(keep_code=False)
    shared_stand.settings = replace(shared_stand.settings, pools=pools())
    shared_stand.write_app(APP)
    for name in ("notes", "handling", "go on"):
        (shared_stand.folder / name).unlink(missing_ok=True)
    return shared_stand


@pytest.fixture
def impatient(stand: Stand) -> Stand:
    """The same, with little time to start and to stop."""
    stand.settings = replace(stand.settings, pools=pools(**IMPATIENT))
    return stand


def notes(stand: Stand) -> list[dict[str, Any]]:
    path = stand.folder / "notes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def said(stand: Stand) -> list[str]:
    return [note["what"] for note in notes(stand)]


def failures(stand: Stand) -> list[dict[str, Any]]:
    return [note for note in notes(stand) if note["what"].startswith("failed")]


@pytest.mark.parametrize(("pool", "greenlets"), [("io", 5), ("cpu", None)])
def test_a_worker_calls_its_hooks_from_the_fork_to_the_drain(
    stand: Stand, pool: str, greenlets: int | None
) -> None:
    pid = stand.start(pool)
    job = stand.enqueue("nap", 0.5)
    eventually(lambda: "running" in said(stand))

    os.kill(pid, signal.SIGTERM)

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "succeeded"
    assert said(stand) == [
        "fork", "start", "start again", "running", "stop first", "stop last",
    ]  # fmt: skip
    fork, start, *_ = notes(stand)
    assert fork == {"what": "fork", "pid": pid, "imported_here": False}
    assert start["worker"] == f"{pool}/0"
    assert (start["greenlets"], start["generation"]) == (greenlets, 1)
    assert {note["pid"] for note in notes(stand)} == {pid}
    assert "on_worker_stop hook app.break_down failed" in stand.said()
    assert "OSError: cannot flush" in stand.said()


def test_a_worker_that_imports_for_itself_calls_after_fork_then(stand: Stand) -> None:
    talk = stand.order_forkserver("io", late=True)
    talk.hear()

    pid = stand.order_worker(talk, 0)
    stand.wait_until_idle()

    assert notes(stand)[0] == {"what": "fork", "pid": pid, "imported_here": True}


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_a_killed_worker_calls_no_stop_hook(stand: Stand, pool: str) -> None:
    pid = stand.start(pool)

    os.kill(pid, signal.SIGKILL)

    stand.wait_for_end(pid)
    assert said(stand) == ["fork", "start", "start again"]


@pytest.mark.parametrize("pool", ["io", "cpu"])
@pytest.mark.parametrize("decorator", ["after_fork", "on_worker_start"])
def test_a_worker_whose_first_hooks_fail_ends_before_it_is_ready(
    stand: Stand, pool: str, decorator: str
) -> None:
    stand.write_app(BROKEN.format(decorator=decorator))

    pid = stand.order_worker(stand.forkserver(pool), 0)

    assert stand.wait_for_end(pid) == 70
    assert stand.read().state is WorkerState.STARTING
    assert (
        f"worker {pool}/0 does not start, because {decorator} hook app.connect failed: "
        "app.py:6: ConnectionError: no such\\x00 host"
    ) in stand.said()


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_a_hook_that_hangs_at_the_start_is_named_before_the_master_kills(
    impatient: Stand, pool: str
) -> None:
    impatient.write_app(HANGING.format(decorator="on_worker_start"))

    pid = impatient.order_worker(impatient.forkserver(pool), 0)

    assert impatient.wait_for_end(pid) == 70
    assert "on_worker_start hook app.hang failed: app.py:7: HookTimeout" in impatient.said()


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_a_hook_that_hangs_at_the_end_is_given_up(impatient: Stand, pool: str) -> None:
    impatient.write_app(HANGING.format(decorator="on_worker_stop"))
    pid = impatient.start(pool)

    os.kill(pid, signal.SIGTERM)

    assert impatient.wait_for_end(pid) == 0
    assert "on_worker_stop hook app.hang failed" in impatient.said()


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_handlers_are_called_once_a_job_has_failed_for_good(stand: Stand, pool: str) -> None:
    stand.start(pool)

    job = stand.enqueue("refuse", "too old", max_attempts=2, extra='{"headers": {"trace": "a1"}}')

    eventually(lambda: stand.wake() or stand.state(job) == "failed")
    _, error, _, attempt = stand.wait_for(job, "failed")
    assert (error, attempt) == ("ValueError: too old", 2)
    own, value, anything = failures(stand)
    assert [one["what"] for one in (own, value, anything)] == [
        "failed, says own", "failed, says value", "failed, says anything",
    ]  # fmt: skip
    del own["what"], own["pid"]
    assert own == {
        "id": job, "task": "app.refuse", "queue": "default", "args": ["too old"], "kwargs": {},
        "headers": {"trace": "a1"}, "attempts": 2, "of": 2, "error": "ValueError: too old",
        "exception": "ValueError", "current": job, "traceback": "ValueError: too old",
    }  # fmt: skip
    warned = f"on_failure hook app.broken failed for job {job}, which changes nothing else: app.py:"
    assert warned in stand.said()


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_handlers_hear_of_timeouts_and_of_what_never_ran(stand: Stand, pool: str) -> None:
    stand.start(pool)
    wanted = {
        stand.enqueue("oversleep"): ("JobTimeout", ["late", "anything"]),
        stand.enqueue("leave"): ("SystemExit", ["anything"]),
        stand.enqueue("nothing"): ("TaskUnknown", ["anything"]),
        stand.enqueue("noop", 1): ("ArgumentsMismatch", ["anything"]),
    }
    if pool == "cpu":
        eventually(lambda: 0 < stand.read().deadline < monotonic_ns())
        os.kill(stand.read().pid, signal.SIGUSR1)

    for job in wanted:
        stand.wait_for(job, "failed")

    for job, (exception, handlers) in wanted.items():
        heard = [one for one in failures(stand) if one["id"] == job]
        assert [one["what"] for one in heard] == [f"failed, says {by}" for by in handlers]
        assert heard[0]["exception"] == exception


SLOW_HANDLER = """
import os
import time
from taskd import on_failure, task

@task(timeout=0.3)
def oversleep():
    time.sleep(60)

@on_failure
def handle(job):
    open("handling", "w").close()
    while not os.path.exists("go on"):
        time.sleep(0.01)
"""


@pytest.mark.parametrize("pool", ["io", "cpu"])
def test_a_job_is_its_workers_until_the_handlers_are_done(stand: Stand, pool: str) -> None:
    stand.write_app(SLOW_HANDLER)
    pid = stand.start(pool)
    job = stand.enqueue("oversleep")
    if pool == "cpu":
        eventually(lambda: 0 < stand.read().deadline < monotonic_ns())
        os.kill(pid, signal.SIGUSR1)
    eventually((stand.folder / "handling").exists)

    assert stand.state(job) == "running"
    assert stand.read().in_flight == 1
    assert stand.read().deadline == 0  # or the master would kill what is over its time
    os.kill(pid, signal.SIGTERM)
    (stand.folder / "go on").touch()

    assert stand.wait_for_end(pid) == 0
    assert stand.state(job) == "failed"


def test_headers_reach_the_job_and_middleware_stands_around_it(stand: Stand) -> None:
    stand.start("io")

    job = stand.enqueue("headers", extra='{"headers": {"trace": "a1"}}')

    result = stand.wait_for(job, "succeeded")[0]
    assert json.loads(result) == {"said": {"trace": "a1"}}


LOST_ONCE = Judgement(max_losses=1)
ITSELF = -1  # the job that is lost


def lose(stand: Stand, job: int, judgement: Judgement = LOST_ONCE) -> None:
    """Publish what the code offers, kill the worker that runs the job, and let the job fail."""
    ready = stand.order_forkserver("io", generation=2).hear()
    hosts.publish_tasks(stand.connection, stand.board.host, "io", ready["tasks"])
    stand.wait_for(job, "running")
    os.kill(stand.read().pid, signal.SIGKILL)
    stand.wait_for_end(stand.read().pid)
    worker = stand.read().worker
    hosts.rescue_workers(stand.connection, [worker], "killed", not judgement.culprit, judgement)
    assert stand.state(job) == "failed"


def test_a_job_that_only_a_rescue_saw_fail_is_told_to_the_handlers(stand: Stand) -> None:
    stand.start("io")
    job = stand.enqueue("nap", 60)
    lose(stand, job)

    stand.start("io", 1)

    eventually(lambda: len(failures(stand)) == 2)
    late, anything = failures(stand)
    assert late["what"] == "failed, says late"
    assert (late["id"], late["exception"], late["attempts"]) == (job, "WorkerLost", 1)
    assert late["error"].startswith("poisoned: its worker was lost 1 times")
    assert anything["what"] == "failed, says anything"
    stand.wait_for_count("succeeded", 1)


@pytest.mark.parametrize(
    ("judgement", "extra", "exception", "error"),
    [
        (
            Judgement(culprit=ITSELF, why="timeout"),
            None,
            "JobTimeout",
            "JobTimeout: killed; its worker was killed",
        ),
        (
            Judgement(interrupted=True),
            '{"on_interrupt": "fail"}',
            "JobInterrupted",
            'interrupted: killed, and its task says on_interrupt="fail"',
        ),
    ],
)
def test_handlers_are_told_why_a_worker_had_to_be_killed(
    stand: Stand, judgement: Judgement, extra: str | None, exception: str, error: str
) -> None:
    stand.start("io")
    job = stand.enqueue("nap", 60, extra=extra)
    lose(stand, job, replace(judgement, culprit=judgement.culprit and job))

    stand.start("io", 1)

    eventually(lambda: "failed, says anything" in said(stand))
    assert {failure["exception"] for failure in failures(stand)} == {exception}
    assert failures(stand)[-1]["error"] == error


def test_nobody_is_told_of_a_lost_job_if_the_code_has_no_handlers(stand: Stand) -> None:
    stand.write_app("import time\n\ndef nap(seconds): time.sleep(seconds)\n")
    stand.start("io")
    job = stand.enqueue("nap", 60)

    lose(stand, job)

    assert stand.query("SELECT id, state FROM taskd.job") == [(job, "failed")]
