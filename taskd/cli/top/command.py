"""The command `taskd top`."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack

import click

from taskd.cli.database import embedded_server, open_jobs
from taskd.cli.failure import WrongUsage
from taskd.cli.invocation import current
from taskd.cli.output import print_lines
from taskd.cli.parameters import Duration
from taskd.cli.top.frame import frame_lines, trouble_line
from taskd.cli.top.overview import Overview, look
from taskd.cli.top.screen import Screen
from taskd.errors import DatabaseError
from taskd.store.link import Link
from taskd.store.statistics import KEEP_HOURS

EXAMPLES = """\b
Examples:
  taskd top
  taskd top --last 1h --every 5s
  taskd top --once | head
"""


@click.command(epilog=EXAMPLES)
@click.option("--once", is_flag=True, help="Print one picture and end, also into a pipe.")
@click.option(
    "--last",
    type=Duration(60, KEEP_HOURS),
    default="5m",
    show_default=True,
    help="Rates, times and failures of so long a time.",
)
@click.option(
    "--every",
    type=Duration(0.2, 3600),
    default="2s",
    show_default=True,
    help="How often to look.",
)
def top(once: bool, last: float, every: float) -> None:
    """Watch rates, waits, the backlog, workers and failures in the terminal, live.

    q ends it, the space bar looks at once. WAIT and RUN are 95th percentiles, RUNS is how many
    jobs workers have in hand; RUNNABLE jobs could start now if a slot were free; ~ marks an
    estimate.
    """
    if once:
        with open_jobs() as connection:
            print_lines(frame_lines(look(connection, last), _width()))
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage("this is no terminal to redraw a picture on: add --once")
    with ExitStack() as held:
        client = current().client()
        dsn = client.database or held.enter_context(embedded_server(client.state_dir))
        with open_jobs():
            pass  # its schema fits; or that is told before anything is drawn
        _watch(dsn, last, every)


def _width() -> int:
    """A terminal's own width; in a pipe what COLUMNS says, or 80."""
    return shutil.get_terminal_size().columns


def _watch(dsn: str, last: float, every: float) -> None:
    link = Link(dsn, "top")
    view: Overview | None = None
    trouble = ""
    with Screen() as screen:
        while True:
            try:
                with link.connection() as connection:
                    view, trouble = look(connection, last), ""
            except DatabaseError as error:
                trouble = str(error)
            screen.draw(_picture(view, trouble, *screen.size))
            if not screen.wait(every):
                link.close()
                return


def _picture(view: Overview | None, trouble: str, width: int, height: int) -> list[str]:
    """What is known; while the database is away, as it was."""
    above = [trouble_line(trouble, width)] if trouble else []
    below = [] if view is None else frame_lines(view, width, height - len(above))
    return above + below
