"""`taskd workers drain` and `stop`: let workers end, with what they run or without, for others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.noting import noted
from taskd.cli.output import one_line, print_json
from taskd.cli.parameters import TEXT, json_option
from taskd.cli.worker_names import WORKER, Target
from taskd.store.connect import Connection
from taskd.store.draining import drain_workers, list_workers_of, stop_workers
from taskd.store.hosts import list_hosts_named
from taskd.store.questions import WorkerName, list_named_workers

STOP_EXAMPLES = """\b
Examples:
  taskd workers stop io/0
  taskd workers stop 4711
  taskd workers stop --all --host web1
"""
EXAMPLES = """\b
Examples:
  taskd workers drain io/0
  taskd workers drain io/0 --host web1
  taskd workers drain 4711
  taskd workers drain --all --host web1
"""


_Order = Callable[[Connection, Sequence[int]], list[int]]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in (
        json_option,
        click.option("--all", "all_of_it", is_flag=True, help="All workers of --host."),
        click.option("--host", type=TEXT, metavar="NAME", help="The one on this host."),
        click.argument("worker", required=False, type=WORKER, metavar="[WORKER]"),
    ):
        command = option(command)
    return command


@click.command(epilog=EXAMPLES)
@_options
def drain(worker: Target | None, host: str | None, all_of_it: bool, as_json: bool) -> None:
    """Let one worker finish its jobs and end; its daemon starts another in its place.

    WORKER is its name (POOL/SLOT), or its id, which `taskd workers --json` shows; --all are all
    of a host. The other is started first; once that is at work, this one claims no more. What still
    runs after the pool's shutdown_timeout is interrupted and given back.
    """
    if _is_one(worker, host, all_of_it):
        found = _order("drain", worker, host, drain_workers)
        _tell(found, as_json, "drains once another has taken its place")
    else:
        number = _order_host("drain", host, drain_workers)
        _tell_all(host, number, as_json, "each drains once another has taken its place")


@click.command(epilog=STOP_EXAMPLES)
@_options
def stop(worker: Target | None, host: str | None, all_of_it: bool, as_json: bool) -> None:
    """End one worker now; its daemon starts another in its place.

    WORKER and --all are as of `taskd workers drain`. What runs is interrupted, given back, and
    begun again by others; that costs a job none of its retries. What does not end within the pool's
    kill_grace is killed.
    """
    if _is_one(worker, host, all_of_it):
        found = _order("stop", worker, host, stop_workers)
        _tell(found, as_json, "stops, and what it runs is given back")
    else:
        number = _order_host("stop", host, stop_workers)
        _tell_all(host, number, as_json, "each stops, and what it runs is given back")


def _is_one(worker: Target | None, host: str | None, all_of_it: bool) -> TypeGuard[Target]:
    """Whether one worker is meant, not a host; raises WrongUsage if it is neither, or both."""
    if worker is not None and not all_of_it:
        return True
    if worker is not None:
        raise WrongUsage("say either a worker or --all")
    if not all_of_it or host is None:
        raise WrongUsage("say a worker, such as io/0, or --all --host NAME for all of a host")
    return False


def _order(verb: str, worker: Target, host: str | None, order: _Order) -> WorkerName:
    if worker.job is None and worker.slot is None:
        raise WrongUsage(f"{worker} is a pool: name one worker of it, such as {worker}/0")
    with open_jobs() as connection:
        found = _named(list_named_workers(connection), worker, host)
        with noted(connection, f"workers.{verb}", id=found.id) as entry:
            entry.count = len(order(connection, [found.id]))
            if not entry.count:
                raise Failure(f"{one_line(str(found))} has just ended")
    return found


def _order_host(verb: str, host: str | None, order: _Order) -> int:
    """Order all workers of all daemons of a host; how many these are."""
    with open_jobs() as connection, noted(connection, f"hosts.{verb}", host=host) as entry:
        living = list_workers_of(connection, list_hosts_named(connection, host or ""))
        if not living:
            raise Failure(f"no daemon runs on {host}: see `taskd workers`")
        entry.count = len(order(connection, [one for those in living.values() for one in those]))
    return entry.count


def _tell(found: WorkerName, as_json: bool, what: str) -> None:
    if as_json:
        print_json({"worker": found.id, "pool": found.pool, "slot": found.slot, "host": found.host})
    else:
        click.echo(f"{one_line(str(found))} {what}: see `taskd workers`.")


def _tell_all(host: str | None, workers: int, as_json: bool, what: str) -> None:
    if as_json:
        print_json({"host": host, "workers": workers})
    else:
        click.echo(f"{workers} workers of {one_line(host or '')}: {what}: see `taskd workers`.")


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
