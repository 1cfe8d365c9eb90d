"""`taskd jobs acknowledge`, `mute` and `note`: what people say of failures with one cause."""

from __future__ import annotations

from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.noting import noted
from taskd.cli.output import one_line
from taskd.cli.parameters import TASK, TEXT
from taskd.store.marks import ANY_TASK, mark_failure

EXAMPLES = """\b
Examples:
  taskd jobs acknowledge "KeyError: '…'"
  taskd jobs mute "Timeout: #" --task shop.tasks.fetch
  taskd jobs note "KeyError: '…'" "the shop knows"
"""

_cause = click.argument("cause", type=TEXT)
_task = click.option("--task", type=TASK, metavar="PATH", help="Of this task, not of any.")
_undo = click.option("--undo", is_flag=True, help="Take it back.")


@click.command(epilog=EXAMPLES)
@_cause
@_task
@_undo
def acknowledge(cause: str, task: str | None, undo: bool) -> None:
    """Say that what has failed with a cause until now is known.

    CAUSE is as `taskd jobs failures` shows it.
    """
    _mark("acknowledge", cause, task, undo, acknowledged=not undo)
    click.echo(f"{one_line(cause)} is {'not ' if undo else ''}acknowledged now")


@click.command(epilog=EXAMPLES)
@_cause
@_task
@_undo
def mute(cause: str, task: str | None, undo: bool) -> None:
    """Say that nobody wants to hear of a cause, now or later.

    CAUSE is as `taskd jobs failures` shows it.
    """
    _mark("mute", cause, task, undo, muted=not undo)
    click.echo(f"{one_line(cause)} is {'not ' if undo else ''}muted now")


@click.command(epilog=EXAMPLES)
@_cause
@click.argument("text")
@_task
def note(cause: str, text: str, task: str | None) -> None:
    """Write a note to a cause, in place of the one it has; an empty one takes it away.

    CAUSE is as `taskd jobs failures` shows it.
    """
    _mark("note", cause, task, False, note=text)
    click.echo(f"{one_line(cause)} has {'a' if text else 'no'} note now")


def _mark(verb: str, cause: str, task: str | None, undo: bool, **change: Any) -> None:
    said = {"cause": cause, "task": task, "undo": undo, "note": change.get("note")}
    with open_jobs() as connection, noted(connection, f"failures.{verb}", **said) as entry:
        mark_failure(connection, task or ANY_TASK, cause, **change)
        entry.count = 1
