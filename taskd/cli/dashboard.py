"""`taskd dashboard`: the server with metrics and the JSON API."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import click

from taskd import logs
from taskd.cli.database import embedded_server, open_jobs
from taskd.cli.failure import Failure, WrongUsage
from taskd.cli.invocation import current
from taskd.config.sections import LogSettings
from taskd.events import Events

TOKEN_VARIABLE = "TASKD_DASHBOARD_TOKEN"
EXTRA = ("bottle", "waitress", "prometheus_client")

EXAMPLES = """\b
Examples:
  taskd dashboard
  taskd dashboard --listen 0.0.0.0:8080 --token-file /etc/taskd/token
  curl -H "Authorization: Bearer $(cat /etc/taskd/token)" http://jobs.example:8080/metrics
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to answer. Beyond this machine only with a token.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Holds the token that every request must show; else TASKD_DASHBOARD_TOKEN.",
)
def dashboard(listen: str, token_file: str | None) -> None:
    """Serve metrics for Prometheus and a JSON API that only reads, until it is stopped.

    /healthz, /readyz, /metrics, and below /api/v1 all that the lists of this command show;
    /api/v1/openapi.json describes it.
    """
    try:
        from taskd.web.access import Access, Address
        from taskd.web.server import serve
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise Failure(f"{error.name} is missing: pip install 'taskd[dashboard]'") from error
    try:
        address = Address.parse(listen)
        access = Access.of(address, _token(token_file))
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
            serve(address, access, dsn, events)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Failure(f"cannot listen on {listen}: {reason}") from error


def _token(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise WrongUsage(f"--token-file {file}: {reason}") from error
