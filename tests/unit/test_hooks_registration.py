"""Failure handlers and hooks of workers: which functions may be some, and which are called when."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskd import FailedJob, WorkerInfo, after_fork, on_failure, on_worker_start, on_worker_stop
from taskd.errors import HookInvalid, JobInterrupted, JobTimeout, OptionInvalid, WorkerLost
from taskd.tasks.hooks.failures import handlers_of, hears_of_losses
from taskd.tasks.hooks.registry import Hooks
from taskd.tasks.options import read_defaults
from tests.hook_lines import no_hooks
from tests.unit.tasks_project import user_code


@pytest.fixture(autouse=True)
def hooks() -> Iterator[Hooks]:
    with no_hooks() as made:
        yield made


def handler(name: str) -> Any:
    def handle(job: FailedJob) -> None: ...

    handle.__qualname__ = f"<{name}>"
    return handle


def names(own: Any, exception: BaseException) -> list[str]:
    return [one.name.partition("<")[2][:-1] for one in handlers_of(own, exception)]


class ShopError(Exception):
    pass


class Refused(ShopError, ValueError):
    pass


def test_the_tasks_own_handler_comes_first_then_the_most_specific() -> None:
    on_failure(handler("any"))
    on_failure(Exception)(handler("exception"))
    on_failure(ValueError)(handler("value"))
    on_failure(Refused)(handler("refused"))
    on_failure(ShopError)(handler("shop"))
    on_failure(KeyError)(handler("key"))

    assert names(handler("own"), Refused()) == [
        "own", "refused", "shop", "value", "exception", "any",
    ]  # fmt: skip
    assert names(None, KeyboardInterrupt()) == ["any"]


def test_equally_specific_handlers_are_called_as_they_were_registered() -> None:
    on_failure(ValueError)(handler("first"))
    on_failure(KeyError, ValueError)(handler("second"))

    assert names(None, ValueError()) == ["first", "second"]
    assert names(None, KeyError()) == ["second"]


def test_of_several_classes_the_nearest_counts() -> None:
    on_failure(ShopError)(handler("shop"))
    on_failure(Exception, Refused)(handler("both"))

    assert names(None, Refused()) == ["both", "shop"]


def test_one_function_may_be_registered_for_one_exception_after_the_other(hooks: Hooks) -> None:
    @on_failure(ValueError)
    @on_failure(KeyError)
    def handle(job: FailedJob) -> None: ...

    assert len(handlers_of(None, ValueError())) == 1
    assert len(handlers_of(None, KeyError())) == 1


@pytest.mark.parametrize(
    ("error", "hears"),
    [(JobTimeout, True), (WorkerLost, True), (JobInterrupted, True), (ValueError, False)],
)
def test_it_is_published_whether_anybody_hears_of_a_loss(error: Any, hears: bool) -> None:
    on_failure(error)(handler("some"))

    assert hears_of_losses(None) is hears
    assert hears_of_losses(handler("own"))


def two(job: object, more: object) -> None: ...


def none() -> None: ...


def generator(job: object) -> Any:
    yield job


async def coroutine(job: object) -> None: ...


class Called:
    def __call__(self, job: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (two, "missing a required argument: 'more'"),
        (none, r"none\(\) got 1 positional arguments, too many: it takes \(\)"),
        (generator, "generator is a generator"),
        (coroutine, "coroutine is an async function"),
        (Called(), "no plain function: write a def that calls it"),
        (print, "no plain function"),
        (None, "no plain function"),
    ],
)
@pytest.mark.parametrize("register", [on_worker_start, on_worker_stop, after_fork, on_failure])
def test_a_function_that_cannot_be_a_hook_is_refused(
    register: Any, function: Any, sentence: str
) -> None:
    with pytest.raises(HookInvalid, match=sentence) as refused:
        register(function)

    assert str(refused.value).startswith(f"{register.__name__}: ")


@pytest.mark.parametrize("error", ["ValueError", 3])
def test_what_is_no_exception_class_is_refused(error: Any) -> None:
    with pytest.raises(HookInvalid, match="is not an exception class"):
        on_failure(error, ValueError)


def test_int_is_no_exception_class() -> None:
    with pytest.raises(HookInvalid, match="<class 'int'> is not an exception class"):
        on_failure(int)  # type: ignore[call-overload]


def test_a_task_may_have_a_handler_of_its_own() -> None:
    own = handler("own")

    assert read_defaults({"on_failure": own}).on_failure is own
    assert read_defaults({}).on_failure is None
    with pytest.raises(HookInvalid, match=r"on_failure: .* two\(\) missing"):
        read_defaults({"on_failure": two})
    with pytest.raises(OptionInvalid, match="did you mean on_failure"):
        read_defaults({"on_failur": own})


def test_hooks_of_workers_are_kept_in_order_and_by_name(hooks: Hooks) -> None:
    @on_worker_start
    def first(worker: WorkerInfo) -> None: ...

    @on_worker_start
    def second(worker: WorkerInfo) -> None: ...

    assert [hook.name.rpartition(".")[2] for hook in hooks.on_worker_start] == ["first", "second"]
    assert second.__name__ == "second"  # the decorator gives the function back


SCRIPT = """
from taskd import after_fork, on_failure

@after_fork
def _(worker): ...

@after_fork
def _(worker): ...

for _ in range(3):
    after_fork(lambda worker: None)

@on_failure
def alert(job): ...
"""


def test_a_script_that_is_imported_as_well_registers_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooks: Hooks
) -> None:
    with user_code(tmp_path, monkeypatch) as code:
        code.write("hscript.py", SCRIPT)
        monkeypatch.chdir(tmp_path)
        exec(compile(SCRIPT, "hscript.py", "exec"), {"__name__": "__main__"})
        assert (len(hooks.after_fork.hooks), len(hooks.on_failure.hooks)) == (5, 1)

        import hscript  # type: ignore[import-not-found]  # noqa: F401

    # Those of a line are replaced; of lambdas there may be several from one line.
    assert (len(hooks.after_fork.hooks), len(hooks.on_failure.hooks)) == (8, 1)
    assert "hscript" not in sys.modules


def test_a_worker_knows_its_name() -> None:
    assert WorkerInfo(pool="io", slot=3, generation=1, greenlets=25).name == "io/3"
