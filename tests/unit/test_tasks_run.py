from __future__ import annotations

import contextvars
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskd import current_job
from taskd.errors import JobCancelled, JobInterrupted, JobTimeout, NoCurrentJob
from taskd.tasks.context import JobAttempt, running_attempt
from taskd.tasks.outcome import (
    DONE,
    Cancelled,
    Done,
    Failed,
    Interrupted,
    Outcome,
    Retried,
    Snoozed,
)
from taskd.tasks.run import Runner
from tests.unit.tasks_project import UserCode, user_code

TASKS = """
import contextvars, sys
from taskd import Cancel, Retry, RetryLater, Snooze, current_job, task
from taskd.errors import JobTimeout

LEAK = contextvars.ContextVar("leak", default=0)

@task
def add(a, b=1): return a + b

@task
def nothing(a): pass

@task(retry=Retry(max=2, delay=10, jitter=0, never=(KeyError,)))
def fail(kind="ValueError"):
    raise {"ValueError": ValueError, "KeyError": KeyError, "base": BaseException}[kind]("boom")

@task
def whoami():
    job = current_job()
    return [job.id, job.attempt, job.max_attempts, job.task, job.queue]

@task
def leave(status=3): sys.exit(status)

@task
def later(seconds): raise RetryLater(seconds)

@task
def snooze(seconds): raise Snooze(seconds)

@task
def cancel(why): raise Cancel(why)

@task
def not_json(): return {"a": [1, {2}]}

@task
def large(): return "x" * 2_000_000

class Liar(dict):
    def items(self): raise RuntimeError("no items")

@task
def lie(): return Liar(a=1)

class Unprintable(Exception):
    def __str__(self): raise RuntimeError("no text")
    __repr__ = __str__

@task
def unprintable(): raise Unprintable

@task(retry=1)
def raise_in(hook):
    HOOKS[hook]()

HOOKS = {}

@task(on_interrupt="fail")
def careful(hook): HOOKS[hook]()

@task
def frame_names():
    frame, names = sys._getframe(), []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names

@task
def leak():
    LEAK.set(LEAK.get() + 1)
    return LEAK.get()

@task(retry=Retry(max=5, backoff=lambda n: 1 / 0))
def bad_backoff(): raise ValueError("boom")

class Leaving(dict):
    def __repr__(self): sys.exit(4)
    items = __str__ = __repr__

@task
def leaving_local():
    local = Leaving()
    raise ValueError("boom")

@task
def leaving_result(): return Leaving(a=1)

@task
def leaving_status(): sys.exit(Leaving())

@task(retry=Retry(max=5, backoff=lambda n: sys.exit(4)))
def leaving_backoff(): raise ValueError("boom")
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        made.write("xshop.py", TASKS)
        yield made


@pytest.fixture
def runner(code: UserCode) -> Runner:
    return Runner(["xshop"], random=lambda: 0.5)


def run(runner: Runner, name: str, *args: Any, number: int = 1, of: int = 1, **kw: Any) -> Outcome:
    attempt = JobAttempt(7, 70, number, of, name, "default")
    outcome = runner.run_attempt(attempt, list(args), kw or None)
    assert not attempt.is_open
    return outcome


def test_a_result_is_json(runner: Runner) -> None:
    assert run(runner, "xshop.add", 2, 3) == Done("5")
    assert run(runner, "xshop.add", 2, b=3) == Done("5")


def test_nothing_returned_is_always_the_same_outcome(runner: Runner) -> None:
    assert run(runner, "xshop.nothing", 1) is DONE


@pytest.mark.parametrize(
    ("name", "args", "sentence"),
    [
        ("xshop.add", (), "missing a required argument: 'a'"),
        ("xshop.add", (1, 2, 3), "got 3 positional arguments, too many"),
        (
            "xshop.ad",
            (1,),
            "unknown task xshop.ad: module xshop has no ad (did you mean xshop.add?)",
        ),
        ("os.system", ("true",), "outside of imports (xshop)"),
        ("xshop.sys.exit", (), "outside of imports (xshop)"),
        ("xshop.leave", (), "the task called sys.exit(3)"),
        ("xshop.not_json", (), "result: a[1]: set is not JSON; pass a list"),
        ("xshop.large", (), "result: 2,000,002 bytes of JSON are more than the allowed 1,048,576"),
        ("xshop.lie", (), "result: RuntimeError: no items"),
        ("xshop.unprintable", (), "xshop.Unprintable: (its message cannot be shown: RuntimeError)"),
        ("xshop.fail", (), "ValueError: boom"),
        ("xshop.fail", ("base",), "BaseException: boom"),
    ],
)
def test_whatever_goes_wrong_ends_in_a_sentence(
    runner: Runner, name: str, args: tuple[Any, ...], sentence: str
) -> None:
    outcome = run(runner, name, *args)

    assert isinstance(outcome, Failed)
    assert sentence in outcome.error


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("xshop.leaving_local", "ValueError: boom"),
        ("xshop.leaving_result", "result: SystemExit: 4"),
        ("xshop.leaving_status", "the task called sys.exit((SystemExit))"),
        ("xshop.leaving_backoff", "ValueError: boom (not retried: its backoff: SystemExit: 4)"),
    ],
)
def test_nothing_that_belongs_to_a_task_leaves_the_worker(
    runner: Runner, name: str, sentence: str
) -> None:
    outcome = run(runner, name, of=2)

    assert isinstance(outcome, Failed | Retried)
    assert sentence in outcome.error


def test_a_traceback_begins_in_the_tasks_own_code(runner: Runner) -> None:
    outcome = run(runner, "xshop.fail")

    assert isinstance(outcome, Failed)
    lines = (outcome.traceback or "").splitlines()
    assert "xshop.py" in lines[1]
    assert lines[1].endswith("in fail")
    assert "    kind = 'ValueError'" in lines


def test_an_error_is_retried_while_attempts_are_left(runner: Runner) -> None:
    first = run(runner, "xshop.fail", number=1, of=3)
    second = run(runner, "xshop.fail", number=2, of=3)
    last = run(runner, "xshop.fail", number=3, of=3)

    assert isinstance(first, Retried)
    assert (first.delay, first.error, first.timed_out) == (10, "ValueError: boom", False)
    assert isinstance(second, Retried)
    assert second.delay == 20
    assert isinstance(last, Failed)


def test_an_error_that_is_never_retried_fails_at_once(runner: Runner) -> None:
    assert isinstance(run(runner, "xshop.fail", "KeyError", of=3), Failed)


@pytest.mark.parametrize("name", ["xshop.leave", "xshop.not_json", "xshop.add", "os.system"])
def test_what_no_retry_would_change_is_not_retried(runner: Runner, name: str) -> None:
    assert isinstance(run(runner, name, of=5), Failed)


def test_a_backoff_function_that_raises_fails_the_job_with_both_reasons(runner: Runner) -> None:
    outcome = run(runner, "xshop.bad_backoff", of=5)

    assert isinstance(outcome, Failed)
    assert outcome.error == (
        "ValueError: boom (not retried: its backoff: ZeroDivisionError: division by zero)"
    )


def test_a_task_can_steer_its_own_job(runner: Runner) -> None:
    assert run(runner, "xshop.snooze", 5) == Snoozed(5.0)
    assert run(runner, "xshop.cancel", "no need") == Cancelled("no need")
    later = run(runner, "xshop.later", 30, of=2)
    assert isinstance(later, Retried)
    assert later.delay == 30


def test_retry_later_without_retries_left_says_so(runner: Runner) -> None:
    outcome = run(runner, "xshop.later", 30)

    assert isinstance(outcome, Failed)
    assert "no retries left: see @task(retry=…)" in outcome.error


@pytest.mark.parametrize("seconds", [-1, float("nan"), "soon", True])
def test_a_pause_that_is_none_fails_the_job(runner: Runner, seconds: Any) -> None:
    outcome = run(runner, "xshop.snooze", seconds)

    assert isinstance(outcome, Failed)
    assert "Snooze: seconds=" in outcome.error


@pytest.mark.parametrize(
    ("interrupt", "kind"),
    [
        (JobInterrupted(), Interrupted),
        (JobCancelled(), Cancelled),
        (JobTimeout(0.2), Retried),
    ],
)
@pytest.mark.parametrize("cleaning_up_fails", [False, True])
def test_an_interrupt_counts_also_if_cleaning_up_fails(
    runner: Runner, interrupt: BaseException, kind: type, cleaning_up_fails: bool
) -> None:
    run(runner, "xshop.nothing", 1)  # imports the module

    def hook() -> None:
        try:
            raise interrupt
        finally:
            if cleaning_up_fails:
                raise OSError("cannot close")

    hooks()["go"] = hook
    outcome = run(runner, "xshop.raise_in", "go", of=2)

    assert isinstance(outcome, kind)
    if isinstance(outcome, Retried):
        assert outcome.timed_out
        assert "0.2" in outcome.error


@pytest.mark.parametrize("interrupt", [JobInterrupted(), JobTimeout(0.2), JobCancelled()])
def test_a_task_may_ask_to_fail_when_it_is_interrupted(
    runner: Runner, interrupt: BaseException
) -> None:
    run(runner, "xshop.nothing", 1)

    def hook() -> None:
        raise interrupt

    hooks()["go"] = hook
    outcome = run(runner, "xshop.careful", "go")

    is_interrupted = isinstance(outcome, Failed) and outcome.error.startswith("interrupted: ")
    assert is_interrupted is isinstance(interrupt, JobInterrupted)
    assert not is_interrupted or "in careful" in (outcome.traceback or "")  # type: ignore[union-attr]


def test_what_struck_as_the_job_ended_goes_by_its_task_too(runner: Runner) -> None:
    tasks = ("xshop.nothing", "xshop.careful")
    for task in tasks:
        run(runner, task, 1)

    usual, careful = (runner.interrupted(JobAttempt(7, 70, 1, 1, task)) for task in tasks)

    assert isinstance(usual, Interrupted)
    assert isinstance(careful, Failed)


def test_the_frame_that_calls_a_task_is_named_after_it(runner: Runner) -> None:
    outcome = run(runner, "xshop.frame_names")

    assert isinstance(outcome, Done)
    assert json.loads(outcome.result or "")[:2] == ["frame_names", "task xshop.frame_names"]


def test_the_workers_own_exceptions_are_let_through(code: UserCode) -> None:
    class WorkerEnds(BaseException):
        pass

    runner = Runner(["xshop"], let_through=(WorkerEnds,))
    run(runner, "xshop.nothing", 1)

    def hook() -> None:
        raise WorkerEnds

    hooks()["go"] = hook
    with pytest.raises(WorkerEnds):
        run(runner, "xshop.raise_in", "go")


def test_an_attempt_is_open_only_while_the_tasks_code_runs(runner: Runner) -> None:
    run(runner, "xshop.nothing", 1)
    seen = []
    hooks()["go"] = lambda: seen.append(running_attempt.get().is_open)

    run(runner, "xshop.raise_in", "go")

    assert seen == [True]


def test_the_current_job_is_known_inside_and_only_inside(runner: Runner) -> None:
    outcome = run(runner, "xshop.whoami", number=2, of=3)

    assert isinstance(outcome, Done)
    assert json.loads(outcome.result or "") == [7, 2, 3, "xshop.whoami", "default"]
    with pytest.raises(NoCurrentJob, match="no job runs here"):
        current_job()


def test_context_variables_do_not_leak_into_the_next_job(runner: Runner) -> None:
    def twice() -> list[Outcome]:
        return [run(runner, "xshop.leak"), run(runner, "xshop.leak")]

    assert contextvars.copy_context().run(twice) == [Done("1"), Done("1")]


def hooks() -> dict[str, Any]:
    import xshop  # type: ignore[import-not-found]

    found: dict[str, Any] = xshop.HOOKS
    return found
