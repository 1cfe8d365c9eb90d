"""The command `taskd doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
import psycopg

from taskd.cli.check import print_finding
from taskd.cli.checks.finding import Finding, Level, warning
from taskd.cli.database import open_jobs
from taskd.cli.doctor import daemons, storage, work
from taskd.cli.doctor.bundle import write_bundle
from taskd.cli.doctor.patient import Patient
from taskd.cli.failure import FAILED, leave
from taskd.cli.output import print_json
from taskd.cli.parameters import json_option

CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    daemons.check_versions,
    daemons.check_leases,
    daemons.check_clocks,
    storage.check_connections,
    storage.check_partitions,
    storage.check_cleanup,
    work.check_plans,
    work.check_marks,
    work.check_queues,
)

EXAMPLES = """\b
Examples:
  taskd doctor
  taskd doctor --json | jq '.[] | select(.level != "ok")'
  taskd doctor --bundle taskd.tar.gz
"""


@click.command(epilog=EXAMPLES)
@json_option
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all that was looked at into a new FILE.tar.gz, without secrets.",
)
def doctor(as_json: bool, bundle: Path | None) -> None:
    """Look whether a running system is well, each finding with its remedy.

    Versions, leases and clocks of the daemons; connections, partitions, dead rows and what holds
    their cleanup back; plans of the hot queries, marks, and queues that stand still. Nothing is
    changed.

    Status 0: all is well. Status 1: something is wrong.
    """
    findings: list[Finding] = []
    with open_jobs() as connection:
        patient = Patient.examined(connection)
        for finding in examine(patient):
            findings.append(finding)
            if not as_json:
                print_finding(finding)
        if bundle is not None:
            write_bundle(bundle, patient, findings)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    leave(0 if all(finding.level is Level.OK for finding in findings) else FAILED)


def examine(patient: Patient) -> Iterator[Finding]:
    """Everything that there is to find, as it is found; what may not be looked at is one, too."""
    for check in CHECKS:
        try:
            yield from check(patient)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable) as error:
            words = " ".join(str(error).split())
            subject = check.__name__.removeprefix("check_")
            yield warning(subject, f"cannot be looked at: {words}", "grant this user what it needs")
