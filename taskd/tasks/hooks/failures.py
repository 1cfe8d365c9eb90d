"""What to call when a job has failed for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from taskd.errors import HookInvalid, JobInterrupted, JobTimeout, WorkerLost
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.hooks.signatures import check_hook, hook_name

_ANY = (BaseException,)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """A job that has failed and will not be tried again.

    `error` is one sentence, `traceback` the worker's, if there is one; `exception` is what the last
    attempt raised, JobTimeout for one that ran over its time, WorkerLost if its workers died.
    `attempts` counts from 1; `headers` is what middleware let travel with it.
    """

    id: int
    task: str
    queue: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    headers: Mapping[str, Any]
    attempts: int
    max_attempts: int
    error: str
    traceback: str | None
    exception: BaseException


Handle = Callable[[FailedJob], object]
Handler = TypeVar("Handler", bound=Handle)


@dataclass(frozen=True, slots=True)
class FailureHandler:
    """A function, and the exceptions that it is for."""

    function: Handle
    errors: tuple[type[BaseException], ...] = _ANY

    @property
    def name(self) -> str:
        """As people find it: `shop.hooks.alert`."""
        return hook_name(self.function)

    def distance(self, exception: BaseException) -> int | None:
        """How far above the exception's class the nearest of `errors` is; None: not for it."""
        line = type(exception).__mro__
        return min(
            (
                line.index(error) if error in line else len(line)  # one that was registered as ABC
                for error in self.errors
                if isinstance(exception, error)
            ),
            default=None,
        )

    def __call__(self, job: FailedJob) -> object:
        """Call it."""
        return self.function(job)


@overload
def on_failure(function: Handler, /) -> Handler: ...
@overload
def on_failure(*errors: type[BaseException]) -> Callable[[Handler], Handler]: ...
def on_failure(*arguments: Any) -> Any:
    """Call a function with each FailedJob, or those of some exceptions: `@on_failure(ValueError)`.

    In the worker, right before the failure is stored; so it is called again if the worker dies in
    between, because the job then runs again. All handlers that fit are called: the task's own
    first, then those for the most specific exceptions, then as they were registered. Each may take
    10 seconds. What one raises is logged as a warning and changes nothing. Raises HookInvalid.
    """
    if len(arguments) == 1 and not isinstance(arguments[0], type):
        return _register(arguments[0], _ANY)
    errors = tuple(_error_class(error) for error in arguments) or _ANY
    return lambda function: _register(function, errors)


def _error_class(error: object) -> type[BaseException]:
    if isinstance(error, type) and issubclass(error, BaseException):
        return error
    raise HookInvalid(f"on_failure: {error!r} is not an exception class")


def _register(function: Handler, errors: tuple[type[BaseException], ...]) -> Handler:
    check_failure_handler(function)
    hooks.on_failure.add(FailureHandler(function, errors), function, what=errors)
    return function


def check_failure_handler(function: object) -> Handle:
    """Give back what can be called with a FailedJob; raises HookInvalid otherwise."""
    return check_hook("on_failure", function, "the failed job")


def hears_of_losses(own: Handle | None) -> bool:
    """Whether anybody is to be called when a worker dies for good under a job, however it did."""
    kinds = (WorkerLost(), JobTimeout(0.0), JobInterrupted())
    return any(handlers_of(own, kind) for kind in kinds)


def handlers_of(own: Handle | None, exception: BaseException) -> list[FailureHandler]:
    """Whom to call, in order; `own` is the task's own handler."""
    fitting = [
        (distance, handler)
        for handler in hooks.on_failure
        if (distance := handler.distance(exception)) is not None
    ]
    fitting.sort(key=lambda found: found[0])
    first = [] if own is None else [FailureHandler(own)]
    return first + [handler for _, handler in fitting]
