"""One attempt of a job, from its name and arguments to its outcome.

Whatever the job's code does ends in a value. This is the hot path: for a job that is found, fits
and returns nothing it is a few microseconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from taskd.errors import Interrupt, JobCancelled, JobInterrupted, NotJson, TaskdError, TooLarge
from taskd.tasks.arguments import MAX_RESULT, encode_result
from taskd.tasks.context import JobAttempt, running_attempt
from taskd.tasks.failure import MAX_ERROR, error_text, storable, traceback_text
from taskd.tasks.frames import named, task_name
from taskd.tasks.hooks.middleware import around_attempt
from taskd.tasks.hooks.registry import hooks
from taskd.tasks.outcome import (
    DONE,
    Done,
    Failed,
    Interrupted,
    Outcome,
    Stored,
    interrupted_for_good,
    outcome_of,
)
from taskd.tasks.resolve import resolve
from taskd.tasks.retry import Retry
from taskd.tasks.signature import CallShape

_OWN_FRAMES = 2
"""Frames of a job's traceback that are of this module: `run_attempt` and `_call`."""


@dataclass(frozen=True, slots=True)
class _Callee:
    """What a name was resolved to; the function stands inside of the middleware, if any."""

    function: Callable[..., Any]
    shape: CallShape
    retry: Retry | None
    fails_if_interrupted: bool
    call: Callable[..., object]
    """`_call`, in a frame that is named after the task."""


class Runner:
    """Runs attempts of jobs whose tasks lie inside `imports`; one a process is enough.

    Greenlets may use it together: it keeps nothing of an attempt. `let_through` are the exceptions
    that are the worker's own affair, such as GreenletExit; they leave `run_attempt` as they are.
    """

    def __init__(
        self,
        imports: Sequence[str],
        *,
        max_result: int = MAX_RESULT,
        let_through: tuple[type[BaseException], ...] = (),
        random: Callable[[], float] = random.random,
    ) -> None:
        self._imports = tuple(imports)
        self._max_result = max_result
        self._let_through = let_through
        self._random = random
        self._callees: dict[str, _Callee] = {}
        hooks.watch(self)

    def hooks_changed(self) -> None:
        """Look the functions up anew: there is more middleware to stand around them."""
        self._callees.clear()

    def run_attempt(
        self, attempt: JobAttempt, args: Sequence[Any], kwargs: Mapping[str, Any] | None
    ) -> Outcome:
        """Find the function, check the arguments, call it, encode what it returned.

        Blocks as long as the task does. Raises nothing but `let_through`. An Interrupt may be
        raised in it from outside while `attempt.is_open`. One that was cancelled meanwhile, such as
        during the import of its module, does not begin.
        """
        callee = self._callees.get(attempt.task)
        try:
            if callee is None:
                callee = self._find(attempt.task)
            if kwargs or not callee.shape.least <= len(args) <= callee.shape.most:
                callee.shape.check(args, kwargs)
        except Interrupt:
            raise
        except self._let_through:
            raise
        except BaseException as error:  # the import of a module runs the user's code, too
            return _not_run(error)
        try:
            try:
                attempt.max_result = self._max_result
                attempt.is_open = True
                result = copy_context().run(callee.call, attempt, callee.function, args, kwargs)
            finally:
                attempt.is_open = False
        except self._let_through:
            raise
        except BaseException as error:
            outcome = outcome_of(error, attempt, callee.retry, self._random, _OWN_FRAMES)
            if callee.fails_if_interrupted and isinstance(outcome, Interrupted):
                return interrupted_for_good(error, traceback_text(error, _OWN_FRAMES))
            return outcome
        if attempt.is_stored:
            return Stored()
        return DONE if result is None else self._done(result)

    def interrupted(self, attempt: JobAttempt) -> Outcome:
        """The outcome of an attempt that an Interrupt struck as it ended."""
        if attempt.is_stored:
            return Stored()
        callee = self._callees.get(attempt.task)
        if callee is not None and callee.fails_if_interrupted:
            return interrupted_for_good(JobInterrupted())
        return Interrupted()

    def _find(self, name: str) -> _Callee:
        task = resolve(name, self._imports)
        callee = self._callees[name] = _Callee(
            function=around_attempt(task.function),
            shape=task.shape,
            retry=task.defaults.retry,
            fails_if_interrupted=task.defaults.on_interrupt == "fail",
            call=named(_call, task_name(name)),
        )
        return callee

    def _done(self, result: object) -> Outcome:
        try:
            return Done(encode_result(result, self._max_result))
        except (NotJson, TooLarge) as error:
            return Failed(storable(str(error), MAX_ERROR), exception=error)
        except BaseException as error:  # a subclass of dict or list whose methods raise
            return Failed(f"result: {error_text(error)}", traceback_text(error), error)


def _call(
    attempt: JobAttempt,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
) -> object:
    running_attempt.set(attempt)
    if attempt.is_cancelled:  # while it was not open no Interrupt could be raised in it
        raise JobCancelled("cancelled")
    if attempt.is_interrupted:
        raise JobInterrupted
    return function(*args, **kwargs) if kwargs else function(*args)


def _not_run(error: BaseException) -> Outcome:
    """The outcome of what never started: nothing that a retry would change."""
    if not isinstance(error, TaskdError):
        return Failed(error_text(error), traceback_text(error), error)
    cause = error.__cause__
    trace = traceback_text(cause) if cause else None
    return Failed(storable(str(error), MAX_ERROR), trace, error)
