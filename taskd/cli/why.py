"""`taskd jobs why`: every reason why a job waits."""

from __future__ import annotations

import click

from taskd.cli.database import open_jobs
from taskd.cli.failure import Failure
from taskd.cli.output import one_line, print_json
from taskd.cli.parameters import JOB_ID, json_option
from taskd.tasks.why import find_reasons

EXAMPLES = """\b
Examples:
  taskd jobs why 4711
  taskd jobs why 4711 --json | jq '.[].jobs[].id'
"""


@click.command(epilog=EXAMPLES)
@click.argument("job_id", type=JOB_ID, metavar="ID")
@json_option
def why(job_id: int, as_json: bool) -> None:
    """Say why a job waits: each reason with the jobs that are in its way.

    A job that runs or has ended does not wait; that is said then.
    """
    with open_jobs() as connection:
        reasons = find_reasons(connection, job_id)
    if reasons is None:
        raise Failure(f"job {job_id} is unknown: no such job, or its history has been dropped")
    if as_json:
        print_json([reason.to_json_dict() for reason in reasons])
        return
    for reason in reasons:
        click.echo(f"job {job_id}: {one_line(reason.text)}")
