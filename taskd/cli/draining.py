"""`taskd workers drain`: let a worker finish its jobs and be replaced."""

from __future__ import annotations

from collections.abc import Sequence

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.output import one_line, print_json
from taskd.cli.parameters import TEXT, json_option
from taskd.cli.worker_names import WORKER, Target
from taskd.store.draining import drain_workers
from taskd.store.questions import WorkerName, list_named_workers

EXAMPLES = """\b
Examples:
  taskd workers drain io/0
  taskd workers drain io/0 --host web1
  taskd workers drain 4711
"""


@click.command(epilog=EXAMPLES)
@click.argument("worker", type=WORKER, metavar="WORKER")
@click.option("--host", type=TEXT, metavar="NAME", help="The one on this host.")
@json_option
def drain(worker: Target, host: str | None, as_json: bool) -> None:
    """Let one worker finish its jobs and end; its daemon starts another in its place.

    WORKER is its name (POOL/SLOT), or its id, which `taskd workers --json` shows. The other is
    started first; once that is at work, this one claims no more. What still runs after the pool's
    shutdown_timeout is interrupted and given back.
    """
    if worker.job is None and worker.slot is None:
        raise WrongUsage(f"{worker} is a pool: name one worker of it, such as {worker}/0")
    with open_jobs() as connection:
        found = _named(list_named_workers(connection), worker, host)
        if not drain_workers(connection, [found.id]):
            raise Failure(f"{one_line(str(found))} has just ended")
    if as_json:
        print_json({"worker": found.id, "pool": found.pool, "slot": found.slot, "host": found.host})
    else:
        name = one_line(str(found))
        click.echo(f"{name} drains once another has taken its place: see `taskd workers`.")


def _named(workers: Sequence[WorkerName], target: Target, host: str | None) -> WorkerName:
    """The one that is meant; raises Failure if there is none, or several."""
    found = [
        one
        for one in workers
        if (
            one.id == target.job
            if target.job
            else (one.pool, one.slot) == (target.pool, target.slot)
        )
        and host in (None, one.host)
    ]
    if not found:
        where = f" on {host}" if host else ""
        raise Failure(f"no worker {target.job or target} runs{where}: see `taskd workers`")
    if len(found) > 1:
        listed = "; ".join(f"{one} has the id {one.id}" for one in found)
        raise Failure(f"there are {len(found)} of that name: say --host NAME, or an id: {listed}")
    return found[0]
