"""`taskd run`: a function here and now, without daemon or database."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from types import TracebackType
from typing import Any

import click

from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.invocation import current
from taskd.cli.parameters import ARRAY, OBJECT, TASK
from taskd.cli.profiling import Profile, profiled, require
from taskd.errors import JobSignal, TaskdError, TaskImportFailed, TaskRefused, TaskUnknown
from taskd.pool.imports import find_here_first, import_modules
from taskd.tasks.arguments import encode_result
from taskd.tasks.context import JobAttempt, running_attempt
from taskd.tasks.hooks.middleware import around_attempt
from taskd.tasks.registry import registry
from taskd.tasks.resolve import resolve
from taskd.tasks.task import Task

EXAMPLES = """\b
Examples:
  taskd run shop.tasks.fetch '["https://example.org"]'
  taskd run shop.tasks.report '[]' '{"year": 2030}'
  taskd run --profile io shop.tasks.fetch '["https://example.org"]'
"""


@click.command(epilog=EXAMPLES)
@click.argument("path", type=TASK, metavar="PATH")
@click.argument("args", type=ARRAY, default="[]", metavar="[JSON_ARGS]")
@click.argument("kwargs", type=OBJECT, default="{}", metavar="[JSON_KWARGS]")
@click.option(
    "--profile",
    type=click.Choice([str(profile) for profile in Profile]),
    help="Tell where its CPU time or memory goes, or whom it waits for.",
)
def run(path: str, args: list[Any], kwargs: dict[str, Any], profile: str | None) -> None:
    """Run a function here and now, without daemon or database.

    Its module is looked for in the current directory first. Prints the result as JSON, or the whole
    traceback, with status 1. Neither timeout nor retries apply, and gevent does not patch.

    A profile goes to standard error: `cpu` takes pyinstrument, `memory` takes memray, `io` tells
    by host and statement what the call waited for.
    """
    look: AbstractContextManager[None] = nullcontext()
    if profile is not None:
        require(Profile(profile))
        look = profiled(Profile(profile))
    find_here_first()
    task = find_task(path)
    try:
        task.shape.check(args, kwargs)
        with look:
            result = call(task, args, kwargs)
        click.echo(encode_result(result))
    except TaskdError as error:
        raise Failure(str(error)) from error


def find_task(path: str) -> Task[..., Any]:
    """The task at a dotted path, or of a name that a module of `imports` gives to one."""
    try:
        return resolve(path, (path.partition(".")[0],))
    except TaskImportFailed as error:
        _show_traceback(error.__cause__)
        raise
    except (TaskUnknown, TaskRefused):
        import_modules(current().settings().imports)
        named = registry.find(path)
        if named is not None:
            return named
        if "." not in path:
            raise WrongUsage(f"{path} is no dotted path such as shop.tasks.fetch") from None
        raise


def call(task: Task[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> object:
    """What the function returns, called as a worker would; raises Failure, whatever it raised."""
    attempt = JobAttempt(0, 0, 1, 1, task.name, task.defaults.queue)
    try:
        function = around_attempt(task.function)
        return copy_context().run(_as_job, attempt, function, args, kwargs)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except JobSignal as signal:
        raise Failure(f"{task.name} asked for {type(signal).__name__}: {signal}") from signal
    except SystemExit as error:
        raise Failure(f"{task.name} called sys.exit({error.code!r})") from error
    except BaseException as error:
        _show_traceback(error, beyond=_as_job)
        raise Failure(f"{task.name} failed") from error


def _as_job(
    attempt: JobAttempt,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> object:
    running_attempt.set(attempt)
    return function(*args, **kwargs)


def _show_traceback(
    error: BaseException | None, beyond: Callable[..., object] | None = None
) -> None:
    """Write the whole traceback, without the frames up to the function `beyond`."""
    if error is None:
        return
    trace = error.__traceback__
    if beyond is not None:
        trace = _beyond(trace, beyond) or trace
    traceback.print_exception(type(error), error, trace, file=sys.stderr)


def _beyond(trace: TracebackType | None, function: Callable[..., object]) -> TracebackType | None:
    while trace is not None:
        code, trace = trace.tb_frame.f_code, trace.tb_next
        if code is function.__code__:
            return trace
    return None
