"""`taskd workers drain` and `stop`: let a worker end, with what it runs or without, for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.noting import noted
from taskd.cli.output import one_line, print_json
from taskd.cli.parameters import TEXT, json_option
from taskd.cli.worker_names import WORKER, Target
from taskd.store.connect import Connection
from taskd.store.draining import drain_workers, stop_workers
from taskd.store.questions import WorkerName, list_named_workers

STOP_EXAMPLES = """\b
Examples:
  taskd workers stop io/0
  taskd workers stop 4711
"""
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
    found = _order("drain", worker, host, drain_workers)
    _tell(found, as_json, "drains once another has taken its place")


@click.command(epilog=STOP_EXAMPLES)
@click.argument("worker", type=WORKER, metavar="WORKER")
@click.option("--host", type=TEXT, metavar="NAME", help="The one on this host.")
@json_option
def stop(worker: Target, host: str | None, as_json: bool) -> None:
    """End one worker now; its daemon starts another in its place.

    WORKER is as of `taskd workers drain`. What runs is interrupted, given back, and begun again by
    others; that costs a job none of its retries. What does not end within the pool's kill_grace is
    killed.
    """
    found = _order("stop", worker, host, stop_workers)
    _tell(found, as_json, "stops, and what it runs is given back")


def _order(
    verb: str,
    worker: Target,
    host: str | None,
    order: Callable[[Connection, Sequence[int]], list[int]],
) -> WorkerName:
    if worker.job is None and worker.slot is None:
        raise WrongUsage(f"{worker} is a pool: name one worker of it, such as {worker}/0")
    with open_jobs() as connection:
        found = _named(list_named_workers(connection), worker, host)
        with noted(connection, f"workers.{verb}", id=found.id) as entry:
            entry.count = len(order(connection, [found.id]))
            if not entry.count:
                raise Failure(f"{one_line(str(found))} has just ended")
    return found


def _tell(found: WorkerName, as_json: bool, what: str) -> None:
    if as_json:
        print_json({"worker": found.id, "pool": found.pool, "slot": found.slot, "host": found.host})
    else:
        click.echo(f"{one_line(str(found))} {what}: see `taskd workers`.")


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
