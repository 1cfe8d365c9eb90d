"""Middleware: code around every enqueue and every attempt.

outermost                                            innermost
order -10   ──► order 0, first registered ──► order 0, last ──► the store, or the function
            ◄──                           ◄──               ◄──
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from taskd.errors import HookInvalid, NotATask
from taskd.tasks.context import CurrentJob, current_job
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.names import check_function

if TYPE_CHECKING:
    from taskd.tasks.hooks.enqueueing import EnqueueCall
    from taskd.tasks.job import Job


_METHODS = ("enqueue", "attempt")


class Middleware:
    """Code around enqueues and attempts: derive from it, override one method or both.

    Register the class or an object of it with `@middleware`. One object serves all greenlets and
    threads of a process, so keep what belongs to one call in local variables.
    """

    def enqueue(
        self, call: EnqueueCall, call_next: Callable[[EnqueueCall], list[Job[Any]]]
    ) -> list[Job[Any]]:
        """Store the calls of one enqueue by `call_next(call)`, and give back its jobs.

        The call may be changed on its way in: `call_next(call.with_headers(trace=…))`. All that is
        inside happens in one transaction: whatever is raised here, before or after `call_next`,
        reaches the enqueueing code, and nothing is stored. The jobs can be run once the outermost
        middleware has returned.
        """
        return call_next(call)

    def attempt(self, job: CurrentJob, call_next: Callable[[], object]) -> object:
        """Run the function of a job by `call_next()`, and give back its result.

        What is raised here ends the attempt as if the function had raised it. What the function
        raises comes out of `call_next()`: also RetryLater, Snooze and Cancel, and the Interrupts,
        which are no Exceptions; let those pass.
        """
        return call_next()


Registered = TypeVar("Registered", bound=Middleware | type[Middleware])


@overload
def middleware(made: Registered, /, *, order: int = 0) -> Registered: ...
@overload
def middleware(*, order: int) -> Callable[[Registered], Registered]: ...
def middleware(made: Any = None, /, *, order: int = 0) -> Any:
    """Put a Middleware around every enqueue and every attempt of this process.

    A class is called without arguments; give an object of one that needs some. The one with the
    lowest `order` is outermost; of equals, the one that was registered first. Raises HookInvalid.
    """
    if isinstance(order, bool) or not isinstance(order, int):
        raise HookInvalid(f"middleware: order={order!r} is not a whole number")
    if made is None:
        return lambda made: _register(made, order)
    return _register(made, order)


def _register(made: Any, order: int) -> Any:
    kind = made if isinstance(made, type) else type(made)
    if not issubclass(kind, Middleware):
        raise HookInvalid(
            f"middleware: {made!r} is no Middleware: derive {kind.__qualname__} from it"
        )
    overridden = [name for name in _METHODS if getattr(kind, name) is not getattr(Middleware, name)]
    if not overridden:
        raise HookInvalid(f"middleware: {kind.__qualname__} has neither of {', '.join(_METHODS)}")
    for name in overridden:
        _check_method(kind, name)
    one = made() if isinstance(made, type) else made
    if "enqueue" in overridden:
        hooks.around_enqueue.add(one, made, order)
    if "attempt" in overridden:
        hooks.around_attempt.add(one, made, order)
    hooks.changed()
    return made


def _check_method(kind: type[Middleware], method: str) -> None:
    function = getattr(kind, method)
    if inspect.isfunction(function):
        try:
            check_function(function, f"{kind.__qualname__}.{method}")
        except NotATask as error:
            raise HookInvalid(f"middleware: {error}") from None


def is_registered(kind: type[Middleware]) -> bool:
    """Whether this class, or an object of it, has been registered already."""
    return any(type(one) is kind for one in (*hooks.around_enqueue, *hooks.around_attempt))


def around_attempt(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside of the middleware that there is now; itself, if there is none.

    To be called where `current_job()` is known.
    """
    chain = hooks.around_attempt.hooks[::-1]
    if not chain:
        return function

    def attempt(*args: Any, **kwargs: Any) -> object:
        job = current_job()
        call: Callable[[], object] = partial(function, *args, **kwargs)
        for one in chain:
            call = partial(one.attempt, job, call)
        return call()

    return attempt
