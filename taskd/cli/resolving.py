"""The settings of a running daemon, resolved once more.

Flags come as arguments, or as the JSON of an Origin on the descriptor `--origin-fd`, where a
connection string is out of sight. Status 0: the settings are on standard output, as JSON. Status 2:
the faults are on standard error, a line each.
"""

from __future__ import annotations

import json
import os

import click

from taskd.cli.failure import expected_failures
from taskd.cli.flags import daemon_flags, flags_everywhere
from taskd.cli.invocation import Invocation


@click.command()
@flags_everywhere
@daemon_flags
@click.option("--origin-fd", type=int, help="Read config, flags and directory from here.")
@click.pass_context
def resolve(context: click.Context, /, origin_fd: int | None, **options: object) -> None:
    """Print the settings that these flags, the environment and the file result in."""
    with expected_failures():
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
    options = {name: value for name, value in again.params.items() if name != "origin_fd"}
    return Invocation.of(options)
