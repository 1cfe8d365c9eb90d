"""The settings of a running daemon, resolved once more.

Flags come as arguments, or as the JSON of an Origin on the descriptor `--origin-fd`, where a
connection string is out of sight. Status 0: the settings are on standard output, as JSON. Status 2:
the faults are on standard error, a line each.
"""

from __future__ import annotations

import json
import os

import click

from taskd import __version__
from taskd.cli.failure import expected_failures
from taskd.cli.flags import daemon_flags, flags_everywhere
from taskd.cli.invocation import Invocation
from taskd.errors import OtherVersion


@click.command()
@flags_everywhere
@daemon_flags
@click.option("--origin-fd", type=int, help="Read config, flags and directory from here.")
@click.option("--running", metavar="VERSION", help="Refuse if the daemon runs another version.")
@click.pass_context
def resolve(
    context: click.Context, /, origin_fd: int | None, running: str | None, **options: object
) -> None:
    """Print the settings that these flags, the environment and the file result in."""
    with expected_failures():
        if running not in (None, __version__):
            raise OtherVersion(__version__, running)
        if origin_fd is None:
            invocation = Invocation.of(options)
        else:
            invocation = _invocation_from(context, origin_fd)
        click.echo(invocation.settings().to_json())


def _invocation_from(context: click.Context, descriptor: int) -> Invocation:
    with open(descriptor, encoding="utf-8") as origin_file:
        origin = json.load(origin_file)
    os.chdir(origin["directory"])
    config = ["--config", origin["config"]] if origin["config"] else []
    again = context.command.make_context("resolve", [*config, *origin["flags"]])
    own = ("origin_fd", "running")
    options = {name: value for name, value in again.params.items() if name not in own}
    return Invocation.of(options)
