"""`taskd check`: what would keep a daemon with these settings from running well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from taskd.cli.checks.finding import Finding, Level, fault, fine
from taskd.cli.failure import FAILED, WRONG_USAGE, leave
from taskd.cli.invocation import current
from taskd.cli.output import one_line, print_json
from taskd.cli.parameters import json_option
from taskd.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from taskd.config.settings import Settings

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "red"}
SUBJECT_WIDTH = 14

EXAMPLES = """\b
Examples:
  taskd check
  taskd --config taskd.yaml check --json | jq '.[] | select(.level != "ok")'
"""


@click.command(epilog=EXAMPLES)
@json_option
def check(as_json: bool) -> None:
    """Find what would keep a daemon from running well: each finding with its remedy.

    Looks at the configuration, at the limits and the memory of this machine, at the database (its
    version, its schema, LISTEN, the number of connections), and imports the modules of `imports` in
    a process of its own. Nothing is changed, except that the embedded PostgreSQL is started.

    Status 0: no faults, though maybe warnings. Status 1: faults. Status 2: the configuration itself
    is at fault.
    """
    findings: list[Finding] = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            print_finding(finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    leave(exit_status(findings))


def examine() -> Iterator[Finding]:
    """Everything that there is to find, as it is found."""
    try:
        settings = current().settings()
    except ConfigurationInvalid as error:
        yield from (fault("configuration", str(found), "") for found in error.faults)
        return
    yield fine("configuration", settings.origin.config or "no file: defaults, environment, flags")
    yield from _examine(settings)


def _examine(settings: Settings) -> Iterator[Finding]:
    from taskd.cli.checks.database import check_database
    from taskd.cli.checks.imports import check_imports
    from taskd.cli.checks.limits import check_limits
    from taskd.cli.checks.machine import check_machine
    from taskd.cli.checks.memory import check_memory

    yield from check_machine(settings)
    yield from check_memory(settings)
    yield from check_limits(settings)
    yield from check_imports(settings)
    yield from check_database(settings)


def exit_status(findings: Iterable[Finding]) -> int:
    """The status of the command: faults of the configuration are usage, others are failures."""
    faulty = {finding.subject for finding in findings if finding.level is Level.FAULT}
    if "configuration" in faulty:
        return WRONG_USAGE
    return FAILED if faulty else 0


def print_finding(finding: Finding) -> None:
    """A finding in a line, its remedy below it."""
    level = click.style(f"{finding.level:<8}", fg=COLOURS[finding.level])
    click.echo(f"{level} {finding.subject:<{SUBJECT_WIDTH}} {one_line(finding.text)}")
    if finding.remedy:
        click.echo(f"{'':8} {'':{SUBJECT_WIDTH}} remedy: {one_line(finding.remedy)}")
