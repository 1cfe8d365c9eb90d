"""`taskd enqueue`: one job into the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import WrongUsage
from taskd.cli.invocation import current
from taskd.cli.output import print_json
from taskd.cli.parameters import (
    ARRAY,
    JOB_ID,
    OBJECT,
    QUEUE,
    TASK,
    TEXT,
    Duration,
    Time,
    Until,
    json_option,
)
from taskd.config.versions import read_part
from taskd.errors import ArgumentsMismatch, NotATask, NotJson, OptionInvalid, TooLarge
from taskd.store.connect import Connection
from taskd.store.graph import enqueue_graph
from taskd.store.jobs import enqueue_jobs
from taskd.store.rows import NewGraph
from taskd.store.tasks import find_task
from taskd.tasks.calls import Call, Target, batches_alike, encode_calls
from taskd.tasks.names import check_findable
from taskd.tasks.option_values import MAX_PRIORITY, MAX_TIMEOUT
from taskd.tasks.options import DEFAULTS, read_placement
from taskd.tasks.resources import exclusive, limit, shared
from taskd.tasks.retry import MAX_RETRIES

EXAMPLES = """\b
Examples:
  taskd enqueue shop.tasks.fetch '["https://example.org"]'
  taskd enqueue shop.tasks.report '[]' '{"year": 2030}' --queue reports --delay 10m
  taskd enqueue shop.tasks.sync '[42]' --exclusive repo:42 --shared remote:7
  generate-arguments | taskd enqueue shop.tasks.load -
"""


@click.command(epilog=EXAMPLES)
@click.argument("path", type=TASK, metavar="PATH")
@click.argument("args", type=ARRAY, default="[]", metavar="[JSON_ARGS]")
@click.argument("kwargs", type=OBJECT, default="{}", metavar="[JSON_KWARGS]")
@click.option("--queue", type=QUEUE, help="Where it waits.")
@click.option("--priority", type=click.IntRange(0, MAX_PRIORITY), help="9 is the most urgent.")
@click.option("--delay", type=Duration(0), help="Start it no sooner than in so long: 30s, 5m, 1h.")
@click.option("--run-at", type=Time(), help="Start it no sooner than then: 2030-01-31T08:00.")
@click.option("--timeout", type=Duration(0.001, MAX_TIMEOUT), help="How long an attempt may run.")
@click.option("--retry", type=click.IntRange(0, MAX_RETRIES), metavar="N", help="Retries at most.")
@click.option("--expires", type=Duration(0.001), help="Cancel it if it has not begun in so long.")
@click.option("--unique", type=TEXT, metavar="KEY|true", help="One at a time; true: by arguments.")
@click.option(
    "--unique-until",
    type=Until(),
    metavar="started|finished|DURATION",
    help="When it lets go of its key; if unsaid what its task says, else finished.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["keep", "replace", "earlier"]),
    help="What becomes of the job that holds the key: nothing, these arguments, an earlier start.",
)
@click.option(
    "--exclusive", type=TEXT, multiple=True, metavar="NAME", help="It needs this for itself alone."
)
@click.option(
    "--shared", type=TEXT, multiple=True, metavar="NAME", help="It needs this, and may share it."
)
@click.option("--limit", type=TEXT, multiple=True, metavar="NAME", help="It counts for this limit.")
@click.option("--after", type=JOB_ID, multiple=True, metavar="ID", help="Start it when that ended.")
@click.option(
    "--on-parent-failure",
    type=click.Choice(["cancel", "run"]),
    help="What becomes of it if a job of --after does not end well: cancel if unsaid.",
)
@json_option
def enqueue(
    path: str, args: list[Any], kwargs: dict[str, Any], as_json: bool, **options: Any
) -> None:
    """Store one job, to be run by a daemon. Prints the job's id.

    That is the id of another job if that one holds the unique key already.

    PATH is the dotted path of a function, JSON_ARGS a JSON array, JSON_KWARGS a JSON object; `-`
    reads one of them from standard input. The function is not imported: options that are not given
    are those of the task as a running daemon knows it, else the usual ones.
    """
    call, max_args = Call(args, kwargs), current().client().max_args
    with _wrong_usage():
        given = _given(options)
        check_findable(path)
        read_placement(DEFAULTS, {"unique": True, **given})  # maybe the task says that it is
        encode_calls(Target(path), [call], max_args)
    with open_jobs() as connection:
        target = find_offered(connection, path)
        with _wrong_usage():
            placement = read_placement(target.defaults, given)
            [batch] = batches_alike(target, [call], placement, max_args)
        if isinstance(batch, NewGraph):
            [job_id] = enqueue_graph(connection, batch)
        else:
            [job_id] = enqueue_jobs(connection, batch)
    if as_json:
        queue, requires = read_part(placement.queue)
        shown = {"id": abs(job_id), "task": path, "queue": queue, "priority": placement.priority}
        print_json({**shown, "requires": requires, "is_new": job_id > 0})
        return
    click.echo(abs(job_id))
    if job_id < 0:
        click.echo(f"Job {-job_id} holds the unique key already; no new one was made.", err=True)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What was said, by the names that `JobOptions` has for it.

    Raises OptionInvalid and WrongUsage.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "on_parent_failure" in given and "after" not in given:
        raise WrongUsage("--on-parent-failure says something of a job with --after only: add that")
    if given.get("unique") == "true":
        given["unique"] = True
    named = [(make, given.pop(make.__name__, ())) for make in (exclusive, shared, limit)]
    resources = [make(name) for make, names in named for name in names]
    return given | ({"resources": resources} if resources else {})


@contextmanager
def _wrong_usage() -> Iterator[None]:
    try:
        yield
    except (ArgumentsMismatch, NotATask, NotJson, OptionInvalid, TooLarge) as error:
        raise WrongUsage(str(error)) from error


def find_offered(connection: Connection, path: str) -> Target:
    """A task as some daemon offers it; with the usual options if none does.

    Raises WrongUsage for a name without a module that nobody offers: no worker would find it.
    """
    offered = find_task(connection, path)
    if offered is None:
        if "." not in path:
            raise WrongUsage(
                f"{path} is no dotted path such as shop.tasks.fetch, "
                "and no running daemon offers a task of this name"
            )
        return Target(path)
    return Target(path).with_offer(offered)
