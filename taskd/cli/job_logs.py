"""`taskd jobs logs`: what a job has logged, also while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.output import one_line, printable
from taskd.cli.parameters import JOB_ID
from taskd.store.connect import Connection
from taskd.store.log_rows import LogLine
from taskd.store.look import fetch_job, fetch_state
from taskd.store.rows import State
from taskd.tasks.log_reader import LEVELS, LogReader, make_filter, read_page

EXAMPLES = """\b
Examples:
  taskd jobs logs 4711 --follow
  taskd jobs logs 4711 --attempt 2 --level warning
  taskd jobs logs 4711 --json | jq -r .text
"""
COLOURS = {"debug": "bright_black", "warning": "yellow", "error": "red", "critical": "red"}
CONTINUED = "    "
"""Before the further lines of a text, so that they cannot pass for lines of the log."""


@click.command(epilog=EXAMPLES)
@click.argument("job_id", type=JOB_ID, metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "--attempt", type=click.IntRange(1, 32_767), metavar="N", help="Of this attempt only."
)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="From this level on.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, for programs.")
def logs(job_id: int, follow: bool, attempt: int | None, level: str, as_json: bool) -> None:
    """Print what a job has logged, first to last.

    With --follow the status is that of the job: 0 if it succeeded, else 1.
    """
    wanted = make_filter(job_id, attempt, level)
    with open_jobs() as connection:
        reader = LogReader(partial(read_page, connection), wanted)
        _state(connection, job_id)
        found = reader.lines()
        if follow:
            found = reader.follow(lambda: _state(connection, job_id).is_final)
        for text in _as_json(found) if as_json else _as_text(found):
            click.echo(text)
        if follow and _state(connection, job_id) is not State.SUCCEEDED:
            raise Failure(_how_it_ended(connection, job_id))


def _state(connection: Connection, job_id: int) -> State:
    state = fetch_state(connection, job_id)
    if state is None:
        raise Failure(f"job {job_id} is unknown: no such job, or its history has been dropped")
    return state


def _how_it_ended(connection: Connection, job_id: int) -> str:
    job = fetch_job(connection, job_id)
    return "" if job is None else f"job {job_id} {job.state}: {job.error}"


def _as_json(lines: Iterable[LogLine]) -> Iterator[str]:
    for line in lines:
        yield json.dumps(line.to_json_dict())


def _as_text(lines: Iterable[LogLine]) -> Iterator[str]:
    """The lines for people, with a heading where another attempt begins."""
    fence = 0
    for line in lines:
        if fence and line.fence != fence:
            yield f"--- attempt {line.attempt}"
        fence = line.fence
        first, *more = printable(line.text).split("\n")
        yield f"{_moment(line)} {_level(line)} {one_line(line.logger)}: {first}"
        for text in more:
            yield CONTINUED + text


def _moment(line: LogLine) -> str:
    return line.at.astimezone().isoformat(sep=" ", timespec="milliseconds")[:23]


def _level(line: LogLine) -> str:
    return click.style(f"{line.level_name:<7}", fg=COLOURS.get(line.level_name))
