"""Failure handlers that misbehave, as a worker calls them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from taskd import FailedJob, on_failure
from taskd.errors import HookTimeout
from taskd.events import Event, Events
from taskd.pool.events import HookFailed
from taskd.pool.failures import FailureHandlers
from taskd.pool.hook_faults import alarm
from taskd.tasks.context import JobAttempt
from taskd.tasks.outcome import Failed
from tests.hook_lines import no_hooks


@pytest.fixture(autouse=True)
def hooks() -> Iterator[None]:
    with no_hooks():
        yield


def fail(exception: BaseException | None = None) -> list[Event]:
    """Let a job fail; what its worker tells."""
    told: list[Event] = []
    events = Events()
    events.subscribe(told.append)
    handlers = FailureHandlers("io/0", events, lambda seconds: alarm(0.05))
    handlers.call(JobAttempt(7, 70, 1, 1, "shop.sync"), [1], None, Failed("E", None, exception))
    return told


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), OSError()])
def test_whatever_a_handler_raises_the_next_is_called(error: BaseException) -> None:
    called: list[int] = []

    @on_failure
    def breaks(job: FailedJob) -> None:
        raise error

    @on_failure
    def counts(job: FailedJob) -> None:
        called.append(job.id)

    [told] = fail(ValueError())

    assert called == [7]
    assert isinstance(told, HookFailed)
    assert type(error).__name__ in told.fault
    assert "test_pool_failures.py" in told.fault


def test_a_handler_that_hangs_is_given_up_and_the_next_is_called() -> None:
    called: list[int] = []

    @on_failure
    def hangs(job: FailedJob) -> None:
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)

    @on_failure
    def counts(job: FailedJob) -> None:
        called.append(job.id)

    began = time.monotonic()
    [told] = fail(ValueError())

    assert time.monotonic() - began < 30
    assert called == [7]
    assert isinstance(told, HookFailed)
    assert "HookTimeout: still running after the 0.05 s that it may take" in told.fault


def test_an_exception_class_that_cannot_be_compared_breaks_no_worker() -> None:
    class Strange(type):
        def __instancecheck__(cls, instance: object) -> bool:
            raise RuntimeError("no")

    class StrangeError(Exception, metaclass=Strange):
        pass

    on_failure(StrangeError)(lambda job: None)

    [told] = fail(ValueError())

    assert isinstance(told, HookFailed)
    assert "RuntimeError: no" in told.fault


def test_a_failure_without_an_exception_is_a_failed_job() -> None:
    seen: list[BaseException] = []
    on_failure(lambda job: seen.append(job.exception))

    fail()

    assert [str(one) for one in seen] == ["job 7 (shop.sync) failed: E"]


def test_an_alarm_leaves_the_handler_and_the_timer_as_they_were() -> None:
    before = signal.getsignal(signal.SIGALRM)

    with pytest.raises(HookTimeout), alarm(0.01):
        time.sleep(60)

    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
