"""Which jobs a command is about: by their ids, or by a filter."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from taskd.cli.failure import WrongUsage
from taskd.cli.parameters import ARRAY, JOB_ID, OBJECT, QUEUE, TASK, TEXT, Duration, When
from taskd.clock import utc_now
from taskd.config.moments import is_backwards
from taskd.store.rows import JobFilter, State

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_FILTERS = (
    click.option(
        "--state", type=click.Choice([str(state) for state in State]), help="In this state."
    ),
    click.option("--queue", type=QUEUE, help="Of this queue."),
    click.option("--task", type=TASK, metavar="PATH", help="Of this task."),
    click.option("--older-than", type=Duration(0), help="Enqueued at least so long ago: 30m, 2d."),
    click.option("--since", type=When(), help="Enqueued since then: 1h (ago), or a time."),
    click.option("--until", type=When(), help="Enqueued before."),
    click.option("--finished-since", type=When(), help="Ended since then."),
    click.option("--finished-until", type=When(), help="Ended before."),
    click.option("--error", type=TEXT, metavar="TEXT", help="With this text in their error."),
    click.option("--cause", type=TEXT, help="Failed with this cause (see `jobs failures`)."),
    click.option("--group", type=JOB_ID, metavar="ID", help="Of this flow (chain, group, chord)."),
    click.option("--args", type=ARRAY, metavar="JSON", help="Whose arguments begin so: '[42]'."),
    click.option("--kwargs", type=OBJECT, metavar="JSON", help='With these: \'{"to": "x"}\'.'),
)
_SPANS = (("since", "until"), ("finished_since", "finished_until"))
_NAMES = (
    "queue",
    "task",
    "older_than",
    *(name for span in _SPANS for name in span),
    "error",
    "cause",
    "group",
    "args",
    "kwargs",
)


def job_filter(command: Decorated) -> Callable[..., Any]:
    """Give a command the options of a filter, as the parameter `wanted`."""

    @wraps(command)
    def with_filter(**parameters: Any) -> Any:
        state = parameters.pop("state")
        values = {name: parameters.pop(name) for name in _NAMES}
        _check_spans(values)
        wanted = JobFilter(state=State(state) if state else None, **values)
        return command(wanted=wanted, **parameters)

    decorated: Callable[..., Any] = with_filter
    for option in reversed(_FILTERS):
        decorated = option(decorated)
    return decorated


def _check_spans(values: dict[str, Any]) -> None:
    for since, until in _SPANS:
        if is_backwards(values[since], values[until], utc_now()):
            names = [f"--{name.replace('_', '-')}" for name in (until, since)]
            raise WrongUsage(f"{names[0]} is before {names[1]}: no job can be between them")


def job_selection(command: Decorated) -> Callable[..., Any]:
    """Give a command `ids` and `wanted`, of which exactly one says something."""

    @wraps(command)
    def with_selection(ids: tuple[int, ...], wanted: JobFilter, **parameters: Any) -> Any:
        if ids and not wanted.is_empty:
            raise WrongUsage("ids and filters exclude each other: give one of the two")
        if not ids and wanted.is_empty:
            raise WrongUsage(
                "which jobs? give their ids, or a filter such as --queue mail (see --help)"
            )
        return command(ids=ids, wanted=wanted, **parameters)

    decorated = job_filter(with_selection)
    return click.argument("ids", nargs=-1, metavar="[ID…]", type=JOB_ID)(decorated)
