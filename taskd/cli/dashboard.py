"""`taskd dashboard`: the server with metrics, the JSON API and the orders."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import click

from taskd import logs
from taskd.cli.database import embedded_server, open_jobs
from taskd.cli.extra import missing_part
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.invocation import current
from taskd.cli.parameters import TASK
from taskd.config.dashboard import DashboardSettings
from taskd.config.sections import LogSettings
from taskd.events import Events

EXAMPLES = """\b
Examples:
  taskd dashboard
  taskd dashboard --listen 0.0.0.0:8080 --token-file /etc/taskd/token
  curl -H "Authorization: Bearer $(cat /etc/taskd/token)" http://jobs.example:8080/metrics
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to answer. Beyond this machine only with a token.  [default: 127.0.0.1:8080]",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Holds the token that every request must show; else TASKD_DASHBOARD_TOKEN.",
)
@click.option(
    "--reader-token-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Holds a token that gives no orders; else TASKD_DASHBOARD_READER_TOKEN.",
)
@click.option(
    "--mask",
    multiple=True,
    type=TASK,
    metavar="PATH",
    help="Show nobody the arguments of this task; may be repeated.",
)
def dashboard(
    listen: str | None,
    token_file: str | None,
    reader_token_file: str | None,
    mask: tuple[str, ...],
) -> None:
    """Serve metrics for Prometheus and a JSON API that shows and steers, until it is stopped.

    /healthz, /readyz, /metrics, and below /api/v1 all that the lists of this command show, and its
    orders; /api/v1/openapi.json describes it. What is not given here is as the configuration's
    section `dashboard` says.
    """
    missing = missing_part()
    if missing is not None:
        raise Failure(f"{missing} is missing: pip install 'taskd[dashboard]'")
    from taskd.web.server import serve
    from taskd.web.tokens import read_access

    chosen = _chosen(listen, token_file, reader_token_file, mask)
    try:
        address, access = read_access(chosen, by_flags=True)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    events = Events()
    logs.install(events, LogSettings(), "dashboard")
    with ExitStack() as held:
        client = current().client()
        dsn = client.database or held.enter_context(embedded_server(client.state_dir))
        with open_jobs():
            pass  # its schema fits; or that is told before anybody asks
        try:
            serve(address, access, dsn, events, mask=chosen.mask)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Failure(f"cannot listen on {chosen.listen}: {reason}") from error


def _chosen(
    listen: str | None,
    token_file: str | None,
    reader_token_file: str | None,
    mask: tuple[str, ...],
) -> DashboardSettings:
    """What the flags say over what the configuration says."""
    configured = current().settings().dashboard
    return replace(
        configured,
        listen=listen or configured.listen or "127.0.0.1:8080",
        token_file=token_file or configured.token_file,
        reader_token_file=reader_token_file or configured.reader_token_file,
        mask=(*configured.mask, *mask),
    )
