"""Middleware around attempts: order, what passes, and what it costs where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskd import CurrentJob, Middleware, middleware
from taskd.errors import HookInvalid, JobCancelled, JobInterrupted, JobTimeout
from taskd.tasks.context import JobAttempt
from taskd.tasks.hooks.registry import Hooks
from taskd.tasks.outcome import Cancelled, Done, Failed, Interrupted, Outcome, Retried, Snoozed
from taskd.tasks.run import Runner
from tests.hook_lines import no_hooks
from tests.unit.tasks_project import UserCode, user_code

SHOP = """
from taskd import Retry, Snooze, current_job, task

@task
def add(a, b=1): return a + b

@task(retry=Retry(max=3, on=KeyError))
def fail(): raise ValueError("boom")

@task
def snooze(): raise Snooze(5)

@task
def headers(): return current_job().headers

RAISED = []

@task
def raise_it(): raise RAISED[0]
"""


@pytest.fixture(autouse=True)
def hooks() -> Iterator[Hooks]:
    with no_hooks() as made:
        yield made


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UserCode]:
    with user_code(tmp_path, monkeypatch) as made:
        made.write("hshop.py", SHOP)
        yield made


def run(runner: Runner, name: str, *args: Any, of: int = 1, **extra: Any) -> Outcome:
    attempt = JobAttempt(7, 70, 1, of, f"hshop.{name}", "default", 1, extra)
    return runner.run_attempt(attempt, list(args), None)


class Tracing(Middleware):
    """Notes who comes when."""

    def __init__(self, name: str = "plain", notes: list[str] | None = None) -> None:
        self.name = name
        self.notes = [] if notes is None else notes

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        self.notes.append(f"{self.name} before {job.id}")
        result = call_next()
        self.notes.append(f"{self.name} after {result}")
        return result


def test_the_lowest_order_is_outermost_and_equals_keep_theirs() -> None:
    notes: list[str] = []
    middleware(Tracing("third", notes))
    middleware(Tracing("fourth", notes))
    middleware(Tracing("second", notes), order=-1)
    middleware(Tracing("first", notes), order=-2)

    run(Runner(["hshop"]), "add", 1)

    before = [note.split()[0] for note in notes if "before" in note]
    after = [note.split()[0] for note in notes if "after" in note]
    assert before == ["first", "second", "third", "fourth"]
    assert after == before[::-1]


def test_without_middleware_a_worker_calls_the_function_itself() -> None:
    runner = Runner(["hshop"])

    run(runner, "add", 1)

    import hshop  # type: ignore[import-not-found]

    assert runner._callees["hshop.add"].function is hshop.add.function


def test_middleware_that_comes_later_stands_around_known_tasks_too() -> None:
    notes: list[str] = []
    runner = Runner(["hshop"])
    run(runner, "add", 1)

    middleware(Tracing("late", notes))
    run(runner, "add", 1)

    assert notes == ["late before 7", "late after 2"]


def test_a_result_may_be_changed_on_its_way_out() -> None:
    @middleware
    class Doubling(Middleware):
        def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
            return [call_next(), call_next()]

    assert run(Runner(["hshop"]), "add", 1) == Done("[2,2]")


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_middleware_raises_ends_the_attempt_as_if_the_function_had_raised_it(
    when: str,
) -> None:
    @middleware
    class Broken(Middleware):
        def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
            if when == "after":
                call_next()
            raise KeyError("broken")

    runner = Runner(["hshop"])
    retried, failed = run(runner, "fail", of=4), run(runner, "add", 1, of=4)

    # The function of the first raises first, where middleware calls it.
    assert isinstance(retried, Retried if when == "before" else Failed)
    assert isinstance(failed, Retried)
    assert failed.error == "KeyError: 'broken'"
    assert "in attempt" in (failed.traceback or "")


def test_errors_and_signals_of_the_function_come_out_of_call_next() -> None:
    seen: list[BaseException] = []

    @middleware
    class Watching(Middleware):
        def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
            try:
                return call_next()
            except Exception as error:
                seen.append(error)
                raise

    runner = Runner(["hshop"])
    outcomes = [run(runner, "fail"), run(runner, "snooze")]

    assert [type(error).__name__ for error in seen] == ["ValueError", "Snooze"]
    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].exception is seen[0]
    assert outcomes[1] == Snoozed(5.0)


@pytest.mark.parametrize(
    ("interrupt", "kind"),
    [(JobInterrupted(), Interrupted), (JobCancelled(), Cancelled), (JobTimeout(1), Failed)],
)
def test_interrupts_pass_through_except_exception(interrupt: BaseException, kind: type) -> None:
    @middleware
    class Careful(Middleware):
        def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
            try:
                return call_next()
            except Exception:
                return "swallowed"

    import hshop

    hshop.RAISED[:] = [interrupt]

    assert isinstance(run(Runner(["hshop"]), "raise_it"), kind)


def test_a_job_reads_its_headers_and_cannot_change_them() -> None:
    extra = {"headers": {"trace": "a1", "depth": 2}}

    @middleware
    class Meddling(Middleware):
        def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
            job.headers.clear()  # type: ignore[attr-defined]
            return call_next()

    assert run(Runner(["hshop"]), "headers", **extra) == Done('{"trace":"a1","depth":2}')
    assert run(Runner(["hshop"]), "headers") == Done("{}")


def test_a_module_imported_again_replaces_its_middleware(code: UserCode, hooks: Hooks) -> None:
    code.write(
        "hmore.py",
        """
        from taskd import Middleware, middleware

        @middleware
        class Tracing(Middleware):
            def attempt(self, job, call_next): return call_next()
        """,
    )
    import importlib

    import hmore  # type: ignore[import-not-found]

    first = hooks.around_attempt.hooks
    importlib.reload(hmore)

    assert len(hooks.around_attempt.hooks) == 1
    assert hooks.around_attempt.hooks != first


class Empty(Middleware):
    pass


class Async(Middleware):
    async def attempt(self, job: Any, call_next: Any) -> Any:  # type: ignore[override]
        return call_next()


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (object(), "is no Middleware: derive object from it"),
        (print, "is no Middleware"),
        (Empty, "middleware: Empty has neither of enqueue, attempt"),
        (Async, "middleware: Async.attempt is an async function"),
    ],
)
def test_what_cannot_be_middleware_is_refused(made: Any, sentence: str) -> None:
    with pytest.raises(HookInvalid, match=sentence):
        middleware(made)


@pytest.mark.parametrize("order", ["first", 1.5, True])
def test_an_order_that_is_no_whole_number_is_refused(order: Any) -> None:
    with pytest.raises(HookInvalid, match=r"order=.* is not a whole number"):
        middleware(Tracing(), order=order)
