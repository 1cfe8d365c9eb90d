"""`taskd stacks`: where running jobs and workers stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.moments import span
from taskd.cli.output import one_line, print_json, print_lines, printable
from taskd.cli.parameters import json_option
from taskd.cli.worker_names import TARGET, Target
from taskd.store.connect import Connection
from taskd.store.look import fetch_state
from taskd.tasks.stacks import Stack, WorkerStacks, stacks_of_job, stacks_of_workers

EXAMPLES = """\b
Examples:
  taskd stacks 4711
  taskd stacks io/0
  taskd stacks --json | jq '.[].stacks[] | select(.runs)'
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", required=False, type=TARGET, metavar="[WORKER|JOB]")
@click.option(
    "--all", "with_all", is_flag=True, help="Also what is no job's: taskd's own greenlets."
)
@json_option
def stacks(target: Target | None, with_all: bool, as_json: bool) -> None:
    """Show where running jobs stand now, on whatever host: each greenlet's stack.

    Of one job by its id, of a worker by its name (POOL/SLOT), of a POOL, or of all. Takes less than
    a second, also where a job lets no other run, and interrupts nobody. The most recent call comes
    last.
    """
    with open_jobs() as connection:
        found = _ask(connection, target)
    if as_json:
        print_json([one.to_json_dict() for one in found])
    else:
        print_lines(line for one in found for line in _sheet(one, with_all))


def _ask(connection: Connection, target: Target | None) -> list[WorkerStacks]:
    if target is None or target.job is None:
        pool, slot = (None, None) if target is None else (target.pool, target.slot)
        found = stacks_of_workers(connection, pool, slot)
        if not found:
            raise Failure(
                "no worker runs"
                if target is None
                else f"no worker {target} runs: see `taskd workers`"
            )
        return found
    one = stacks_of_job(connection, target.job)
    if one is None:
        state = fetch_state(connection, target.job)
        if state is None:
            raise Failure(f"job {target.job} is unknown: no such job, or its history was dropped")
        raise Failure(f"job {target.job} is {state}: only a job that runs stands somewhere")
    return [one]


def _sheet(worker: WorkerStacks, with_all: bool) -> Iterator[str]:
    yield f"{one_line(worker.worker)}:"
    if worker.note:
        yield f"  ({one_line(worker.note)})"
    shown = _shown(worker.stacks, with_all)
    for stack in shown:
        yield ""
        yield f"  {one_line(_heading(stack))}"
        yield from (indent(printable(str(frame)), "    ") for frame in stack.frames)
    if not shown and not worker.note:
        yield "  no job runs"
    yield ""


def _shown(stacks: Sequence[Stack], with_all: bool) -> list[Stack]:
    return [stack for stack in stacks if with_all or stack.job is not None]


def _heading(stack: Stack) -> str:
    if stack.job is None:
        return f"{stack.who}{', running' if stack.runs else ''}"
    task = f" {stack.task}" if stack.task else ""
    since = "" if stack.seconds is None else f" for {span(stack.seconds)}"
    does = "has the processor" if stack.runs else "waits"
    return f"job {stack.job}{task}, running{since}, {does}{f' ({stack.who})' if stack.who else ''}"
