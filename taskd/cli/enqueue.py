"""`taskd enqueue`: one job into the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import WrongUsage
from taskd.cli.invocation import current
from taskd.cli.output import print_json
from taskd.cli.parameters import ARRAY, OBJECT, QUEUE, TASK, Duration, Moment, json_option
from taskd.config.versions import read_part
from taskd.errors import NotATask, NotJson, OptionInvalid, TooLarge
from taskd.store.connect import Connection
from taskd.store.jobs import enqueue_jobs
from taskd.store.rows import NewJobs
from taskd.store.tasks import find_task
from taskd.tasks.arguments import encode_call
from taskd.tasks.names import check_findable
from taskd.tasks.options import (
    DEFAULTS,
    MAX_PRIORITY,
    MAX_TIMEOUT,
    Defaults,
    defaults_offered,
    read_placement,
)
from taskd.tasks.retry import MAX_RETRIES

EXAMPLES = """\b
Examples:
  taskd enqueue shop.tasks.fetch '["https://example.org"]'
  taskd enqueue shop.tasks.report '[]' '{"year": 2030}' --queue reports --delay 10m
  generate-arguments | taskd enqueue shop.tasks.load -
"""


@click.command(epilog=EXAMPLES)
@click.argument("path", type=TASK, metavar="PATH")
@click.argument("args", type=ARRAY, default="[]", metavar="[JSON_ARGS]")
@click.argument("kwargs", type=OBJECT, default="{}", metavar="[JSON_KWARGS]")
@click.option("--queue", type=QUEUE, help="Where it waits.")
@click.option("--priority", type=click.IntRange(0, MAX_PRIORITY), help="9 is the most urgent.")
@click.option("--delay", type=Duration(0), help="Start it no sooner than in so long: 30s, 5m, 1h.")
@click.option("--run-at", type=Moment(), help="Start it no sooner than then: 2030-01-31T08:00.")
@click.option("--timeout", type=Duration(0.001, MAX_TIMEOUT), help="How long an attempt may run.")
@click.option("--retry", type=click.IntRange(0, MAX_RETRIES), metavar="N", help="Retries at most.")
@json_option
def enqueue(
    path: str, args: list[Any], kwargs: dict[str, Any], as_json: bool, **options: Any
) -> None:
    """Store one job, to be run by a daemon. Prints the job's id.

    PATH is the dotted path of a function, JSON_ARGS a JSON array, JSON_KWARGS a JSON object; `-`
    reads one of them from standard input. The function is not imported: options that are not given
    are those of the task as a running daemon knows it, else the usual ones.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        check_findable(path)
        read_placement(DEFAULTS, given)
        encoded = encode_call(args, kwargs, current().client().max_args)
    except (NotATask, NotJson, OptionInvalid, TooLarge) as error:
        raise WrongUsage(str(error)) from error
    with open_jobs() as connection:
        new = _new_job(path, encoded, given, find_defaults(connection, path))
        [job_id] = enqueue_jobs(connection, new)
    if as_json:
        queue, requires = read_part(new.queue)
        shown = {"id": job_id, "task": path, "queue": queue, "priority": new.priority}
        print_json({**shown, "requires": requires})
    else:
        click.echo(job_id)


def find_defaults(connection: Connection, path: str) -> Defaults:
    """The options of a task, as some daemon offers it; the usual ones if none does.

    Raises WrongUsage for a name without a module that nobody offers: no worker would find it.
    """
    offered = find_task(connection, path)
    if offered is None:
        if "." not in path:
            raise WrongUsage(
                f"{path} is no dotted path such as shop.tasks.fetch, "
                "and no running daemon offers a task of this name"
            )
        return DEFAULTS
    return defaults_offered(offered)


def _new_job(
    path: str, encoded: tuple[str, str | None], options: Mapping[str, Any], defaults: Defaults
) -> NewJobs:
    placement = read_placement(defaults, options)
    args, kwargs = encoded
    return NewJobs(
        task=path,
        args=[args],
        kwargs=[kwargs],
        queue=placement.queue,
        priority=placement.priority,
        delay=placement.delay,
        run_at=placement.run_at,
        max_attempts=1 + placement.retries,
        timeout=placement.timeout,
    )
